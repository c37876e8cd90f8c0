package ingest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"fluxora.dev/hub/internal/authority"
	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/ingeststore"
	"fluxora.dev/hub/internal/store/storetest"
	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/proto/zstd"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// plan is what a fleet brings when it comes back after a day without the hub.
type plan struct {
	agents, points int
	step           time.Duration // between readings of a point in the backlog
	instants       int           // in a batch of the backlog
	tick           time.Duration // between fresh readings
	door           float64       // sessions a second
	durable        bool          // Postgres as it is installed, not as tests have it
}

// backlog returns how many batches of the backlog there are, and how many readings are in each.
func (p plan) backlog() (batches int, readings uint64) {
	return int(24*time.Hour/p.step) / p.instants, uint64(p.instants * p.points)
}

// TestFleetComesBack lets a fleet come back after 24 h: the hub, with a real Postgres and its derivation, takes everything once,
// fresh readings pass the backlog, and memory stays bounded. FLUXORA_FLEET=1000 is the full size: 20 points at 10 s each.
func TestFleetComesBack(t *testing.T) {
	p := plan{agents: 60, points: 4, step: time.Minute, instants: 240, tick: time.Second, door: 15}
	if testing.Short() {
		p.agents, p.points, p.door = 12, 2, 3
	}
	if n, err := strconv.Atoi(os.Getenv("FLUXORA_FLEET")); err == nil && n > 0 {
		p = plan{agents: n, points: 20, step: 10 * time.Second, instants: 432, tick: 10 * time.Second, door: 100, durable: true}
	}
	newFleet(t, p).comeBack()
}

// fleet is a hub and the agents that come back to it.
type fleet struct {
	testing.TB
	plan
	url    string
	store  *store.Store
	server *ingest.Server
	conn   func(tls.Certificate) (*grpc.ClientConn, error)
	agents []*simulated
	blocks [][]wire.Block // of each batch of the backlog; the same for every agent

	mu        sync.Mutex
	freshness []time.Duration // from the measurement to the ack
	comeBacks atomic.Int64
	broken    atomic.Int64 // connections
	fresh     atomic.Int64 // readings measured
}

// simulated is an agent, as far as the hub sees it.
type simulated struct {
	fleet *fleet
	cert  tls.Certificate

	acked   map[uint64]bool // firsts of batches
	done    int             // of the backlog
	next    uint64
	measure []measured // not acked, the oldest first
}

// measured is a batch of fresh readings.
type measured struct {
	wire.Batch
	at   time.Time
	sent bool
}

func newFleet(t testing.TB, p plan) *fleet {
	zstd.Register()
	f := &fleet{TB: t, plan: p}
	ctx := context.Background()
	f.url = f.database()
	var err error
	if f.store, err = store.Open(ctx, f.url, store.Options{MaxConnections: 16}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.store.Close)
	adapter := ingeststore.New(f.store, time.Now)
	ca, err := authority.Open(ctx, f.store, authority.Options{Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.server = ingest.New(ingest.Options{
		Store: adapter, Enrolment: adapter, Books: adapter, Authority: ca, Log: slog.New(slog.DiscardHandler), OpenPerSec: p.door, Lag: f.store.DeriveLag,
	})
	running, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		if err := f.server.Serve(running, l); err != nil {
			t.Error(err)
		}
	})
	work.Go(func() {
		if err := derive.New(f.store, derive.Options{}).Run(running); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); work.Wait() })

	root, err := x509.ParseCertificate(ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	f.conn = func(c tls.Certificate) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			RootCAs: pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{c},
		})))
	}
	f.enrol(ctx, ca)
	f.measureBacklog()
	return f
}

// database returns the URL of a migrated database.
func (f *fleet) database() string {
	if !f.durable {
		return storetest.URL(f)
	}
	dir, err := os.MkdirTemp("", "fx-fleet-")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres may run as another user
		f.Fatal(err)
	}
	s, err := postgres.Start(context.Background(), postgres.Options{Dir: filepath.Join(dir, "postgres")})
	if errors.Is(err, postgres.ErrNoBinaries) {
		f.Skipf("skipped: %v", err)
	} else if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Stop() })
	return s.URL()
}

// enrol gives every agent a site and a certificate, as enrolment does, but for the limits on how fast one may enrol.
func (f *fleet) enrol(ctx context.Context, ca *authority.Authority) {
	org, err := f.store.EnsureOrganisation(ctx, "fleet")
	if err != nil {
		f.Fatal(err)
	}
	for i := range f.plan.agents {
		key := newKey(f)
		request, err := authority.ParseRequest(csr(f, key))
		if err != nil {
			f.Fatal(err)
		}
		id, err := authority.AgentOf(key.Public())
		if err != nil {
			f.Fatal(err)
		}
		issued, err := ca.Issue(request, id)
		if err != nil {
			f.Fatal(err)
		}
		site, err := f.store.EnsureSite(ctx, org, store.Site{Name: fmt.Sprintf("site-%d", i), Resolution: 15 * time.Minute})
		if err == nil {
			err = errors.Join(f.store.PutAgent(ctx, org, id, site.ID, "test"), f.store.PutCertificate(ctx, org, id, issued.Serial, issued.NotAfter))
		}
		if err != nil {
			f.Fatal(err)
		}
		n, each := f.backlog()
		f.agents = append(f.agents, &simulated{
			fleet: f, cert: tls.Certificate{Certificate: [][]byte{issued.DER}, PrivateKey: key}, acked: make(map[uint64]bool), next: uint64(n)*each + 1,
		})
	}
}

