package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string, o store.Options) *store.Store {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	s, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func series(t testing.TB, s *store.Store, point string) meter.SeriesID {
	t.Helper()
	id, err := s.SeriesID(meter.Series{Point: point, Register: meter.EnergyImport, Kind: meter.Counter})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// counter returns n readings, ten seconds apart, the first of them number from.
func counter(id meter.SeriesID, from, n int) []meter.Reading {
	rs := make([]meter.Reading, n)
	for i := range rs {
		k := from + i
		rs[i] = meter.Reading{Series: id, At: meter.MillisOf(noon).Add(time.Duration(k) * 10 * time.Second), Value: int64(k)*33_000 + int64(k%7)*1000}
	}
	return rs
}

func appendAll(t testing.TB, s *store.Store, rs []meter.Reading) uint64 {
	t.Helper()
	first, err := s.Append(context.Background(), rs)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// contents returns every reading that the store holds, in the order of sequences.
func contents(t testing.TB, s *store.Store) []meter.Reading {
	t.Helper()
	var all []meter.Reading
	for next := uint64(1); next < s.Next(); {
		rs, n, err := s.Readings(next, 1000)
		if err != nil {
			t.Fatal(err)
		}
		all, next = append(all, rs...), n
	}
	return all
}

func TestAppendReadReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	a, b := series(t, s, "main"), series(t, s, "heat-pump")
	if first := appendAll(t, s, append(counter(a, 0, 10), counter(b, 0, 5)...)); first != 1 {
		t.Errorf("first sequence %d, want 1", first)
	}
	if first := appendAll(t, s, counter(a, 10, 3)); first != 16 {
		t.Errorf("first sequence %d, want 16", first)
	}
	epoch, want := s.Epoch(), contents(t, s)
	if len(want) != 18 {
		t.Fatalf("%d readings, want 18", len(want))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, store.Options{})
	if d := cmp.Diff(want, contents(t, s)); d != "" {
		t.Error(d)
	}
	if s.Epoch() != epoch || s.Next() != 19 {
		t.Errorf("epoch %d next %d, want %d 19", s.Epoch(), s.Next(), epoch)
	}
	if got := series(t, s, "heat-pump"); got != b {
		t.Errorf("series %d, want %d", got, b)
	}
	var scanned []meter.Reading
	from, to := want[3].At, want[8].At
	if err := s.Scan(a, from, to, func(r meter.Reading) error { scanned = append(scanned, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want[3:8], scanned); d != "" {
		t.Error(d)
	}
}

func TestBatchesAreWholeAtomsAndEndWhereTheHubHasMore(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	a := series(t, s, "main")
	for i := range 5 {
		appendAll(t, s, counter(a, 10*i, 10))
	}
	b, err := s.ReadFrom(1, 25)
	if err != nil {
		t.Fatal(err)
	}
	if b.First != 1 || b.Count != 20 || b.Refused != 0 || len(b.Blocks) != 1 {
		t.Fatalf("batch %+v, want the two atoms of [1,21) in one block", b)
	}
	rs, err := chunk.Decode(nil, b.Blocks[0].Chunk, a)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(counter(a, 0, 20), rs); d != "" {
		t.Error(d)
	}
	if err := s.Ack(store.Range{First: 21, End: 31}); err != nil {
		t.Fatal(err)
	}
	if b, err := s.ReadFrom(11, 1000); err != nil || b.First != 11 || b.Count != 10 {
		t.Errorf("batch [%d,+%d) %v, want [11,+10): what follows is acked", b.First, b.Count, err)
	}
	if d := cmp.Diff([]store.Range{{1, 21}, {31, 51}}, s.Unacked()); d != "" {
		t.Error(d)
	}
	if err := s.SetReceived(31, []store.Range{{41, 51}}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]store.Range{{31, 41}}, s.Unacked()); d != "" {
		t.Error(d)
	}
	if got := (store.Ledger{Received: 50, Delivered: 40, Pending: 10}); s.Ledger() != got || s.Cursor() != 31 {
		t.Errorf("ledger %+v cursor %d, want %+v 31", s.Ledger(), s.Cursor(), got)
	}
	if b, err := s.ReadFrom(51, 10); err != nil || b.Count != 0 {
		t.Errorf("batch at the end %+v, %v, want none", b, err)
	}
	if err := s.Ack(store.Range{First: 40, End: 60}); err == nil {
		t.Error("an ack beyond what was given was accepted")
	}
}

func TestSecondAgentIsTold(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, store.Options{})
	_, err := store.Open(dir, store.Options{LockTimeout: time.Millisecond})
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
}

// TestHubThatKnowsMore opens a store that forgot what the hub has, takes readings in before it meets the hub, and wants them to
// get to the hub all the same.
func TestHubThatKnowsMore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	a := series(t, s, "main")
	appendAll(t, s, counter(a, 0, 10))
	if err := s.SetReceived(1, nil); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = open(t, dir, store.Options{})
	appendAll(t, s, counter(a, 10, 10))
	appendAll(t, s, counter(a, 20, 10))
	for range 2 {
		if err := s.SetReceived(1001, []store.Range{{1003, 1005}}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]store.Range{{1001, 1003}, {1005, 1025}}, s.Unacked()); d != "" {
		t.Errorf("unacked: %s: want those that had numbers of others again, behind what the hub has", d)
	}
	_ = s.Close()
	s = open(t, dir, store.Options{})
	want := slices.Concat(counter(a, 0, 30), counter(a, 10, 20))
	if d := cmp.Diff(want, contents(t, s)); d != "" || s.Next() != 1025 {
		t.Errorf("next %d, want 1025; %s", s.Next(), d)
	}
}

// TestFloodLeavesRareReasonsAlone: messages of one reason, however many or large, push out none of another.
func TestFloodLeavesRareReasonsAlone(t *testing.T) {
	for name, o := range map[string]store.Options{"many": {QuarantineCount: 100}, "large": {QuarantineCount: 10_000, QuarantineBytes: 100_000}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, o)
			rare := []store.Quarantined{{Reason: "bad-unit"}, {Reason: "absurd"}, {Reason: "absurd"}, {Reason: "unknown-topic"}}
			if err := s.Quarantine(rare); err != nil {
				t.Fatal(err)
			}
			const flood = 500
			for range flood / 5 {
				q := store.Quarantined{Reason: "malformed", Payload: bytes.Repeat([]byte{'x'}, 1000)}
				if err := s.Quarantine([]store.Quarantined{q, q, q, q, q}); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			s = open(t, dir, o)
			qs, err := s.Quarantined(0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			by := map[string]int{}
			newest := uint64(0)
			for _, q := range qs {
				by[q.Reason]++
				newest = max(newest, q.ID)
			}
			st := s.QuarantineStats()
			if by["bad-unit"] != 1 || by["absurd"] != 2 || by["unknown-topic"] != 1 || by["malformed"] < 40 || newest != flood+4 {
				t.Errorf("kept %v, the newest is %d", by, newest)
			}
			if st.Kept != uint64(len(qs)) || st.Kept+st.Dropped != flood+4 || st.Kept > 100 || st.Bytes > 300_000 {
				t.Errorf("%+v with %d messages kept", st, len(qs))
			}
		})
	}
}

