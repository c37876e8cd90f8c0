package replay

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "r.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const head = "meter_id,timestamp,kwh\n"

func TestReadTableRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", ":1: the file is empty"},
		{"no header", "A,2019-01-01T00:00:00Z,1\n", ":1: the header"},
		{"column count", head + "A,2019-01-01T00:00:00Z\n", ":2: 2 columns: want 3"},
		{"too many columns", head + "A,2019-01-01T00:00:00Z,1\nA,2019-01-01T01:00:00Z,1,2\n", ":3: 4 columns: want 3"},
		{"bad number", head + "A,2019-01-01T00:00:00Z,1\nA,2019-01-01T01:00:00Z,x\n", `:3: meter A: bad-value: "x" is not a number`},
		{"NaN", head + "A,2019-01-01T00:00:00Z,NaN\n", ":2: meter A"},
		{"negative", head + "A,2019-01-01T00:00:00Z,-1\n", ":2: meter A: -1: want 0"},
		{"absurd", head + "A,2019-01-01T00:00:00Z,1e9\n", ":2: meter A"},
		{"bad time", head + "A,yesterday,1\n", `:2: timestamp "yesterday"`},
		{"time without zone", head + "A,2019-01-01T00:00:00,1\n", ":2: timestamp"},
		{"unsorted", head + "A,2019-01-01T01:00:00Z,1\nB,2019-01-01T00:00:00Z,1\nA,2019-01-01T00:00:00Z,1\n", ":4: meter A: 2019-01-01T00:00:00Z stands after"},
		{"duplicate", head + "A,2019-01-01T00:00:00Z,1\nA,2019-01-01T00:00:00Z,2\n", ":3: meter A has a second row"},
		{"bad name", head + "A B,2019-01-01T00:00:00Z,1\n", ":2: meter_id"},
		{"quote", head + "A,\"2019-01-01T00:00:00Z,1\n", ":2:"},
		{"no rows", head, "none of its 0 meters"},
		{"off the grid", head + "A,2019-01-01T00:00:00Z,1\nA,2019-01-01T01:00:00Z,1\nA,2019-01-01T02:30:00Z,1\nA,2019-01-01T03:30:00Z,1\n", "meter A: its row for 2019-01-01T02:30:00.000Z is not on the grid"},
		{"a century of minutes", head + "A,1919-01-01T00:00:00Z,1\nA,1919-01-01T00:01:00Z,1\nA,2019-01-01T02:30:00Z,1\n", "want at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := write(t, tc.text)
			_, err := ReadTable(path, Selection{}, nil, meter.EnergyImport, 0)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if _, err := ReadTable(write(t, head+"A,2019-01-01T00:00:00Z,1\n"), Selection{Names: []string{"Z"}}, nil, meter.EnergyImport, 0); err == nil || !strings.Contains(err.Error(), `no meter "Z"`) {
		t.Errorf("unknown meter: %v", err)
	}
	cut := filepath.Join(t.TempDir(), "cut.csv.gz")
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write([]byte(head + strings.Repeat("A,2019-01-01T00:00:00Z,1\n", 1)))
	w.Close()
	if err := os.WriteFile(cut, z.Bytes()[:z.Len()-10], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTable(cut, Selection{}, nil, meter.EnergyImport, 0); err == nil || !strings.Contains(err.Error(), cut) {
		t.Errorf("cut gzip: %v", err)
	}
}

func TestCounterShowsTheRecording(t *testing.T) {
	path := write(t, "\ufeff"+"kwh,timestamp,meter_id,note\n"+
		"1.5,2019-01-01T00:00:00Z,A,x\n,2019-01-01 01:00:00+00:00,A,\n2,2019-01-01T02:00:00Z,A,\n4,2019-01-01T05:00:00+01:00,A,\n")
	all, err := ReadTable(path, Selection{}, nil, meter.EnergyImport, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := all[0]
	base := s.base()
	for _, tc := range []struct {
		minutes int
		want    int64
		ok      bool
	}{
		{-1, 0, false},
		{0, 0, true},
		{30, 750_000, true},
		{60, 1_500_000, true},
		{90, 0, false},  // inside the empty interval
		{120, 0, false}, // its end was not read
		{150, 2_500_000, true},
		{180, 3_500_000, true},
		{210, 0, false}, // 03:00 has no row
		{240, 0, false},
		{300, 7_500_000, true},
		{330, 8_250_000, true}, // over: five hours are repeated
	} {
		at := s.Start.Add(time.Duration(tc.minutes) * time.Minute)
		v, ok := s.Read(at)
		if ok != tc.ok || ok && v-base != tc.want {
			t.Errorf("after %d min: %d, %v, want %d, %v", tc.minutes, v-base, ok, tc.want, tc.ok)
		}
	}
	if s.Missing() != 2 || s.Len() != 5 {
		t.Errorf("%s: want 5 intervals, 2 missing", s)
	}
}

func TestSelection(t *testing.T) {
	var b strings.Builder
	b.WriteString(head)
	for _, m := range []string{"A", "B", "C", "D", "E"} {
		b.WriteString(m + ",2019-01-01T00:00:00Z,1\n" + m + ",2019-01-01T00:15:00Z,1\n")
	}
	path := write(t, b.String())
	category := map[string]string{"A": "x", "B": "y", "C": "x", "D": "x"}
	for _, tc := range []struct {
		sel  Selection
		want string
	}{
		{Selection{}, "ABCDE"},
		{Selection{Names: []string{"D", "B"}}, "BD"},
		{Selection{Count: 2, Offset: 1}, "BC"},
		{Selection{Categories: []string{"x"}, Count: 2}, "AC"},
		{Selection{Categories: []string{"x"}, Offset: 2}, "D"},
	} {
		all, err := ReadTable(path, tc.sel, category, meter.EnergyImport, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range all {
			got += s.Meter
			if s.Resolution != 15*time.Minute {
				t.Errorf("resolution %s", s.Resolution)
			}
		}
		if got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.sel, got, tc.want)
		}
	}
}

func TestRealRecording(t *testing.T) {
	const path = "../../../../../shared/data/readings.csv.gz"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the real recording is not here: %v", err)
	}
	all, err := ReadTable(path, Selection{Count: 1}, nil, meter.EnergyImport, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s := all[0]; s.Len() != 27935 || s.Resolution != time.Hour {
		t.Errorf("%s", s)
	}
}

func TestPowerTable(t *testing.T) {
	path := write(t, "meter_id,timestamp,power_w\nA,2019-01-01T00:00:00Z,1000\nA,2019-01-01T00:30:00Z,500\n")
	for register, want := range map[meter.Register]int64{meter.EnergyImport: 750_000, meter.PowerImport: 1_000_000} {
		all, err := ReadTable(path, Selection{}, nil, register, 0)
		if err != nil {
			t.Fatal(err)
		}
		at := all[0].Start.Add(time.Hour)
		if register == meter.PowerImport {
			at = all[0].Start
		}
		v, ok := all[0].Read(at)
		if register == meter.EnergyImport {
			v -= all[0].base()
		}
		if !ok || v != want {
			t.Errorf("%s: %d, %v, want %d", register, v, ok, want)
		}
	}
}