// measureBacklog packs what every agent measured in the last 24 h.
func (f *fleet) measureBacklog() {
	n, _ := f.backlog()
	at := meter.MillisOf(time.Now().Add(-24 * time.Hour))
	for b := range n {
		var blocks []wire.Block
		for p := range f.points {
			rs := make([]meter.Reading, f.instants)
			for i := range rs {
				k := int64(b*f.instants + i)
				rs[i] = meter.Reading{At: at.Add(time.Duration(k) * f.step), Value: 1_000_000_000 + k*(3000+k%7*100+int64(p))}
			}
			blocks = append(blocks, f.block(p, rs...))
		}
		f.blocks = append(f.blocks, blocks)
	}
}

func (f *fleet) block(point int, rs ...meter.Reading) wire.Block {
	c, err := chunk.Append(nil, rs)
	if err != nil {
		f.Fatal(err)
	}
	return wire.Block{Series: meter.SeriesID(point + 1), Chunk: c}
}

// comeBack lets all agents dial at once and waits until the hub has everything.
func (f *fleet) comeBack() {
	ctx, cancel := context.WithTimeoutCause(f.Context(), 20*time.Minute, errors.New("the fleet's backlog took more than 20 minutes"))
	defer cancel()
	began := time.Now()
	drained := make(chan struct{}, f.plan.agents)
	enough := make(chan struct{})
	var all sync.WaitGroup
	for _, a := range f.agents {
		all.Go(func() {
			if err := a.run(ctx, drained, enough); err != nil {
				f.Errorf("agent: %v", err)
				cancel()
			}
		})
	}
	memory := f.watchMemory(ctx)
	for range f.agents {
		select {
		case <-drained:
		case <-ctx.Done():
			f.Fatal(context.Cause(ctx))
		}
	}
	took := time.Since(began)
	close(enough)
	all.Wait()
	cancel()
	f.judge(took, memory())
}

func (f *fleet) judge(took time.Duration, heap uint64) {
	n, each := f.backlog()
	backlog := int64(f.plan.agents) * int64(n) * int64(each)
	want := backlog + f.fresh.Load()
	c, err := pgx.Connect(context.Background(), f.url)
	if err != nil {
		f.Fatal(err)
	}
	defer c.Close(context.Background())
	var have, gaps int64
	err = c.QueryRow(context.Background(), `select (select sum(readings)::bigint from site_arrival),
		(select count(*) from agent_epoch e where (select count(*) from unnest(e.received)) <> 1)`).Scan(&have, &gaps)
	if err != nil {
		f.Fatal(err)
	}
	if have != want || gaps != 0 {
		f.Errorf("the hub holds %d readings, and of %d agents not all: want %d and none", have, gaps, want)
	}
	slices.Sort(f.freshness)
	if len(f.freshness) == 0 {
		f.Fatal("no fresh reading was acked while the backlog drained")
	}
	p95 := f.freshness[len(f.freshness)*95/100]
	s := f.server.Stats()
	f.Logf("%d agents, %d readings of backlog in %s: %.0f readings/s, %.0f times real time; fresh readings: p50 %s, p95 %s, last %s; %d told to come back, %d connections broke; heap of hub and agents together at most %d MB",
		f.plan.agents, backlog, took.Round(time.Millisecond), float64(backlog)/took.Seconds(), (24*time.Hour).Seconds()/took.Seconds(),
		f.freshness[len(f.freshness)/2].Round(time.Millisecond), p95.Round(time.Millisecond), f.freshness[len(f.freshness)-1].Round(time.Millisecond),
		f.comeBacks.Load(), f.broken.Load(), heap>>20)
	if p95 > time.Minute {
		f.Errorf("of the fresh readings the slowest twentieth took more than %s: want at most a minute", p95)
	}
	if most := uint64(100<<20 + f.plan.agents*600<<10); heap > most {
		f.Errorf("the heap grew to %d bytes: want at most %d", heap, most)
	}
	if s.Invalid+s.Overlaps+s.Refused+s.Panics > 0 {
		f.Errorf("the hub counted %+v: want nothing wrong", s)
	}
	if f.door < float64(f.plan.agents)/2 && f.comeBacks.Load() == 0 {
		f.Errorf("nobody was told to come back")
	}
}

// watchMemory returns what gives the highest use of the heap seen until then.
func (f *fleet) watchMemory(ctx context.Context) func() uint64 {
	var most uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return func() uint64 { <-done; return most }
}

// errComeBack is how a session ends that the hub sent away.
type errComeBack struct{ after time.Duration }

func (e errComeBack) Error() string { return fmt.Sprintf("come back after %s", e.after) }

