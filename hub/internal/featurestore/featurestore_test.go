package featurestore_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/featurestore"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

const days = 50

var start = meter.MillisOf(time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC))

// counters returns what a counter showed every half hour, in mWh.
func counters() []meter.Reading {
	var rs []meter.Reading
	total := int64(5_000_000)
	for i := range days*48 + 1 {
		rs = append(rs, meter.Reading{Series: 1, At: start.Add(time.Duration(i) * 30 * time.Minute), Value: total})
		total += 500_000 + int64(i%48)*20_000 + int64(i*i%7)*9_000
	}
	return rs
}

// bits returns the features of rows, by point, origin and step, without the actual.
func bits(t *testing.T, s *store.Store, q featurestore.Query) (out []uint32, n featurestore.Counts) {
	t.Helper()
	org, err := s.EnsureOrganisation(t.Context(), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	n, err = featurestore.Materialize(t.Context(), s, org, q, func(r featurestore.Row) error {
		out = append(out, math.Float32bits(float32(r.Scale)), uint32(r.Step))
		for _, v := range r.Features {
			out = append(out, math.Float32bits(v))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, n
}

// TestCorrectionsAfterTheOriginChangeNoRow corrects a counter in three places, twice in one, after rows were made.
func TestCorrectionsAfterTheOriginChangeNoRow(t *testing.T) {
	s := storetest.Open(t)
	org, site, agent := storetest.Site(t, s, "alpha", store.Site{Name: "town", Country: "NO", Zone: "Europe/Oslo"})
	if _, err := s.OpenSession(t.Context(), org, agent, wire.Hello{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	series := []wire.Series{{ID: 1, Series: meter.Series{Point: "main", Meter: "m1", Register: meter.EnergyImport, Kind: meter.Counter}}}
	if err := s.Declare(t.Context(), org, agent, 1, series); err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	d := derive.New(s, derive.Options{})
	commit := func(rs []meter.Reading) {
		t.Helper()
		body, err := chunk.Append(nil, rs)
		if err != nil {
			t.Fatal(err)
		}
		b := wire.Batch{First: next, Count: uint64(len(rs)), Blocks: []wire.Block{{Series: 1, Chunk: body}}}
		next += b.Count
		if _, err := s.CommitBatch(t.Context(), org, agent, 1, b); err != nil {
			t.Fatal(err)
		}
		if err := d.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rs := counters()
	commit(rs)
	q := featurestore.Query{
		Spec: feature.Default(), Resolution: time.Hour, From: start.Add(40 * 24 * time.Hour).Time(), To: start.Add(47 * 24 * time.Hour).Time(),
		Stride: 24 * time.Hour, Horizon: 24 * time.Hour,
	}
	before, n := bits(t, s, q)
	if n.Rows != 7*24 || n.Origins != 7 || n.Corrected != 0 {
		t.Fatalf("%+v", n)
	}
	points, err := s.Points(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	at := start.Add((39*24 + 5) * time.Hour)
	energy := func() []int64 {
		is, err := s.Intervals(t.Context(), org, points[0].ID, meter.EnergyImport, at.Add(-3*time.Hour), at.Add(3*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var out []int64
		for _, i := range is {
			out = append(out, int64(i.Energy))
		}
		return out
	}
	was := energy()
	corrected := func(i int, by int64) meter.Reading {
		r := rs[i]
		r.Value += by
		return r
	}
	commit([]meter.Reading{corrected((20*24+3)*2, 150_000), corrected((39*24+5)*2, 200_000)})
	commit([]meter.Reading{corrected((39*24+5)*2, -120_000), corrected((44*24+9)*2, 90_000)})
	if slices.Equal(was, energy()) {
		t.Fatal("the corrections changed no interval: this test shows nothing")
	}
	after, n := bits(t, s, q)
	if n.Corrected != 7 {
		t.Errorf("%d origins saw values that were corrected since, want 7", n.Corrected)
	}
	if !slices.Equal(before, after) {
		different := 0
		for i := range before {
			if before[i] != after[i] {
				different++
			}
		}
		t.Errorf("%d of %d values changed with corrections that came after the origin", different, len(before))
	}

	// The same rows as an agent's builder, which never heard of the corrections.
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	h := feature.History{Start: start, Resolution: time.Hour, Energy: make([]float64, days*24), Zone: zone, Site: site.Around()}
	for i := range h.Energy { // whole Wh: as the fold rounds
		h.Energy[i] = float64(rs[2*i+2].Value/1000 - rs[2*i].Value/1000)
	}
	b, row := feature.NewBuilder(q.Spec), make([]float32, q.Spec.Len())
	width, k := q.Spec.Len()+2, 0
	for origin := meter.MillisOf(q.From); origin.Time().Before(q.To); origin = origin.Add(q.Stride) {
		if err := b.Reset(h, origin); err != nil {
			t.Fatal(err)
		}
		for step := 1; step <= 24; step++ {
			b.Row(step, row)
			for c, v := range row {
				if math.Float32bits(v) != after[k*width+2+c] {
					t.Fatalf("origin %s, step %d, %s: %v, and %v for an agent", origin, step, q.Spec.Names()[c], math.Float32frombits(after[k*width+2+c]), v)
				}
			}
			k++
		}
	}

	if _, err := featurestore.Materialize(t.Context(), s, org, featurestore.Query{
		Spec: q.Spec, Resolution: q.Resolution, From: q.From, To: q.To, Stride: q.Stride, Horizon: q.Horizon, Site: "nowhere",
	}, nil); err == nil {
		t.Error("a site that is not there gave no error")
	}
}

func TestQueriesAreChecked(t *testing.T) {
	good := featurestore.Query{Spec: feature.Default(), Resolution: time.Hour, From: time.Unix(0, 0), To: time.Unix(9, 0), Stride: time.Hour, Horizon: time.Hour}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*featurestore.Query){
		"spec":       func(q *featurestore.Query) { q.Spec = feature.Spec{} },
		"from":       func(q *featurestore.Query) { q.To = q.From },
		"resolution": func(q *featurestore.Query) { q.Resolution = 7 * time.Minute },
		"stride":     func(q *featurestore.Query) { q.Stride = 0 },
		"horizon":    func(q *featurestore.Query) { q.Horizon = 90 * time.Minute },
	} {
		q := good
		spoil(&q)
		if err := q.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want an error on %s", err, want)
		}
	}
}

func TestSpecsHaveNamesAndVersions(t *testing.T) {
	s := storetest.Open(t)
	ctx := context.Background()
	org, err := s.EnsureOrganisation(ctx, "alpha")
	if err != nil {
		t.Fatal(err)
	}
	const one, two = "fluxora-features 1\nlead\nday 1\n", "fluxora-features 1\nlead\nday 1\nweek 1\n"
	for i, c := range []struct {
		text    string
		version int
	}{{one, 1}, {one, 1}, {two, 2}, {one, 1}} {
		if f, err := s.PutFeatureSpec(ctx, org, "winter", c.text); err != nil || f.Version != c.version {
			t.Errorf("%d: version %d, %v, want %d", i, f.Version, err, c.version)
		}
	}
	file := filepath.Join(t.TempDir(), "spec.txt")
	if err := os.WriteFile(file, []byte(one), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, width := range map[string]int{"": feature.Default().Len(), "default": feature.Default().Len(), "winter": 3, "winter@1": 2, "winter@2": 3, file: 2} {
		if got, err := featurestore.Resolve(ctx, s, org, name); err != nil || got.Len() != width {
			t.Errorf("%q: %d features, %v, want %d", name, got.Len(), err, width)
		}
	}
	for _, name := range []string{"summer", "winter@3", "winter@0", "winter@x", "./no.txt"} {
		if _, err := featurestore.Resolve(ctx, s, org, name); err == nil {
			t.Errorf("%q was found", name)
		}
	}
	if all, err := s.FeatureSpecs(ctx, org); err != nil || len(all) != 2 {
		t.Errorf("%d specs, %v", len(all), err)
	}
}

// TestFilesSayTheSame writes rows in every format and reads them back.
func TestFilesSayTheSame(t *testing.T) {
	spec, err := feature.ParseSpec("fluxora-features 1\nlead\nstep\nday 1\nholiday\n")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 5, 1, 6, 0, 0, 0, time.UTC)
	nan := float32(math.NaN())
	rows := []featurestore.Row{
		{Site: "town", Point: "main, 1", Register: meter.EnergyImport, Origin: at, Step: 1, Start: at, Scale: 1.0 / 3, Actual: 77, Features: []float32{0, 1, 0.1, nan}},
		{Site: "town", Point: "main, 1", Register: meter.EnergyImport, Origin: at, Step: 2, Start: at.Add(time.Hour), Scale: 2, Actual: math.NaN(), Features: []float32{1, 2, nan, 1}},
	}
	dir := t.TempDir()
	write := func(name string) []byte {
		t.Helper()
		path := filepath.Join(dir, name)
		f, err := featurestore.File(path, spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := f.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there before it is whole", name)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	records, err := csv.NewReader(bytes.NewReader(write("a.csv"))).ReadAll()
	if err != nil || len(records) != 3 || records[0][10] != "day 1" || records[1][1] != "main, 1" || records[2][7] != "" || records[2][10] != "" || records[1][11] != "" {
		t.Errorf("%v %q", err, records)
	}
	if v, err := strconv.ParseFloat(records[1][10], 32); err != nil || float32(v) != 0.1 {
		t.Errorf("day 1 came back as %s", records[1][10])
	}
	lines := json.NewDecoder(bytes.NewReader(write("a.ndjson")))
	for i := range rows {
		var v map[string]any
		if err := lines.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if (v["day 1"] == nil) != (i == 1) || (v["actual_wh"] == nil) != (i == 1) || v["lead"] != float64(i) {
			t.Errorf("line %d: %v", i+1, v)
		}
	}
	b := write("a.parquet")
	p, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := p.Lookup("fluxora.spec"); p.NumRows() != 2 || text != spec.String() {
		t.Errorf("%d rows of %q", p.NumRows(), text)
	}
	column, _ := p.Schema().Lookup("day 1")
	got := make([]parquet.Row, 2)
	if n, err := p.RowGroups()[0].Rows().ReadRows(got); n != 2 || err != nil && err != io.EOF {
		t.Fatal(n, err)
	}
	if v := got[0][column.ColumnIndex]; v.Float() != 0.1 {
		t.Errorf("day 1 is %v", v)
	}
	if v := got[1][column.ColumnIndex]; !v.IsNull() {
		t.Errorf("day 1 is %v, want null", v)
	}
	if _, err := featurestore.File(filepath.Join(dir, "a.xls"), spec); err == nil {
		t.Error(".xls was taken")
	}
	f, err := featurestore.File(filepath.Join(dir, "b.csv"), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}