func TestQuarantineIsBoundedAndSurvives(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{QuarantineCount: 5})
	for i := range 4 {
		q := store.Quarantined{Reason: "malformed", Topic: "t", Payload: bytes.Repeat([]byte{'x'}, 10_000), Received: meter.Millis(i)}
		if err := s.Quarantine([]store.Quarantined{q, q}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.QuarantineStats(); got.Kept != 5 || got.Dropped != 3 || got.Unsent != 5 {
		t.Errorf("%+v, want 5 kept, 3 dropped, 5 unsent", got)
	}
	s.AckQuarantine(6)
	_ = s.Close()
	s = open(t, dir, store.Options{QuarantineCount: 5})
	qs, err := s.UnsentQuarantine(10)
	if err != nil || len(qs) != 2 || qs[0].ID != 7 || len(qs[0].Payload) != store.MaxQuarantinedPayload {
		t.Errorf("unsent %d %v, want ids 7 and 8", len(qs), err)
	}
}

func TestForecastsAndNamedValues(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	f := forecast.Forecast{
		Point: "main", Register: meter.EnergyImport, Origin: 1, Resolution: time.Hour, Levels: []float64{.5},
		Values: []float64{1, 2}, Rung: forecast.Baseline,
	}
	if err := s.PutForecast(f); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("config", []byte("7")); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = open(t, dir, store.Options{})
	if d := cmp.Diff([]forecast.Forecast{f}, s.UnsentForecasts(10)); d != "" {
		t.Error(d)
	}
	s.AckForecasts([]forecast.Forecast{f})
	if n := len(s.UnsentForecasts(10)); n != 0 {
		t.Errorf("%d unsent after the ack", n)
	}
	if v, err := s.Value("config"); err != nil || string(v) != "7" {
		t.Errorf("value %q %v", v, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	appendAll(t, s, counter(series(t, s, "main"), 0, 1))
	_ = s.Close()
	store.SetSchemaForTest(t, filepath.Join(dir, "state.db"), 99)
	_, err := store.Open(dir, store.Options{})
	if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "99") {
		t.Errorf("error %v, want ErrNewerSchema that names 99", err)
	}
}

func TestCapThroughFillAndDrain(t *testing.T) {
	dir := t.TempDir()
	const most = 1 << 20
	s := open(t, dir, store.Options{MaxBytes: most})
	a := series(t, s, "main")
	sent, n := 0, 0
	for round := range 6 {
		for range 50 {
			rs := counter(a, n, 1500)
			for i := range rs {
				rs[i].Value ^= int64(i*7919) % 65521 // hard to pack
			}
			appendAll(t, s, rs)
			n += 1500
			if got := diskBytes(t, dir); got > most {
				t.Fatalf("%d bytes on disk, cap %d: %s", got, most, listing(dir))
			}
		}
		if round%2 == 1 { // drain
			for _, r := range s.Unacked() {
				for at := r.First; at < r.End; {
					b, err := s.ReadFrom(at, 5000)
					if err != nil || b.Count == 0 {
						t.Fatalf("batch at %d: %+v, %v", at, b.Count, err)
					}
					sent += int(b.Count - b.Refused)
					at = b.First + b.Count
					if err := s.Ack(store.Range{First: b.First, End: at}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	l := s.Ledger()
	if l.Received != uint64(n) || l.Received != l.Delivered+l.Evicted+l.Pending || l.Delivered != uint64(sent) || l.Evicted == 0 {
		t.Errorf("ledger %+v, want %d received, %d delivered, some evicted, balanced", l, n, sent)
	}
	for _, x := range s.Lost() {
		if x.Why != "evicted" || x.From >= x.To {
			t.Errorf("lost range %+v: want evicted, with its times", x)
		}
	}
}

func diskBytes(t testing.TB, dir string) (n int64) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

func TestRetention(t *testing.T) {
	now := noon
	s := open(t, t.TempDir(), store.Options{MaxBytes: 4 << 20, Retention: time.Hour, Now: func() time.Time { return now }})
	a := series(t, s, "main")
	for i := range 175 {
		rs := counter(a, i*2000, 2000)
		for i := range rs {
			rs[i].Value ^= int64(i*7919) % 65521
		}
		appendAll(t, s, rs)
	}
	full := s.Bytes()
	now = now.Add(2 * time.Hour)
	if err := s.Trim(); err != nil || s.Bytes() != full {
		t.Errorf("unacked readings were trimmed: %d of %d bytes left, %v", s.Bytes(), full, err)
	}
	if err := s.Ack(store.Range{First: 1, End: s.Next()}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutDerived(s.Next(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Trim(); err != nil || s.Bytes() > full/3 || len(s.Lost()) != 0 {
		t.Errorf("%d of %d bytes left, lost %v, %v; want only the active segment", s.Bytes(), full, s.Lost(), err)
	}
}

func listing(dir string) (s string) {
	es, _ := os.ReadDir(dir)
	for _, e := range es {
		if info, err := e.Info(); err == nil {
			s += fmt.Sprintf("%s %d, ", e.Name(), info.Size())
		}
	}
	return s
}
