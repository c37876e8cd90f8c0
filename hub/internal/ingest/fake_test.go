package ingest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"fluxora.dev/hub/internal/authority"
	"fluxora.dev/hub/internal/guard"
	"fluxora.dev/hub/internal/ingest"
	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/proto/zstd"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// fakeStore keeps everything in memory, with the rules that ingest.Store and ingest.Enrolment state.
type fakeStore struct {
	org, site uuid.UUID

	mu         sync.Mutex
	tokens     map[uuid.UUID]uuid.UUID // who used it; zero when nobody has
	certs      map[string]uuid.UUID
	revoked    map[uuid.UUID]bool
	declared   map[meter.SeriesID]meter.Series
	received   []wire.Range
	readings   uint64
	reports    []wire.Report
	config     wire.SiteConfig
	weather    wire.Weather
	models     []wire.ModelVersion
	artifact   []byte
	unstorable uint64           // id of a quarantined message that cannot be stored
	fail       error            // of every call below
	beforeAck  func()           // runs inside CommitBatch, after it took effect
	inCommit   func(wire.Batch) // runs inside CommitBatch, before
	secrets    map[string][]byte
	lineages   map[uuid.UUID]guard.Lineage
	epochs     map[uint64]uint64 // the next sequence of each
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		org: uuid.New(), site: uuid.New(), tokens: make(map[uuid.UUID]uuid.UUID), certs: make(map[string]uuid.UUID),
		revoked: make(map[uuid.UUID]bool), declared: make(map[meter.SeriesID]meter.Series), secrets: make(map[string][]byte),
		lineages: make(map[uuid.UUID]guard.Lineage), epochs: make(map[uint64]uint64),
		config: wire.SiteConfig{Revision: 3, Zone: "Europe/Oslo"},
	}
}

func (f *fakeStore) PutSecretIfAbsent(_ context.Context, name string, v []byte) ([]byte, error) {
	if f.secrets[name] == nil {
		f.secrets[name] = v
	}
	return f.secrets[name], nil
}

func (f *fakeStore) Admit(_ context.Context, a ingest.Admission) (string, wire.SiteConfig, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	user, ok := f.tokens[a.Token]
	if !ok || f.revoked[a.Agent] {
		return "", wire.SiteConfig{}, ingest.ErrNotFound
	}
	if user != (uuid.UUID{}) && user != a.Agent {
		return "", wire.SiteConfig{}, ingest.ErrTokenUsed
	}
	f.tokens[a.Token] = a.Agent
	f.certs[a.Certificate] = a.Agent
	return "oslo-1", f.config, f.fail
}

func (f *fakeStore) PutCertificate(_ context.Context, a ingest.Agent, serial string, _ time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.certs[serial] = a.ID
	return nil
}

func (f *fakeStore) AgentByCertificate(_ context.Context, agent uuid.UUID, serial string) (ingest.Agent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.certs[serial] != agent {
		return ingest.Agent{}, ingest.ErrNotFound
	}
	return ingest.Agent{Org: f.org, ID: agent, Site: f.site, SiteName: "oslo-1", Revoked: f.revoked[agent]}, nil
}

func (f *fakeStore) Fallen(_ context.Context, hs []ingest.Holder) (fallen []uuid.UUID, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range hs {
		if f.certs[h.Serial] != h.Agent || f.revoked[h.Agent] {
			fallen = append(fallen, h.Agent)
		}
	}
	return fallen, f.fail
}

func (f *fakeStore) got() wire.Received {
	r := wire.Received{Cursor: 1}
	for _, x := range f.received {
		if x.First == r.Cursor {
			r.Cursor = x.End
		} else {
			r.Beyond = append(r.Beyond, x)
		}
	}
	return r
}

func (f *fakeStore) Knock(_ context.Context, a ingest.Agent, h wire.Hello, count uint64, _ string) (guard.Lineage, guard.Verdict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := guard.Knock{Count: count, Sequence: h.Next}
	if h.Lineage != nil {
		k.Keeps, k.Last, k.Next = true, h.Lineage.Last, h.Lineage.Next
	}
	k.Highest, k.KnownEpoch = f.epochs[h.Epoch]
	l, v := f.lineages[a.ID].Answer(k)
	f.lineages[a.ID] = l
	return l, v, nil
}

