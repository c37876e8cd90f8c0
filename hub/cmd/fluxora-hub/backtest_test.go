package main

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// write puts text into a file of the test's own folder.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readingsOf returns a table of meters that follow the hours of the day and the days of the week.
func readingsOf(meters, days int, step time.Duration) string {
	var b strings.Builder
	b.WriteString("meter_id,timestamp,kwh\n")
	rng := rand.New(rand.NewPCG(1, 1))
	start := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	for m := range meters {
		for at := start; at.Before(start.AddDate(0, 0, days)); at = at.Add(step) {
			if rng.IntN(200) == 0 {
				continue
			}
			v := float64(m+1) * (3 + 2*math.Sin(float64(at.Hour())/24*2*math.Pi)) * step.Hours()
			if wd := at.Weekday(); wd == time.Saturday || wd == time.Sunday {
				v /= 2
			}
			fmt.Fprintf(&b, "m%d,%s,%.3f\n", m, at.Format(time.RFC3339), v*(1+0.1*rng.NormFloat64()))
		}
	}
	return b.String()
}

func TestBacktestOfFiles(t *testing.T) {
	for _, tc := range []struct {
		name   string
		zone   string
		step   time.Duration
		days   int
		models string
	}{
		{"hourly", "Europe/Oslo", time.Hour, 120, "linear,seasonal,four-week-mean,ensemble,selected"},
		{"half-hourly, elsewhere", "America/New_York", 30 * time.Minute, 90, "seasonal,seasonal-naive,selected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			readings := write(t, "readings.csv", readingsOf(3, tc.days, tc.step))
			meters := write(t, "meters.csv", "meter_id\nm0\nm1\nm2\n")
			out := filepath.Join(t.TempDir(), "out.json")
			code, _, errs := call(t, nil, "backtest", "--readings", readings, "--meters", meters, "--zone", tc.zone, "--country", "NO",
				"--protocol", "dayahead", "--weeks", "2", "--rows", "20000", "--models", tc.models, "--json", out)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			text, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Models map[string]map[string]any
				Meters int
			}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if got.Meters != 3 || len(got.Models) != len(strings.Split(tc.models, ",")) {
				t.Fatalf("%d meters, models %v", got.Meters, got.Models)
			}
			for name, figures := range got.Models {
				for _, key := range []string{"mase", "nmae", "nrmse", "npinball", "coverage80", "coverage80_by_band", "train_cpu_s", "predict_us_per_row"} {
					if _, ok := figures[key]; !ok {
						t.Errorf("%s has no %s", name, key)
					}
				}
				if m, _ := figures["mase"].(float64); !(m > 0.1 && m < 1.5) {
					t.Errorf("%s: MASE %v", name, figures["mase"])
				}
			}
		})
	}
}

func TestBacktestOfBadFiles(t *testing.T) {
	good := readingsOf(1, 40, time.Hour)
	row := func(text string) string { return good + text + "\n" }
	for _, tc := range []struct {
		name, readings string
		args           []string
		want           string
	}{
		{"empty", "", nil, "header"},
		{"header alone", "meter_id,timestamp,kwh\n", nil, "no rows"},
		{"other columns", "a,b\n1,2\n", nil, "meter_id"},
		{"all missing", "meter_id,timestamp,kwh\na,2023-01-01T00:00:00Z,\na,2023-01-01T01:00:00Z,\n", nil, "no row has a value"},
		{"one interval", "meter_id,timestamp,kwh\na,2023-01-01T00:00:00Z,1\n", nil, "rows at two instants"},
		{"a bad time", row("m0,yesterday,1"), nil, "RFC 3339"},
		{"mixed resolution", good + strings.ReplaceAll(readingsOf(1, 40, 15*time.Minute), "m0,", "m9,")[len("meter_id,timestamp,kwh\n"):], nil, "one resolution"},
		{"too short", readingsOf(1, 10, time.Hour), nil, "nothing to backtest on"},
		{"unknown zone", good, []string{"--zone", "Europe/Olso"}, "Europe/Olso"},
		{"no zone", good, []string{"--zone", ""}, "want a name of the tz database"},
		{"unknown country", good, []string{"--country", "QQ"}, "QQ"},
		{"unknown model", good, []string{"--models", "prophet"}, "prophet"},
		{"no weeks", good, []string{"--weeks", "0"}, "weeks"},
		{"a file that is not there", "", []string{"--weather", "/nowhere/weather.csv"}, "/nowhere/weather.csv"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"backtest", "--readings", write(t, "r.csv", tc.readings), "--zone", "Europe/Oslo", "--weeks", "2", "--models", "seasonal"}, tc.args...)
			code, _, errs := call(t, nil, args...)
			if code == 0 || !strings.Contains(errs, tc.want) {
				t.Errorf("exit code %d, %q: want %q in it", code, errs, tc.want)
			}
		})
	}
	for _, value := range []string{"-1", "NaN", "Inf"} {
		t.Run("a value of "+value+" costs its row alone", func(t *testing.T) {
			code, _, errs := call(t, nil, "backtest", "--readings", write(t, "r.csv", row("m0,2023-02-10T00:00:00Z,"+value)), "--zone", "UTC", "--weeks", "2", "--models", "four-week-mean")
			if code != 0 {
				t.Errorf("exit code %d, %q", code, errs)
			}
		})
	}
	t.Run("forecasts to a file of another kind", func(t *testing.T) {
		code, _, errs := call(t, nil, "backtest", "--readings", write(t, "r.csv", good), "--zone", "UTC", "--weeks", "2", "--models", "seasonal", "--forecasts", filepath.Join(t.TempDir(), "f.txt"))
		if code == 0 || !strings.Contains(errs, "ends in .csv") {
			t.Errorf("exit code %d, %q", code, errs)
		}
	})
	t.Run("constant and repeated", func(t *testing.T) {
		var b strings.Builder
		b.WriteString("meter_id,timestamp,kwh\n")
		for h := range 24 * 40 {
			line := fmt.Sprintf("c,%s,1\n", time.Date(2023, 1, 1, h, 0, 0, 0, time.UTC).Format(time.RFC3339))
			b.WriteString(line)
			b.WriteString(line)
		}
		code, out, errs := call(t, nil, "backtest", "--readings", write(t, "r.csv", b.String()), "--zone", "UTC", "--weeks", "2", "--models", "four-week-mean,linear")
		if code != 0 || !strings.Contains(out, "four-week-mean") {
			t.Errorf("exit code %d, %q %q", code, out, errs)
		}
	})
}

