package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"

	"fluxora.dev/agent/internal/hubtest"
	"fluxora.dev/agent/internal/identity"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/agent/internal/uplink"
)

// enrolled returns an identity that the hub at address gave.
func enrolled(t testing.TB, hub *hubtest.Hub, address string) *identity.Identity {
	t.Helper()
	id, _, err := identity.Enrol(t.Context(), t.TempDir(), identity.Request{Hub: address, Token: hub.Token(), Now: hub.Now})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fill appends commits of size readings each of the given points and returns every reading.
func fill(t testing.TB, s *store.Store, commits, size, points int) []meter.Reading {
	t.Helper()
	var all []meter.Reading
	for range commits {
		rs := make([]meter.Reading, size)
		for i := range rs {
			id, err := s.SeriesID(meter.Series{Point: fmt.Sprintf("p%d", i%points), Register: meter.EnergyImport, Kind: meter.Counter})
			if err != nil {
				t.Fatal(err)
			}
			n := int64(s.Next()) + int64(i)
			rs[i] = meter.Reading{Series: id, At: meter.Millis(1_700_000_000_000 + 10_000*n), Value: 1000 * n}
		}
		if _, err := s.Append(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
		all = append(all, rs...)
	}
	return all
}

// start runs a client until the test ends.
func start(t testing.TB, o uplink.Options) *uplink.Client {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	if o.BackoffMin == 0 {
		o.BackoffMin, o.BackoffMax = time.Millisecond, 20*time.Millisecond
	}
	if o.ReportEvery == 0 {
		o.ReportEvery = 10 * time.Millisecond
	}
	c := uplink.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); work.Wait() })
	return c
}

// eventually waits until ok, asking every few milliseconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	every := time.NewTicker(2 * time.Millisecond)
	defer every.Stop()
	for !ok() {
		select {
		case <-every.C:
		case <-deadline.C:
			t.Fatalf("never came to pass: %s", what)
		}
	}
}

func sorted(rs []meter.Reading) []meter.Reading {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b meter.Reading) int {
		if a.Series != b.Series {
			return int(a.Series) - int(b.Series)
		}
		return int(a.At - b.At)
	})
	return rs
}

// wantOnce fails unless the hub committed exactly want, each once.
func wantOnce(t testing.TB, hub *hubtest.Hub, want []meter.Reading) {
	t.Helper()
	got := hub.Totals()
	if !slices.Equal(sorted(got.Readings), sorted(want)) {
		t.Fatalf("the hub committed %d readings: want these %d, each once", len(got.Readings), len(want))
	}
	if len(got.Received) != 1 || got.Received[0] != (wire.Range{First: 1, End: uint64(len(want)) + 1}) {
		t.Fatalf("the hub has %v: want all of %d", got.Received, len(want))
	}
}

func TestReadingsArriveOnce(t *testing.T) {
	hub := hubtest.New(t)
	address := hub.Start()
	s := openStore(t)
	want := fill(t, s, 30, 100, 3)
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), BatchReadings: 250})
	eventually(t, "the backlog is acked", func() bool { return s.Pending() == 0 })
	want = append(want, fill(t, s, 5, 40, 4)...) // live, with a new series
	eventually(t, "live readings are acked", func() bool { return s.Pending() == 0 })
	wantOnce(t, hub, want)
	if st := c.Status(); !st.Connected || st.Acked != uint64(len(want)) || st.BytesSent == 0 || st.LastAck.IsZero() {
		t.Errorf("status %+v", st)
	}
	if n := hub.Totals().Declared; n != 4 {
		t.Errorf("%d series declared, want 4", n)
	}
}

