package importer_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/importer"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

const table = `meter_id,timestamp,kwh
A,2024-01-01T00:00:00Z,1.5
A,2024-01-01T01:00:00Z,0
B,2024-01-01T01:00:00Z,7
A,2024-01-01T02:00:00Z,
A,2024-01-01T04:00:00Z,3.25
A,2024-01-01T03:00:00+00:00,0.0004
B,2024-01-01T00:00:00Z,6
`

func TestImport(t *testing.T) {
	s := storetest.Open(t)
	org, site, _ := storetest.Site(t, s, "org", store.Site{Name: "town"})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(table))
	z.Close()
	d := derive.New(s, derive.Options{})
	for i, data := range []string{table, zipped.String()} { // the second is the same table again
		tab, err := importer.ReadTable(strings.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if tab.Resolution != time.Hour || tab.Rows != 7 || tab.Missing != 1 {
			t.Errorf("resolution %s, %d rows, %d missing, want 1h, 7, 1", tab.Resolution, tab.Rows, tab.Missing)
		}
		rep, err := importer.Import(t.Context(), s, org, site, tab, importer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Points != 2 || rep.Readings != 9 {
			t.Errorf("import %d: %+v, want 2 points, 9 readings", i+1, rep)
		}
		if err := d.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var arrived int
	if err := s.Pool().QueryRow(t.Context(), `select readings from site_arrival where org_id = $1`, org).Scan(&arrived); err != nil || arrived != 9 {
		t.Errorf("%d readings arrived (%v), want 9", arrived, err)
	}
	points, err := s.Points(t.Context(), org)
	if err != nil || len(points) != 2 {
		t.Fatalf("points %+v, %v", points, err)
	}
	got, err := s.Intervals(t.Context(), org, points[0].ID, meter.EnergyImport, 0, 1<<42)
	if err != nil {
		t.Fatal(err)
	}
	at := func(h int) meter.Millis { return meter.MillisOf(time.Date(2024, 1, 1, h, 0, 0, 0, time.UTC)) }
	want := []interval.Interval{
		{Start: at(0), Energy: 1500}, {Start: at(1)}, {Start: at(2), Quality: meter.Missing}, {Start: at(3)}, {Start: at(4), Energy: 3250},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReadTableErrors(t *testing.T) {
	for _, tc := range []struct{ name, table, want string }{
		{"empty", "", "header"},
		{"no rows", "meter_id,timestamp,kwh\n", "no rows"},
		{"columns", "meter,time,kwh\n", "meter_id"},
		{"fields", "meter_id,timestamp,kwh\nA,2024-01-01T00:00:00Z\n", "line 2"},
		{"time", "meter_id,timestamp,kwh\nA,yesterday,1\n", "line 2: timestamp"},
		{"year", "meter_id,timestamp,kwh\nA,1970-01-01T00:00:00Z,1\n", "line 2: timestamp"},
		{"number", "meter_id,timestamp,kwh\nA,2024-01-01T00:00:00Z,NaN\n", "line 2: kwh"},
		{"negative", "meter_id,timestamp,kwh\nA,2024-01-01T00:00:00Z,-1\n", "line 2: kwh"},
		{"name", "meter_id,timestamp,kwh\na b,2024-01-01T00:00:00Z,1\n", "line 2: meter_id"},
		{"one row", "meter_id,timestamp,kwh\nA,2024-01-01T00:00:00Z,1\n", "resolution"},
		{"odd distance", "meter_id,timestamp,kwh\nA,2024-01-01T00:00:00Z,1\nA,2024-01-01T00:07:00Z,1\n", "resolution"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := importer.ReadTable(strings.NewReader(tc.table)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that says %q", err, tc.want)
			}
		})
	}
}

func TestMeanPower(t *testing.T) {
	tab, err := importer.ReadTable(strings.NewReader("meter_id,timestamp,power_w\nH,2024-01-01T00:30:00Z,1000.5\nH,2024-01-01T00:00:00Z,2\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []importer.Row{{Start: 1_704_067_200_000, Energy: 1000}, {Start: 1_704_069_000_000, Energy: 500_250}}
	if d := cmp.Diff(want, tab.Meters[0].Rows); d != "" || tab.Resolution != 30*time.Minute {
		t.Errorf("resolution %s: %s", tab.Resolution, d)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add(table)
	f.Add("meter_id,timestamp,power_w\nH,2024-01-01T00:30:00Z,1000.5\n\"")
	f.Fuzz(func(t *testing.T, s string) {
		tab, err := importer.ReadTable(strings.NewReader(s))
		if err == nil && (tab.Rows == 0 || tab.Resolution <= 0) {
			t.Errorf("accepted %q as %+v", s, tab)
		}
	})
}
