// Package hubtest is a hub in memory, for tests of the agent: it enrols agents, takes their readings over real gRPC and mutual
// TLS with the hub's rules (what is committed is kept once; a batch held in part is an overlap), and fails on request.
//
// It must not be used outside tests.
package hubtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/proto/zstd"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Agent is the id that the hub gives to whoever enrols.
const Agent = "11111111-2222-8333-8444-555555555555"

// Hub is the hub. Its exported fields must be set before Start; everything else goes through methods.
type Hub struct {
	uplinkv1.UnimplementedEnrolmentServiceServer
	uplinkv1.UnimplementedUplinkServiceServer

	// Now is the clock for certificates.
	Now func() time.Time
	// CertificateLife is how long agents' certificates are valid.
	CertificateLife time.Duration
	// MaxInFlight is what Welcome says.
	MaxInFlight uint64
	// BeforeCommit, AfterCommit and OnMessage may end the session with an error; a SendAway in it is sent as ComeBack, and a
	// Refuse of BeforeCommit as Refusal.
	BeforeCommit, AfterCommit func(wire.Batch) error
	OnMessage                 func(*uplinkv1.SyncRequest) error
	// RefuseEntries is how many entries of each report the hub says it cannot store.
	RefuseEntries uint32
	// OnLedger answers accounts; without it they are compared and balance.
	OnLedger func(wire.Ledger) wire.LedgerAck
	// Discard makes the hub decode readings and forget them, for benchmarks.
	Discard bool
	// Wrap may break connections.
	Wrap func(net.Listener) net.Listener

	t         testing.TB
	ca        *x509.Certificate
	key       *ecdsa.PrivateKey
	artifacts ed25519.PrivateKey

	mu        sync.Mutex
	server    *grpc.Server
	served    chan struct{} // closed when server is not listening any more
	address   string
	received  []wire.Range
	readings  []meter.Reading
	firsts    []uint64
	refused   uint64
	overlaps  int
	replays   int
	sessions  int
	declared  map[meter.SeriesID]meter.Series
	reports   []wire.Report
	asks      []wire.Resend
	resent    []wire.Resent
	config    wire.SiteConfig
	models    []wire.ModelVersion
	weather   *wire.Weather
	bytes     map[string][]byte
	renewals  int
	tellAgain map[chan struct{}]bool
}

// New returns a hub that is not listening yet.
func New(t testing.TB) *Hub {
	zstd.Register()
	h := &Hub{
		t: t, Now: time.Now, CertificateLife: time.Hour,
		declared: make(map[meter.SeriesID]meter.Series), bytes: make(map[string][]byte), tellAgain: make(map[chan struct{}]bool),
	}
	h.key, h.ca = NewCA(t)
	_, h.artifacts, _ = ed25519.GenerateKey(nil)
	return h
}

// NewCA makes an authority.
func NewCA(t testing.TB) (*ecdsa.PrivateKey, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Unix(0, 0),
		NotAfter: time.Now().AddDate(100, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, ca
}

// Token returns an enrolment token that pins the hub's authority.
func (h *Hub) Token() string {
	pin := sha256.Sum256(h.ca.Raw)
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"pin": hex.EncodeToString(pin[:])}).SignedString(h.artifacts)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// Start listens, at the address of the last Start if there was one, and returns it.
func (h *Hub) Start() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	address := h.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.address = l.Addr().String()
	if h.Wrap != nil {
		l = h.Wrap(l)
	}
	pool := x509.NewCertPool()
	pool.AddCert(h.ca)
	h.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, ClientCAs: pool, Time: h.Now,
		VerifyConnection: func(s tls.ConnectionState) error { // an expired certificate is good for a renewal
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, CurrentTime: s.PeerCertificates[0].NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			return err
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return h.serverCertificate() },
	})))
	uplinkv1.RegisterEnrolmentServiceServer(h.server, h)
	uplinkv1.RegisterUplinkServiceServer(h.server, h)
	served := make(chan struct{})
	h.served = served
	go func(g *grpc.Server) { defer close(served); g.Serve(l) }(h.server)
	h.t.Cleanup(h.server.Stop)
	return h.address
}

// Stop cuts every connection, as a crash does. What is committed stays.
func (h *Hub) Stop() {
	h.mu.Lock()
	server, served := h.server, h.served
	h.mu.Unlock()
	server.Stop()
	<-served // the port is free again
}

func (h *Hub) serverCertificate() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: h.Now().Add(-time.Hour), NotAfter: h.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, h.ca, key.Public(), h.key)
	return &tls.Certificate{Certificate: [][]byte{der, h.ca.Raw}, PrivateKey: key}, err
}

func (h *Hub) issue(csr []byte) ([]byte, error) {
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(h.Now().UnixNano()), NotBefore: h.Now(), NotAfter: h.Now().Add(h.CertificateLife),
		Subject: pkix.Name{CommonName: Agent}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, h.ca, r.PublicKey, h.key)
}

// Enrol implements uplinkv1.EnrolmentServiceServer.
func (h *Hub) Enrol(_ context.Context, r *uplinkv1.EnrolRequest) (*uplinkv1.EnrolResponse, error) {
	der, err := h.issue(r.GetCsr())
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &uplinkv1.EnrolResponse{
		Certificate: der, Authority: h.ca.Raw, ArtifactKey: h.artifacts.Public().(ed25519.PublicKey), Agent: Agent, Site: "test-site",
		Config: wire.EncodeSiteConfig(h.config),
	}, nil
}