func TestBreakAtEveryMessage(t *testing.T) {
	// Each session is allowed one more event than the one before, an event being a message received, about to be committed, or
	// committed and about to be acked.
	hub := hubtest.New(t)
	var budget, used atomic.Int64
	spend := func() error {
		if used.Add(1) > budget.Load() {
			used.Store(0)
			budget.Add(1)
			return status.Error(codes.Unavailable, "broken on purpose")
		}
		return nil
	}
	hub.OnMessage = func(m *uplinkv1.SyncRequest) error { return spend() }
	hub.BeforeCommit = func(wire.Batch) error { return spend() }
	hub.AfterCommit = func(wire.Batch) error { return spend() }
	address := hub.Start()
	s := openStore(t)
	want := fill(t, s, 60, 10, 2)
	start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), BatchReadings: 20, Fresh: 100})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	wantOnce(t, hub, want)
	if got := hub.Totals(); got.Sessions < 5 {
		t.Errorf("%d sessions: the breaks did not happen", got.Sessions)
	}
}

// flaky closes a connection after a number of bytes that grows, so that the cut comes everywhere.
type flaky struct {
	net.Listener
	mu     sync.Mutex
	random *rand.Rand
	limit  int64
}

type flakyConn struct {
	net.Conn
	left atomic.Int64
}

func (f *flaky) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit += f.random.Int64N(700)
	cut := &flakyConn{Conn: c}
	cut.left.Store(f.limit)
	return cut, nil
}

func (c *flakyConn) Read(p []byte) (int, error)  { return c.pass(p, c.Conn.Read) }
func (c *flakyConn) Write(p []byte) (int, error) { return c.pass(p, c.Conn.Write) }

func (c *flakyConn) pass(p []byte, do func([]byte) (int, error)) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		c.Close()
		return 0, io.ErrClosedPipe
	}
	n, err := do(p[:min(int64(len(p)), left)])
	if c.left.Add(-int64(n)) <= 0 && n < len(p) && err == nil {
		c.Close()
		err = io.ErrClosedPipe
	}
	return n, err
}

func TestConnectionCutAnywhere(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	hub := hubtest.New(t)
	address := hub.Start()
	id := enrolled(t, hub, address)
	hub.Stop()
	hub.Wrap = func(l net.Listener) net.Listener {
		return &flaky{Listener: l, random: rand.New(rand.NewPCG(seed, 1)), limit: 1500}
	}
	hub.Start()
	s := openStore(t)
	want := fill(t, s, 300, 25, 3)
	start(t, uplink.Options{Identity: id, Store: fromStore(s), BatchReadings: 100, Fresh: 1000, BackoffMax: 2 * time.Millisecond, BackoffMin: time.Millisecond})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	wantOnce(t, hub, want)
	if got := hub.Totals(); got.Sessions < 3 {
		t.Errorf("%d sessions: the cuts did not happen", got.Sessions)
	}
}

func TestHubCrashMidBatch(t *testing.T) {
	hub := hubtest.New(t)
	committing := make(chan struct{}, 100)
	hub.AfterCommit = func(wire.Batch) error { committing <- struct{}{}; return nil }
	address := hub.Start()
	s := openStore(t)
	want := fill(t, s, 200, 50, 2)
	start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), BatchReadings: 500})
	for range 4 {
		<-committing
		hub.Stop()
		hub.Start()
	}
	eventually(t, "everything is acked", func() bool {
		for {
			select {
			case <-committing:
				continue
			default:
			}
			return s.Pending() == 0
		}
	})
	wantOnce(t, hub, want)
}

func TestFreshBeforeBacklog(t *testing.T) {
	hub := hubtest.New(t)
	hub.MaxInFlight = 1000
	address := hub.Start()
	s := openStore(t)
	fill(t, s, 300, 100, 1)
	start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), BatchReadings: 500, Fresh: 2000})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	firsts := hub.Totals().Firsts
	if firsts[0] != 28_001 {
		t.Errorf("the first batch starts at %d: want 28001, 2000 readings before the end", firsts[0])
	}
	at := slices.Index(firsts, 1)
	if at < 1 || !slices.IsSorted(firsts[:at]) || !slices.IsSorted(firsts[at:]) {
		t.Errorf("batches start at %v: want the fresh ones in order, then the backlog from 1 on in order", firsts)
	}
}