func (f *fakeStore) OpenSession(_ context.Context, _ ingest.Agent, h wire.Hello) (wire.Received, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epochs[h.Epoch] = max(f.epochs[h.Epoch], h.Next)
	return f.got(), f.fail
}

func (f *fakeStore) Declare(_ context.Context, _ ingest.Agent, _ uint64, ss []wire.Series) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range ss {
		f.declared[s.ID] = s.Series
	}
	return f.fail
}

func (f *fakeStore) CommitBatch(_ context.Context, _ ingest.Agent, _ uint64, b wire.Batch) (wire.Received, error) {
	f.mu.Lock()
	hook := f.inCommit
	f.mu.Unlock()
	if hook != nil {
		hook(b)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return wire.Received{}, f.fail
	}
	r := b.Range()
	if r.End <= f.got().Cursor {
		return f.got(), nil
	}
	for _, x := range f.received {
		if x.First <= r.First && r.End <= x.End {
			return f.got(), nil
		}
		if x.First < r.End && r.First < x.End {
			return f.got(), ingest.ErrOverlap
		}
	}
	for _, block := range b.Blocks {
		if _, ok := f.declared[block.Series]; !ok {
			return wire.Received{}, ingest.ErrUndeclared
		}
		if _, err := chunk.Decode(nil, block.Chunk, 1); err != nil {
			return wire.Received{}, ingest.ErrCorrupt
		}
	}
	f.received = append(f.received, r)
	slices.SortFunc(f.received, func(a, b wire.Range) int { return int(int64(a.First) - int64(b.First)) })
	f.readings += b.Count - b.Refused
	if f.beforeAck != nil {
		f.beforeAck()
	}
	return f.got(), nil
}

func (f *fakeStore) PutReport(_ context.Context, _ ingest.Agent, _ uint64, r wire.Report) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(r.Quarantined, func(q wire.Quarantined) bool { return f.unstorable > 0 && q.ID == f.unstorable }) {
		return ingest.ErrCorrupt
	}
	f.reports = append(f.reports, r)
	return f.fail
}

func (f *fakeStore) NewWeather(_ context.Context, _ ingest.Agent, held wire.Held) (wire.Weather, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.weather
	w.Observed = w.Observed.Since(held.To)
	if w.Forecast != nil && w.Forecast.Issued <= held.Issued {
		w.Forecast = nil
	}
	return w, nil
}

func (f *fakeStore) SiteConfig(context.Context, ingest.Agent) (wire.SiteConfig, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.config, nil
}

func (f *fakeStore) AnnouncedModels(context.Context, ingest.Agent) ([]wire.ModelVersion, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.models, nil
}

func (f *fakeStore) ArtifactChunk(_ context.Context, _ ingest.Agent, id string, offset uint64, n int) ([]byte, error) {
	if id != "m1" {
		return nil, ingest.ErrNotFound
	}
	b := f.artifact[min(offset, uint64(len(f.artifact))):]
	return b[:min(n, len(b))], nil
}