// TestBacktestKeepsForecasts computes a score from the file of forecasts and compares it with the one reported.
func TestBacktestKeepsForecasts(t *testing.T) {
	dir := t.TempDir()
	kept, scores := filepath.Join(dir, "forecasts.csv.gz"), filepath.Join(dir, "scores.json")
	code, _, errs := call(t, nil, "backtest", "--readings", write(t, "r.csv", readingsOf(2, 60, time.Hour)), "--zone", "Europe/Oslo", "--weeks", "2",
		"--models", "four-week-mean,similar-days", "--forecasts", kept, "--json", scores)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	file, err := os.Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(plain).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"meter_id", "model", "origin", "timestamp", "kwh", "kwh_0.1", "kwh_0.5", "kwh_0.9"}; !slices.Equal(rows[0], want) {
		t.Fatalf("header %v", rows[0])
	}
	if want := 2 * 2 * 14 * 24; len(rows)-1 != want {
		t.Fatalf("%d rows, want %d", len(rows)-1, want)
	}
	off, all := map[string]float64{}, map[string]float64{}
	for _, row := range rows[1:] {
		actual, err := strconv.ParseFloat(row[4], 64)
		if err != nil {
			continue // missing
		}
		median, err := strconv.ParseFloat(row[6], 64)
		if err != nil {
			t.Fatal(err)
		}
		off[row[1]+row[0]] += math.Abs(actual - median)
		all[row[1]+row[0]] += actual
	}
	var got struct {
		Models map[string]struct{ NMAE float64 }
	}
	text, err := os.ReadFile(scores)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"four-week-mean", "similar-days"} {
		want := (off[name+"m0"]/all[name+"m0"] + off[name+"m1"]/all[name+"m1"]) / 2
		if nmae := got.Models[name].NMAE; math.Abs(nmae-want) > 1e-6 {
			t.Errorf("%s: nMAE %g, of the file %g", name, nmae, want)
		}
	}
}

func TestBacktestOfM4(t *testing.T) {
	var train, test strings.Builder
	for _, b := range []*strings.Builder{&train, &test} {
		b.WriteString("V1,V2,V3\n")
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for s := range 6 {
		for i := range 700 + 48 {
			at := &train
			if i >= 700 {
				at = &test
			}
			if i == 0 || i == 700 {
				fmt.Fprintf(at, "H%d", s)
			}
			fmt.Fprintf(at, ",%.2f", float64(100*(s+1))*(2+math.Sin(float64(i)/24*2*math.Pi)+0.1*rng.NormFloat64()))
		}
		train.WriteString(",,\n")
		test.WriteString("\n")
	}
	out := filepath.Join(t.TempDir(), "out.json")
	code, _, errs := call(t, nil, "backtest", "--format", "m4", "--train", write(t, "train.csv", train.String()), "--test", write(t, "test.csv", test.String()),
		"--horizon", "48", "--season", "24", "--models", "linear,seasonal", "--json", out)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Models map[string]struct{ SMAPE, MASE, OWA float64 }
		Series int
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if l := got.Models["linear"]; got.Series != 6 || got.Models["naive2"].OWA != 1 || !(l.OWA > 0.1 && l.OWA < 1) || !(l.SMAPE > 1 && l.SMAPE < 20) {
		t.Errorf("%s", text)
	}
	if code, _, errs := call(t, nil, "backtest", "--format", "m4", "--train", write(t, "x.csv", "V1\nH1,1,x\n"), "--test", write(t, "y.csv", "V1\nH1,1\n")); code == 0 || !strings.Contains(errs, "line 2") {
		t.Errorf("a bad number: %d %s", code, errs)
	}
}
