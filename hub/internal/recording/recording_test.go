package recording_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/recording"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

const (
	readings = "meter_id,timestamp,kwh\nA,2024-05-17T00:00:00Z,1\nA,2024-05-17T01:00:00Z,2\nA,2024-05-17T03:00:00Z,\nB,2024-05-17T00:00:00Z,3\nB,2024-05-17T01:00:00Z,3\n"
	meters   = "meter_id,category,floor_area_m2,has_pv,weather_id,mean_kwh\nA,Sch,437,False,W1,99\nB,Kdg,,True,,99\n"
	weather  = "weather_id,timestamp,temp_c,ghi_w_m2\nW1,2024-05-17T02:00:00Z,7.5,100\nW1,2024-05-17T00:00:00Z,6.5,\nW1,2024-05-17T01:00:00Z,,0\n"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadKnowsTheSites(t *testing.T) {
	d, notes, err := recording.Read(recording.Files{
		Readings: write(t, "r.csv", readings+"C,2024-05-17T01:00:00Z,3\n"), Meters: write(t, "m.csv", meters), Weather: write(t, "w.csv", weather+"W1,2024-05-17T03:00:00Z,999,-99\n"), Zone: time.UTC, Country: "NO",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Points) != 3 || notes.Weather != 1 || notes.Implausible != 2 || len(notes.Unnamed) != 1 || notes.Unnamed[0] != "C" || notes.Missing != 1 {
		t.Fatalf("%d points, %+v", len(d.Points), notes)
	}
	a, b, c := d.Points[0].History.Site, d.Points[1].History.Site, d.Points[2].History.Site
	if a.Country != "NO" || c.Country != "NO" || c.Weather != nil || b.Weather != nil {
		t.Errorf("sites %+v, %+v, %+v", a, b, c)
	}
	if len(a.Facts) != 2 || a.Facts["floor_area_m2"] != 437 || a.Facts["has_pv"] != 0 || len(b.Facts) != 1 || b.Facts["has_pv"] != 1 {
		t.Errorf("facts %v and %v", a.Facts, b.Facts)
	}
	w := a.Weather
	if w == nil || !w.Perfect || len(w.Observed.Temperature) != 4 || !math.IsNaN(w.Observed.Temperature[3]) || w.Observed.Temperature[0] != 6.5 || !math.IsNaN(w.Observed.Temperature[1]) || w.Observed.Radiation[2] != 100 {
		t.Fatalf("weather %+v", w)
	}
	spec, err := feature.ParseSpec("fluxora-features 1\nholiday\ntemperature\nfact floor_area_m2\n")
	if err != nil {
		t.Fatal(err)
	}
	builder, row := feature.NewBuilder(spec), make([]float32, spec.Len())
	if err := builder.Reset(d.Points[0].History, meter.MillisOf(time.Date(2024, 5, 17, 1, 0, 0, 0, time.UTC))); err != nil {
		t.Fatal(err)
	}
	if builder.Row(2, row); row[0] != 1 || row[1] != 7.5 || row[2] != 437 {
		t.Errorf("row %v", row)
	}
}

// TestCountryWithoutCalendar: a country that is one, but of which no holidays are known, is read without them and named.
func TestCountryWithoutCalendar(t *testing.T) {
	d, notes, err := recording.Read(recording.Files{Readings: write(t, "r.csv", readings), Zone: time.UTC, Country: "KR"})
	if err != nil || notes.NoHolidays != "KR" || d.Points[0].History.Site.Country != "" {
		t.Errorf("%+v, %v", notes, err)
	}
}

func TestReadNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, readings, meters, weather, country, want string }{
		{"country", readings, "", "", "UK", `country "UK"`},
		{"no country", readings, "", "", "QQ", `country "QQ"`},
		{"weather alone", readings, "", weather, "", "file of meters"},
		{"no such weather", readings, strings.Replace(meters, "W1", "W9", 1), weather, "", `line 2: weather_id "W9"`},
		{"meter twice", readings, meters + "A,,,,,\n", "", "", `line 4: meter_id "A"`},
		{"header of meters", readings, "name\nA\n", "", "", "meter_id"},
		{"empty meters", readings, "\n", "", "", "meter_id"},
		{"fact", readings, strings.Replace(meters, "437", "NaN", 1), "", "", `floor_area_m2 "NaN"`},
		{"fields", readings, meters + "C,1\n", "", "", "wrong number of fields"},
		{"time of weather", readings, meters, weather + "W1,yesterday,1,1\n", "", `timestamp "yesterday"`},
		{"temperature", readings, meters, weather + "W1,2024-05-17T03:00:00Z,warm,1\n", "", `temp_c "warm"`},
		{"infinite", readings, meters, weather + "W1,2024-05-17T03:00:00Z,+Inf,1\n", "", `temp_c "+Inf"`},
		{"off the grid", readings, meters, weather + "W1,2024-05-17T05:30:00Z,9,1\n", "", "off the grid"},
		{"far apart", readings, meters, weather + "W1,2099-05-17T05:30:00Z,9,1\nW1,2099-05-17T05:31:00Z,9,1\n", "", "at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := recording.Read(recording.Files{
				Readings: write(t, "r.csv", c.readings), Meters: write(t, "m.csv", c.meters), Weather: write(t, "w.csv", c.weather), Zone: time.UTC, Country: c.country,
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestAValueThatCannotBeCostsItsRow: the recording is read all the same, and the lines are named.
func TestAValueThatCannotBeCostsItsRow(t *testing.T) {
	path := write(t, "r.csv", readings+"C,2024-05-17T00:00:00Z,-1\nC,2024-05-17T01:00:00Z,NaN\nC,2024-05-17T02:00:00Z,+Inf\nC,2024-05-17T03:00:00Z,1e300\nC,2024-05-17T04:00:00Z,5\n")
	d, notes, err := recording.Read(recording.Files{Readings: path, Zone: time.UTC})
	if err != nil || len(d.Points) != 3 || notes.Unusable != 4 || notes.Missing != 5 || len(notes.Lines) != 4 || notes.Lines[0] != path+`:7: "-1"` {
		t.Fatalf("%+v, %v", notes, err)
	}
	if e := d.Points[2].History.Energy; len(e) != 1 || e[0] != 5000 {
		t.Errorf("energies %v", e)
	}
	if _, _, err := recording.Read(recording.Files{Readings: write(t, "r.csv", readings+"C,2024-05-17T00:00:00Z,much\n"), Zone: time.UTC}); err == nil || !strings.Contains(err.Error(), `line 7: kwh "much"`) {
		t.Errorf("text: %v", err)
	}
	if _, _, err := recording.Read(recording.Files{Readings: write(t, "r.csv", "meter_id,timestamp,kwh\nA,2024-05-17T00:00:00Z,1\n"), Zone: time.UTC}); err == nil || !strings.Contains(err.Error(), "want two at least") {
		t.Errorf("one interval: %v", err)
	}
}