func TestLivePassesBacklogUnderWay(t *testing.T) {
	hub := hubtest.New(t)
	hub.MaxInFlight = 1000
	s := openStore(t)
	fill(t, s, 100, 100, 1)
	var once sync.Once
	var seen atomic.Int64 // batches of the backlog committed before the live reading
	live := make(chan struct{})
	hub.BeforeCommit = func(b wire.Batch) error {
		if b.First < 5000 && b.First > 1 {
			once.Do(func() {
				fill(t, s, 1, 7, 1)
				close(live)
			})
		}
		select {
		case <-live:
			if b.First > 10_000 {
				seen.CompareAndSwap(0, int64(len(hub.Totals().Firsts)))
			}
		default:
		}
		return nil
	}
	address := hub.Start()
	start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), BatchReadings: 100, Fresh: 200})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	if n := seen.Load(); n == 0 || n > 30 {
		t.Errorf("the live reading came after %d of 100 batches: want it within a window of 10 batches", n)
	}
}

func TestWindowIsKept(t *testing.T) {
	hub := hubtest.New(t)
	hub.MaxInFlight = 300
	var behind atomic.Int64
	s := openStore(t)
	hub.BeforeCommit = func(b wire.Batch) error {
		behind.Add(1)
		return nil
	}
	address := hub.Start()
	fill(t, s, 50, 100, 1)
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), BatchReadings: 100})
	eventually(t, "everything is acked", func() bool {
		if n := c.Status().InFlight; n > 400 {
			t.Fatalf("%d readings in flight: want at most 300 and the batch that fills the window", n)
		}
		return s.Pending() == 0
	})
}

func TestOverlap(t *testing.T) {
	// The hub learns of a commit only after it welcomed the next session: then its Welcome was too old.
	hub := hubtest.New(t)
	address := hub.Start()
	s := openStore(t)
	fill(t, s, 10, 10, 1)
	var once sync.Once
	hub.BeforeCommit = func(wire.Batch) error {
		once.Do(func() { hub.SetReceived(wire.Range{First: 1, End: 21}, wire.Range{First: 41, End: 61}) })
		return nil
	}
	start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s)})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	got := hub.Totals()
	if got.Overlaps != 1 || len(got.Readings) != 60 || len(got.Received) != 1 {
		t.Errorf("%d overlaps, %d readings, received %v: want 1 overlap and the 60 readings that were missing", got.Overlaps, len(got.Readings), got.Received)
	}
}

func TestComeBack(t *testing.T) {
	hub := hubtest.New(t)
	var asked atomic.Int64
	hub.OnMessage = func(m *uplinkv1.SyncRequest) error {
		if m.GetHello() != nil && asked.Add(1) <= 2 {
			return hubtest.SendAway{After: time.Millisecond, Reason: "busy"}
		}
		return nil
	}
	address := hub.Start()
	s := openStore(t)
	want := fill(t, s, 3, 10, 1)
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s)})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	wantOnce(t, hub, want)
	if st := c.Status(); st.Failures != 0 {
		t.Errorf("%d failures: being sent away is none", st.Failures)
	}
}