// set changes the store while the server runs.
func (f *fakeStore) set(change func(*fakeStore)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// hub is a server that is listening.
type hub struct {
	*ingest.Server
	t         testing.TB
	store     *fakeStore
	authority *authority.Authority
	address   string
	stop      func()
	now       func() time.Time
}

func startHub(t testing.TB, change func(*ingest.Options)) *hub {
	t.Helper()
	zstd.Register()
	f := newFakeStore()
	o := ingest.Options{Store: f, Enrolment: f, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Recheck: 10 * time.Millisecond, DrainTimeout: 2 * time.Second}
	if change != nil {
		change(&o)
	}
	var err error
	if o.Authority, err = authority.Open(t.Context(), f, authority.Options{Hosts: []string{"127.0.0.1"}, RenewWithin: 365 * 24 * time.Hour, Now: o.Now}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := ingest.New(o)
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	h := &hub{s, t, f, o.Authority, l.Addr().String(), func() { cancel(); work.Wait() }, o.Now}
	t.Cleanup(h.stop)
	return h
}

// token returns a fresh enrolment token that the store knows.
func (h *hub) token() string {
	token, says, err := h.authority.NewToken(h.store.org, h.store.site, time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	h.store.set(func(f *fakeStore) { f.tokens[says.ID] = uuid.UUID{} })
	return token
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csr(t testing.TB, key *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// dial connects with the given certificates, or none.
func (h *hub) dial(certificates ...tls.Certificate) *grpc.ClientConn {
	ca, err := x509.ParseCertificate(h.authority.Certificate())
	if err != nil {
		h.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	conn, err := grpc.NewClient("passthrough:///"+h.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: pool, ServerName: "127.0.0.1", Time: h.now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certificates) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certificates[0], nil
		},
	})))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

func (h *hub) enrol(token string, key *ecdsa.PrivateKey) (tls.Certificate, *uplinkv1.EnrolResponse, error) {
	answer, err := uplinkv1.NewEnrolmentServiceClient(h.dial()).Enrol(h.t.Context(), &uplinkv1.EnrolRequest{Token: token, Csr: csr(h.t, key)})
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{answer.GetCertificate()}, PrivateKey: key}, answer, nil
}

// agent returns the certificate of an agent that is enrolled.
func (h *hub) agent() (tls.Certificate, uuid.UUID) {
	key := newKey(h.t)
	cert, answer, err := h.enrol(h.token(), key)
	if err != nil {
		h.t.Fatal(err)
	}
	return cert, uuid.MustParse(answer.GetAgent())
}

// talk is an agent's side of a session.
type talk struct {
	t      testing.TB
	stream uplinkv1.UplinkService_SyncClient
}

func (h *hub) talk(cert tls.Certificate) *talk {
	stream, err := uplinkv1.NewUplinkServiceClient(h.dial(cert)).Sync(h.t.Context(), grpc.UseCompressor(zstd.Name))
	if err != nil {
		h.t.Fatal(err)
	}
	return &talk{h.t, stream}
}

func (k *talk) hello(next uint64) {
	k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Hello{Hello: wire.EncodeHello(wire.Hello{Epoch: 9, Next: next})}})
}

func (k *talk) send(m *uplinkv1.SyncRequest) {
	k.stream.Send(m) // what went wrong Recv says
}

func (k *talk) batch(first uint64, n int, series meter.SeriesID) {
	k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Batch{Batch: wire.EncodeBatch(batch(first, n, series))}})
}

func (k *talk) declare(id meter.SeriesID) {
	s := wire.Series{ID: id, Series: meter.Series{Point: "p", Register: meter.EnergyImport, Kind: meter.Counter}}
	k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Declaration{Declaration: wire.EncodeDeclaration([]wire.Series{s})}})
}

func (k *talk) recv() *uplinkv1.SyncResponse {
	k.t.Helper()
	m, err := k.stream.Recv()
	if err != nil {
		k.t.Fatal(err)
	}
	return m
}

// end returns the error that ends the session, skipping what comes before.
func (k *talk) end() error {
	for {
		if _, err := k.stream.Recv(); err != nil {
			return err
		}
	}
}

// opened says hello and skips welcome, configuration and models.
func (h *hub) opened(cert tls.Certificate) *talk {
	k := h.talk(cert)
	k.hello(1000)
	for range 3 {
		k.recv()
	}
	return k
}

func batch(first uint64, n int, series meter.SeriesID) wire.Batch {
	rs := make([]meter.Reading, n)
	for i := range rs {
		rs[i] = meter.Reading{At: meter.Millis(1_700_000_000_000 + 10_000*(int64(first)+int64(i))), Value: 8_000_000 + 33_000*int64(i) + int64(i%7)*1000}
	}
	b, err := chunk.Append(nil, rs)
	if err != nil {
		panic(err)
	}
	return wire.Batch{First: first, Count: uint64(n), Blocks: []wire.Block{{Series: series, Chunk: b}}}
}