// Renew implements uplinkv1.EnrolmentServiceServer.
func (h *Hub) Renew(ctx context.Context, r *uplinkv1.RenewRequest) (*uplinkv1.RenewResponse, error) {
	if _, err := certificate(ctx); err != nil {
		return nil, err
	}
	der, err := h.issue(r.GetCsr())
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renewals++
	return &uplinkv1.RenewResponse{Certificate: der, Authority: h.ca.Raw, ArtifactKey: h.artifacts.Public().(ed25519.PublicKey)}, nil
}

func certificate(ctx context.Context) (*x509.Certificate, error) {
	p, _ := peer.FromContext(ctx)
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil, status.Error(codes.Unauthenticated, "a client certificate is needed")
	}
	return info.State.PeerCertificates[0], nil
}

func (h *Hub) verified(ctx context.Context) error {
	c, err := certificate(ctx)
	if err == nil && h.Now().After(c.NotAfter) {
		err = status.Error(codes.Unauthenticated, "certificate expired")
	}
	return err
}

// PutModel adds a model and returns what is announced of it.
func (h *Hub) PutModel(id string, b []byte) wire.ModelVersion {
	h.mu.Lock()
	defer h.mu.Unlock()
	digest := sha256.Sum256(b)
	h.bytes[id] = b
	return wire.ModelVersion{ID: id, Family: "test", Size: uint64(len(b)), SHA256: digest, Signature: model.Sign(h.artifacts, digest)}
}

// Announce tells live and later sessions of configuration and models.
func (h *Hub) Announce(c wire.SiteConfig, ms []wire.ModelVersion) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.config, h.models = c, ms
	h.announce()
}

// announce wakes the live sessions. h.mu is held.
func (h *Hub) announce() {
	for tell := range h.tellAgain {
		select {
		case tell <- struct{}{}:
		default:
		}
	}
}

// Forecast tells live and later sessions of the weather.
func (h *Hub) Forecast(w wire.Weather) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.weather = &w
	h.announce()
}

// Artifact implements uplinkv1.UplinkServiceServer.
func (h *Hub) Artifact(r *uplinkv1.ArtifactRequest, stream uplinkv1.UplinkService_ArtifactServer) error {
	if err := h.verified(stream.Context()); err != nil {
		return err
	}
	h.mu.Lock()
	b := h.bytes[r.GetId()]
	h.mu.Unlock()
	for part := range slices.Chunk(b[min(r.GetOffset(), uint64(len(b))):], wire.ArtifactChunk) {
		if err := stream.Send(&uplinkv1.ArtifactResponse{Data: part}); err != nil {
			return err
		}
	}
	return nil
}

// Ask makes live and later sessions ask for readings again, one request after the other.
func (h *Hub) Ask(rs ...wire.Resend) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asks = rs
	for tell := range h.tellAgain {
		select {
		case tell <- struct{}{}:
		default:
		}
	}
}

// Resent returns the parts that were sent again.
func (h *Hub) Resent() []wire.Resent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.resent)
}

// Totals is what the hub has seen.
type Totals struct {
	Received []wire.Range
	Readings []meter.Reading // committed, in order of commit
	Firsts   []uint64        // first sequences of the batches committed, in order of commit
	Refused  uint64
	Overlaps int
	Replays  int
	Sessions int
	Renewals int
	Declared int
	Reports  []wire.Report
}

// Totals returns what the hub has seen.
func (h *Hub) Totals() Totals {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Totals{
		slices.Clone(h.received), slices.Clone(h.readings), slices.Clone(h.firsts), h.refused, h.overlaps, h.replays, h.sessions, h.renewals,
		len(h.declared), slices.Clone(h.reports),
	}
}

// SetReceived replaces what the hub has, as restoring it from a backup does.
func (h *Hub) SetReceived(rs ...wire.Range) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.received = rs
}

var errUndeclared = errors.New("undeclared series")

// commit applies the hub's rules to b. h.mu is held.
func (h *Hub) commit(b wire.Batch) (overlap bool, err error) {
	r := b.Range()
	at, i := r, 0
	for i = range h.received {
		x := h.received[i]
		if x.First <= r.First && r.End <= x.End {
			h.replays++
			return false, nil
		}
		if x.First < r.End && r.First < x.End {
			h.overlaps++
			return true, nil
		}
	}
	for _, block := range b.Blocks {
		if _, ok := h.declared[block.Series]; !ok {
			return false, errUndeclared
		}
		if h.readings, err = chunk.Decode(h.readings, block.Chunk, block.Series); err != nil {
			return false, err
		}
		if h.Discard {
			h.readings = h.readings[:0]
		}
	}
	h.refused += b.Refused
	h.firsts = append(h.firsts, b.First)
	merged := []wire.Range{}
	for _, x := range h.received {
		if x.End == at.First || at.End == x.First {
			at = wire.Range{First: min(at.First, x.First), End: max(at.End, x.End)}
		} else {
			merged = append(merged, x)
		}
	}
	merged = append(merged, at)
	slices.SortFunc(merged, func(a, b wire.Range) int { return int(int64(a.First) - int64(b.First)) })
	h.received = merged
	return false, nil
}

// got returns h.received as cursor and the rest. h.mu is held.
func (h *Hub) got() wire.Received {
	r := wire.Received{Cursor: 1}
	for _, x := range h.received {
		if x.First == 1 {
			r.Cursor = x.End
		} else {
			r.Beyond = append(r.Beyond, x)
		}
	}
	return r
}