func TestReportsAndAnnouncements(t *testing.T) {
	hub := hubtest.New(t)
	config := wire.SiteConfig{Revision: 7, Zone: "Europe/Oslo", Resolution: time.Hour, Horizon: 48, Levels: []float64{0.1, 0.5, 0.9}}
	version := hub.PutModel("m1", []byte("a model"))
	hub.Announce(config, []wire.ModelVersion{version})
	address := hub.Start()
	s := openStore(t)
	f := forecast.Forecast{
		Point: "p", Register: meter.EnergyImport, Origin: 3_600_000, Resolution: time.Hour, Levels: []float64{0.5}, Values: []float64{1, 2},
		Rung: forecast.Baseline, Completeness: 1,
	}
	if err := s.PutForecast(f); err != nil {
		t.Fatal(err)
	}
	if err := s.Quarantine([]store.Quarantined{{Reason: "malformed", Detail: "bad \xff byte", Topic: "x", Payload: []byte{1, 2}}}); err != nil {
		t.Fatal(err)
	}
	configs, models := make(chan wire.SiteConfig, 10), make(chan []wire.ModelVersion, 10)
	outbox := fromStore(s)
	state := []wire.ModelState{{ID: "m1", State: wire.ModelRefused, Detail: "no"}}
	outbox.Models = func() []wire.ModelState { return state }
	outbox.ModelsAcked = func([]wire.ModelState) { state = nil }
	c := start(t, uplink.Options{
		Identity: enrolled(t, hub, address), Store: outbox, Outbox: outbox,
		OnConfig: func(c wire.SiteConfig) { configs <- c }, OnModels: func(m []wire.ModelVersion) { models <- m },
	})
	if got := <-configs; got.Revision != 7 || got.Zone != "Europe/Oslo" {
		t.Errorf("configuration %+v", got)
	}
	if got := <-models; len(got) != 1 || got[0].ID != "m1" || got[0].SHA256 != version.SHA256 {
		t.Errorf("models %+v", got)
	}
	config.Revision = 8
	hub.Announce(config, nil)
	if got := <-configs; got.Revision != 8 {
		t.Errorf("configuration %+v, want revision 8 within the same session", got)
	}
	eventually(t, "the report is acked", func() bool { return len(s.UnsentForecasts(10)) == 0 && s.QuarantineStats().Unsent == 0 })
	got := hub.Totals().Reports
	if len(got) != 1 || len(got[0].Forecasts) != 1 || len(got[0].Quarantined) != 1 || len(got[0].Models) != 1 {
		t.Fatalf("reports %+v: want one with everything", got)
	}
	var b []byte
	if err := c.Artifact(t.Context(), "m1", 2, func(p []byte) error { b = append(b, p...); return nil }); err != nil || string(b) != "model" {
		t.Errorf("artifact from 2: %q, %v", b, err)
	}
}

// TestLiveErrorsOutlastAnOutage: the hub is away, then dies with a report in its hands, then takes it. What was acked is not told
// again, and what changed is.
func TestLiveErrorsOutlastAnOutage(t *testing.T) {
	hub := hubtest.New(t)
	var reports atomic.Int64
	hub.OnMessage = func(m *uplinkv1.SyncRequest) error {
		if len(m.GetReport().GetLive()) > 0 && reports.Add(1) == 1 {
			return status.Error(codes.Unavailable, "power cut")
		}
		return nil
	}
	address := hub.Start()
	id := enrolled(t, hub, address)
	hub.Stop()
	s := openStore(t)
	var mu sync.Mutex
	days := map[meter.Millis]wire.LiveDay{}
	put := func(day int, wrong float64) {
		mu.Lock()
		defer mu.Unlock()
		d := wire.LiveDay{Point: "p", Register: meter.EnergyImport, Model: "m1", Day: watch.Day{
			Start: meter.Millis(day) * 86_400_000, Model: forecast.Score{Count: 24, Actual: 24_000, AbsErr: wrong}, Baseline: forecast.Score{Count: 24, Actual: 24_000, AbsErr: 3000},
		}}
		days[d.Start] = d
	}
	put(20_000, 1000)
	put(20_001, 2000)
	outbox := fromStore(s)
	outbox.Live = func() (out []wire.LiveDay) {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range days {
			out = append(out, d)
		}
		return out
	}
	outbox.LiveAcked = func(ds []wire.LiveDay) {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			if days[d.Start] == d {
				delete(days, d.Start)
			}
		}
	}
	c := start(t, uplink.Options{Identity: id, Store: outbox, Outbox: outbox, ReportEvery: 10 * time.Millisecond})
	eventually(t, "the outage is noticed", func() bool { return c.Status().Failures > 0 })
	hub.Start()
	told := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(days) == 0
	}
	eventually(t, "everything is told", told)
	put(20_001, 2500) // after late readings
	eventually(t, "the change is told", told)
	got := hub.Totals().Reports
	if len(got) != 2 || len(got[0].Live) != 2 || len(got[1].Live) != 1 || got[1].Live[0].Day.Model.AbsErr != 2500 || got[1].Live[0].Baseline.AbsErr != 3000 {
		t.Errorf("reports %+v", got)
	}
}