// run measures, and keeps a session open, until enough is closed and everything is acked.
func (a *simulated) run(ctx context.Context, drained chan<- struct{}, enough <-chan struct{}) error {
	conn, err := a.fleet.conn(a.cert)
	if err != nil {
		return err
	}
	defer conn.Close()
	tick := time.NewTicker(a.fleet.tick)
	defer tick.Stop()
	for {
		err := a.session(ctx, conn, tick, drained, enough)
		back, ok := errors.AsType[errComeBack](err)
		switch {
		case ok:
			a.fleet.comeBacks.Add(1)
		case status.Code(err) == codes.Unavailable && ctx.Err() == nil: // a connection that broke: as the agent does, come again
			a.fleet.broken.Add(1)
			back.after = time.Second + time.Duration(rand.Int64N(int64(4*time.Second)))
		default:
			return err
		}
		for wait := time.After(back.after); wait != nil; {
			select {
			case <-wait:
				wait = nil
			case <-tick.C:
				a.measures()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// measures takes one reading of every point.
func (a *simulated) measures() {
	now := time.Now()
	m := measured{Batch: wire.Batch{First: a.next, Count: uint64(a.fleet.points)}, at: now}
	for p := range a.fleet.points {
		m.Blocks = append(m.Blocks, a.fleet.block(p, meter.Reading{At: meter.MillisOf(now), Value: 2_000_000_000 + int64(a.next)}))
	}
	a.next += m.Count
	a.fleet.fresh.Add(int64(m.Count))
	a.measure = append(a.measure, m)
}

// session is one conversation with the hub.
func (a *simulated) session(ctx context.Context, conn *grpc.ClientConn, tick *time.Ticker, drained chan<- struct{}, enough <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := uplinkv1.NewUplinkServiceClient(conn).Sync(ctx, grpc.UseCompressor(zstd.Name))
	if err != nil {
		return err
	}
	answers, failed := make(chan *uplinkv1.SyncResponse), make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case answers <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	n, each := a.fleet.backlog()
	hello := wire.Hello{Version: "test", Epoch: 1, Next: a.next, Pending: a.next - 1 - uint64(len(a.acked)), Now: meter.MillisOf(time.Now())}
	if err := stream.Send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Hello{Hello: wire.EncodeHello(hello)}}); err != nil {
		return <-failed
	}
	var window, flying uint64
	sent := 0 // batches of the backlog
	for {
		for window > 0 && flying < window {
			b, ok := a.choose(&sent, n, each, flying, window)
			if !ok {
				break
			}
			flying += b.Count
			if err := stream.Send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Batch{Batch: wire.EncodeBatch(b)}}); err != nil {
				return <-failed
			}
		}
		if a.done == n && len(a.measure) == 0 && enough == nil {
			return nil
		}
		select {
		case m := <-answers:
			switch m := m.GetMessage().(type) {
			case *uplinkv1.SyncResponse_ComeBack:
				return errComeBack{time.Duration(m.ComeBack.GetAfterMs()) * time.Millisecond}
			case *uplinkv1.SyncResponse_Welcome:
				window = m.Welcome.GetMaxInFlight()
				var ss []wire.Series
				for p := range a.fleet.points {
					ss = append(ss, wire.Series{ID: meter.SeriesID(p + 1), Series: meter.Series{Point: fmt.Sprintf("p%d", p), Register: meter.EnergyImport, Kind: meter.Counter}})
				}
				if err := stream.Send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Declaration{Declaration: wire.EncodeDeclaration(ss)}}); err != nil {
					return <-failed
				}
			case *uplinkv1.SyncResponse_Ack:
				r := m.Ack.GetRange()
				flying -= r.GetEnd() - r.GetFirst()
				a.ack(r.GetFirst())
				if a.done == n && drained != nil {
					drained <- struct{}{}
					drained = nil
				}
			}
		case <-tick.C:
			if enough != nil {
				a.measures()
			}
		case <-enough:
			enough = nil
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// choose returns what goes next: what was measured since, or else the backlog, which leaves a quarter of the window.
func (a *simulated) choose(sent *int, n int, each, flying, window uint64) (b wire.Batch, ok bool) {
	for i := range a.measure {
		if !a.measure[i].sent {
			a.measure[i].sent = true
			return a.measure[i].Batch, true
		}
	}
	if *sent == n || flying > 0 && 4*flying >= 3*window {
		return b, false
	}
	b = wire.Batch{First: uint64(*sent)*each + 1, Count: each, Blocks: a.fleet.blocks[*sent]}
	*sent++
	return b, true
}

// ack notes what the hub has.
func (a *simulated) ack(first uint64) {
	if i := slices.IndexFunc(a.measure, func(m measured) bool { return m.First == first }); i >= 0 {
		a.fleet.mu.Lock()
		a.fleet.freshness = append(a.fleet.freshness, time.Since(a.measure[i].at))
		a.fleet.mu.Unlock()
		a.measure = slices.Delete(a.measure, i, i+1)
		return
	}
	if !a.acked[first] {
		a.acked[first] = true
		a.done++
	}
}