func TestAReportTheHubCannotStoreHoldsNothingUp(t *testing.T) {
	hub := hubtest.New(t)
	hub.MaxInFlight = 100
	hub.OnMessage = func(m *uplinkv1.SyncRequest) error {
		if m.GetReport() != nil {
			return status.Error(codes.InvalidArgument, "not this")
		}
		return nil
	}
	address := hub.Start()
	s := openStore(t)
	if err := s.Quarantine([]store.Quarantined{{Reason: "malformed"}}); err != nil {
		t.Fatal(err)
	}
	want := fill(t, s, 50, 20, 1)
	adapter := fromStore(s)
	start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: adapter, Outbox: adapter, BatchReadings: 50})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	wantOnce(t, hub, want)
}

func TestUnknownHubIsRefused(t *testing.T) {
	hub, impostor := hubtest.New(t), hubtest.New(t)
	id := enrolled(t, hub, hub.Start())
	s := openStore(t)
	fill(t, s, 1, 10, 1)
	c := start(t, uplink.Options{Identity: id, Store: fromStore(s), Hub: impostor.Start()})
	eventually(t, "it is noticed", func() bool { return c.Status().Failures > 1 })
	if got := impostor.Totals(); got.Sessions != 0 || len(got.Readings) != 0 {
		t.Errorf("an unknown hub was given %d readings", len(got.Readings))
	}
	if err := c.Artifact(t.Context(), "m", 0, nil); !errors.Is(err, uplink.ErrOffline) {
		t.Errorf("artifact while offline: %v, want ErrOffline", err)
	}
}

// TestComesBackWithAnExpiredCertificate: the agent gets another by itself, also when its own clock does not know that it needs one.
func TestComesBackWithAnExpiredCertificate(t *testing.T) {
	for name, clock := range map[string]time.Duration{"the clock is right": 1, "the clock is behind": 0} {
		t.Run(name, func(t *testing.T) {
			hub := hubtest.New(t)
			var ahead atomic.Int64
			hub.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			address := hub.Start()
			id := enrolled(t, hub, address)
			s := openStore(t)
			want := fill(t, s, 3, 10, 1)
			ahead.Store(int64(20 * time.Hour)) // of one hour
			c := start(t, uplink.Options{Identity: id, Store: fromStore(s), Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * clock) }})
			eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
			wantOnce(t, hub, want)
			if got := hub.Totals(); got.Renewals != 1 || c.Status().Failures != 0 {
				t.Errorf("%d renewals, status %+v: want one, and no failure", got.Renewals, c.Status())
			}
		})
	}
}

func TestRenewal(t *testing.T) {
	hub := hubtest.New(t)
	var ahead atomic.Int64
	hub.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	address := hub.Start()
	id := enrolled(t, hub, address)
	before := id.NotAfter()
	s := openStore(t)
	want := fill(t, s, 3, 10, 1)
	start(t, uplink.Options{Identity: id, Store: fromStore(s), Now: hub.Now})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	ahead.Store(int64(45 * time.Minute)) // of one hour
	eventually(t, "the certificate is renewed and shown", func() bool { return hub.Totals().Renewals == 1 && hub.Totals().Sessions == 2 })
	if !id.NotAfter().After(before) {
		t.Errorf("the certificate still expires at %s", id.NotAfter())
	}
	want = append(want, fill(t, s, 3, 10, 1)...)
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	wantOnce(t, hub, want)
}
