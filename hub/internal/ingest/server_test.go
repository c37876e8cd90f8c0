package ingest_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"fluxora.dev/hub/internal/ingest"
	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/feature"
)

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: error %v, want code %s", what, err, want)
	}
}

func TestSession(t *testing.T) {
	var committed atomic.Int64
	h := startHub(t, func(o *ingest.Options) {
		o.Committed = func(_, _ uuid.UUID) { committed.Add(1) }
		o.MaxInFlight = 77
	})
	h.store.set(func(f *fakeStore) {
		hour := feature.WeatherSeries{Resolution: time.Hour, Temperature: []float64{3}}
		f.weather = wire.Weather{Observed: hour, Forecast: &feature.WeatherForecast{Issued: 7, WeatherSeries: hour}}
	})
	cert, _ := h.agent()
	k := h.talk(cert)
	k.hello(1000)
	if w := k.recv().GetWelcome(); w.GetCursor() != 1 || w.GetMaxInFlight() != 77 {
		t.Errorf("welcome %v", w)
	}
	if c := k.recv().GetConfig(); c.GetRevision() != 3 {
		t.Errorf("configuration %v", c)
	}
	k.recv() // models
	if w := k.recv().GetWeather(); len(w.GetObserved().GetTemperature()) != 1 || w.GetIssuedMs() != 7 {
		t.Errorf("weather %v", w)
	}
	k.declare(5)
	k.batch(1, 10, 5)
	if a := k.recv().GetAck(); a.GetRange().GetEnd() != 11 || a.GetCursor() != 11 {
		t.Errorf("ack %v", a)
	}
	k.batch(1, 10, 5) // a replay
	if a := k.recv().GetAck(); a.GetRange().GetEnd() != 11 {
		t.Errorf("ack of a replay %v", a)
	}
	k.batch(5, 10, 5)
	if o := k.recv().GetOverlap(); o.GetRange().GetFirst() != 5 || o.GetCursor() != 11 {
		t.Errorf("overlap %v", o)
	}
	k.batch(21, 10, 5)
	if a := k.recv().GetAck(); a.GetCursor() != 11 {
		t.Errorf("ack beyond the cursor %v", a)
	}
	k.send(&uplinkv1.SyncRequest{}) // of a kind to come
	k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Report{Report: wire.EncodeReport(wire.Report{
		ID: 12, Quarantined: []wire.Quarantined{{ID: 1, Reason: "malformed"}},
	})}})
	if r := k.recv().GetReportAck(); r.GetId() != 12 {
		t.Errorf("report ack %v", r)
	}
	h.store.set(func(f *fakeStore) { f.config.Revision = 4; f.models = []wire.ModelVersion{{ID: "m1", Size: 1}} })
	h.Announce(h.store.org, uuid.UUID{})
	if c := k.recv().GetConfig(); c.GetRevision() != 4 {
		t.Errorf("configuration %v", c)
	}
	if m := k.recv().GetModels(); len(m.GetModels()) != 1 {
		t.Errorf("models %v", m)
	}
	if n := h.store.readings; n != 20 || committed.Load() != 3 {
		t.Errorf("%d readings, %d notices: want 20 and 3", n, committed.Load())
	}
	if s := h.Stats(); s.Sessions != 1 || s.Batches != 3 || s.Overlaps != 1 || s.Unknown != 1 || s.Enrolled != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestWhoIsRefused(t *testing.T) {
	var ahead atomic.Int64
	h := startHub(t, func(o *ingest.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	other := startHub(t, nil)
	good, id := h.agent()
	foreign, _ := other.agent()
	unknown, unknownID := h.agent()
	h.store.set(func(f *fakeStore) {
		for serial, agent := range f.certs {
			if agent == unknownID {
				delete(f.certs, serial)
			}
		}
	})
	revoked, revokedID := h.agent()
	h.store.set(func(f *fakeStore) { f.revoked[revokedID] = true })
	key := newKey(t)
	selfSigned, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)},
		&x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	try := func(name string, certs ...tls.Certificate) {
		t.Helper()
		conn := h.dial(certs...)
		stream, err := uplinkv1.NewUplinkServiceClient(conn).Sync(t.Context())
		if err == nil {
			stream.Send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Hello{Hello: wire.EncodeHello(wire.Hello{Epoch: 1, Next: 1})}})
			_, err = stream.Recv()
		}
		if c := status.Code(err); c != codes.Unauthenticated && c != codes.Unavailable { // unavailable: TLS failed
			t.Errorf("%s: session: error %v", name, err)
		}
		if _, err := uplinkv1.NewEnrolmentServiceClient(conn).Renew(t.Context(), &uplinkv1.RenewRequest{Csr: csr(t, key)}); err == nil {
			t.Errorf("%s: renewed", name)
		}
		artifact, err := uplinkv1.NewUplinkServiceClient(conn).Artifact(t.Context(), &uplinkv1.ArtifactRequest{Id: "m1"})
		if err == nil {
			_, err = artifact.Recv()
		}
		if status.Code(err) != codes.Unauthenticated && status.Code(err) != codes.Unavailable {
			t.Errorf("%s: artifact: error %v", name, err)
		}
	}
	try("no certificate")
	try("another hub's certificate", foreign)
	try("certificate the store does not know", unknown)
	try("revoked", revoked)
	try("self-signed", tls.Certificate{Certificate: [][]byte{selfSigned}, PrivateKey: key})
	try("without the key", tls.Certificate{Certificate: good.Certificate, PrivateKey: key})

	k := h.opened(good)
	h.store.set(func(f *fakeStore) { f.revoked[id] = true })
	wantCode(t, "revoked while connected", k.end(), codes.Unauthenticated)
	h.store.set(func(f *fakeStore) { f.revoked[id] = false })
	k = h.opened(good)
	ahead.Store(int64((90 + 366) * 24 * time.Hour))
	wantCode(t, "expired while connected", k.end(), codes.Unauthenticated)
	try("expired", good)
}

func TestTokens(t *testing.T) {
	h, other := startHub(t, nil), startHub(t, nil)
	key := newKey(t)
	token := h.token()
	if _, _, err := h.enrol(token, key); err != nil {
		t.Fatal(err)
	}
	cert, _, err := h.enrol(token, key)
	if err != nil {
		t.Errorf("the same key again, as after a lost answer: %v", err)
	}
	h.opened(cert)
	_, _, err = h.enrol(token, newKey(t))
	wantCode(t, "another key", err, codes.PermissionDenied)
	_, _, err = h.enrol(other.token(), key)
	wantCode(t, "another hub's token", err, codes.PermissionDenied)
	_, _, err = h.enrol("rubbish", key)
	wantCode(t, "rubbish", err, codes.PermissionDenied)
	unknown, _, err := h.authority.NewToken(h.store.org, h.store.site, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.enrol(unknown, key)
	wantCode(t, "withdrawn", err, codes.PermissionDenied)
	expired, says, err := h.authority.NewToken(h.store.org, h.store.site, -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h.store.set(func(f *fakeStore) { f.tokens[says.ID] = uuid.UUID{} })
	_, _, err = h.enrol(expired, newKey(t))
	wantCode(t, "expired", err, codes.PermissionDenied)
	_, err = uplinkv1.NewEnrolmentServiceClient(h.dial()).Enrol(t.Context(), &uplinkv1.EnrolRequest{Token: h.token(), Csr: []byte("x")})
	wantCode(t, "bad request", err, codes.InvalidArgument)
	for range 30 {
		_, _, err = h.enrol("rubbish", key)
	}
	wantCode(t, "the thirtieth try", err, codes.ResourceExhausted)
}

func TestRenewKeepsTheKey(t *testing.T) {
	h := startHub(t, nil)
	key := newKey(t)
	cert, _, err := h.enrol(h.token(), key)
	if err != nil {
		t.Fatal(err)
	}
	client := uplinkv1.NewEnrolmentServiceClient(h.dial(cert))
	answer, err := client.Renew(t.Context(), &uplinkv1.RenewRequest{Csr: csr(t, key)})
	if err != nil {
		t.Fatal(err)
	}
	h.opened(tls.Certificate{Certificate: [][]byte{answer.GetCertificate()}, PrivateKey: key})
	_, err = client.Renew(t.Context(), &uplinkv1.RenewRequest{Csr: csr(t, newKey(t))})
	wantCode(t, "another key", err, codes.InvalidArgument)
}

// TestExpiredRenewsAndNoMore: with a certificate that is over no session is opened and no model read, but another certificate is had,
// unless the agent was revoked or it is over for too long.
func TestExpiredRenewsAndNoMore(t *testing.T) {
	var ahead atomic.Int64
	h := startHub(t, func(o *ingest.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	days := func(n int) { ahead.Store(int64(time.Duration(n) * 24 * time.Hour)) }
	key := newKey(t)
	cert, answer, err := h.enrol(h.token(), key)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.MustParse(answer.GetAgent())
	renew := func(cert tls.Certificate) (*uplinkv1.RenewResponse, error) {
		return uplinkv1.NewEnrolmentServiceClient(h.dial(cert)).Renew(t.Context(), &uplinkv1.RenewRequest{Csr: csr(t, key)})
	}
	foreign, _ := startHub(t, nil).agent()

	days(90 + 364)
	k := h.talk(cert)
	k.hello(1)
	if err := k.end(); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a session with an expired certificate: %v: want it refused, as expired", err)
	}
	artifact, err := uplinkv1.NewUplinkServiceClient(h.dial(cert)).Artifact(t.Context(), &uplinkv1.ArtifactRequest{Id: "m1"})
	if err == nil {
		_, err = artifact.Recv()
	}
	wantCode(t, "a model with an expired certificate", err, codes.Unauthenticated)
	h.store.set(func(f *fakeStore) { f.revoked[id] = true })
	_, err = renew(cert)
	wantCode(t, "expired and revoked", err, codes.Unauthenticated)
	h.store.set(func(f *fakeStore) { f.revoked[id] = false })
	if _, err := renew(foreign); err == nil {
		t.Error("another hub's expired certificate was renewed")
	}
	fresh, err := renew(cert)
	if err != nil {
		t.Fatal(err)
	}
	h.opened(tls.Certificate{Certificate: [][]byte{fresh.GetCertificate()}, PrivateKey: key})

	days(90 + 366)
	if _, err := renew(cert); err == nil {
		t.Error("a certificate that is over for more than a year was renewed")
	}
}

func TestBadMessages(t *testing.T) {
	h := startHub(t, nil)
	cert, _ := h.agent()
	for _, c := range []struct {
		name string
		do   func(*talk)
		want codes.Code
	}{
		{"batch before hello", func(k *talk) { k.batch(1, 1, 1) }, codes.InvalidArgument},
		{"hello twice", func(k *talk) { k.hello(1); k.hello(1) }, codes.InvalidArgument},
		{"undeclared series", func(k *talk) { k.hello(9); k.batch(1, 1, 66) }, codes.FailedPrecondition},
		{"batch without a range", func(k *talk) {
			k.hello(9)
			b := batch(1, 3, 1)
			b.First = 0
			k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Batch{Batch: wire.EncodeBatch(b)}})
		}, codes.InvalidArgument},
		{"too large", func(k *talk) {
			k.hello(9)
			b := batch(1, 3, 1)
			b.Blocks[0].Chunk = make([]byte, wire.MaxMessage)
			k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Batch{Batch: wire.EncodeBatch(b)}})
		}, codes.ResourceExhausted},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := h.talk(cert)
			c.do(k)
			wantCode(t, c.name, k.end(), c.want)
		})
	}
	if h.store.readings != 0 {
		t.Errorf("%d readings were committed", h.store.readings)
	}
}

func TestWhatCanNeverBeStoredIsRefusedAlone(t *testing.T) {
	h := startHub(t, nil)
	cert, _ := h.agent()
	k := h.opened(cert)
	k.declare(1)
	wrong := map[string]func(*wire.Batch){
		"count does not add up":     func(b *wire.Batch) { b.Count = 4 },
		"block has no header":       func(b *wire.Batch) { b.Blocks[0].Chunk = nil },
		"chunk does not decode":     func(b *wire.Batch) { b.Blocks[0].Chunk = b.Blocks[0].Chunk[:5] },
		"more refused than counted": func(b *wire.Batch) { b.Refused = 9 },
	}
	first := uint64(1)
	for name, change := range wrong {
		b := batch(first, 3, 1)
		change(&b)
		k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Batch{Batch: wire.EncodeBatch(b)}})
		r, err := wire.DecodeRefusal(k.recv().GetRefusal())
		if err != nil || r.Range != b.Range() || r.Reason == "" {
			t.Errorf("%s: answer %+v, %v: want a refusal of %+v with a reason", name, r, err, b.Range())
		}
		k.batch(first, 3, 1) // the same session goes on
		if a := k.recv().GetAck(); a.GetRange().GetEnd() != first+3 {
			t.Errorf("%s: then %v: want an ack", name, a)
		}
		first += 3
	}
	good := wire.Quarantined{ID: 1, Reason: "malformed"}
	m := wire.EncodeReport(wire.Report{ID: 5, Quarantined: []wire.Quarantined{good, {ID: 2}, {ID: 3}}})
	m.Quarantined[1].Payload = make([]byte, wire.MaxPayload+1) // beyond the protocol
	h.store.set(func(f *fakeStore) { f.unstorable = 3 })       // beyond the database
	k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Report{Report: m}})
	ack, err := wire.DecodeReportAck(k.recv().GetReportAck())
	if err != nil || ack.ID != 5 || ack.Refused != 2 || !strings.Contains(ack.Reason, "payload") {
		t.Errorf("report ack %+v, %v: want 2 refused, the first for its payload", ack, err)
	}
	if rs := h.store.reports; len(rs) != 1 || len(rs[0].Quarantined) != 1 || rs[0].Quarantined[0].ID != 1 {
		t.Errorf("reports %+v: want the good entry alone", rs)
	}
	// What a newer agent reports beside that is passed over, and acked.
	newer := &uplinkv1.Report{Id: 6}
	newer.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "of a later version"))
	k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Report{Report: newer}})
	if ack := k.recv().GetReportAck(); ack.GetId() != 6 || ack.GetRefused() != 0 {
		t.Errorf("report of a newer agent: %v", ack)
	}
	if n := h.Stats().Unstorable; n != uint64(len(wrong))+2 {
		t.Errorf("%d unstorable, want %d", n, len(wrong)+2)
	}
}

func TestSilence(t *testing.T) {
	h := startHub(t, func(o *ingest.Options) { o.HelloTimeout = time.Millisecond })
	cert, _ := h.agent()
	wantCode(t, "no hello", h.talk(cert).end(), codes.DeadlineExceeded)
}

func TestErrorsLeakNothing(t *testing.T) {
	h := startHub(t, nil)
	cert, _ := h.agent()
	k := h.opened(cert)
	k.declare(1)
	k.batch(1, 1, 1)
	k.recv()
	h.store.set(func(f *fakeStore) { f.fail = errors.New(`pq: password "secret" at 10.0.0.7`) })
	k.batch(2, 1, 1)
	err := k.end()
	wantCode(t, "store failed", err, codes.Unavailable)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the agent was told %v", err)
	}
	h.store.set(func(f *fakeStore) { f.fail = nil; f.inCommit = func(wire.Batch) { panic("secret") } })
	k = h.opened(cert)
	k.batch(2, 1, 1)
	err = k.end()
	wantCode(t, "panic", err, codes.Internal)
	if strings.Contains(err.Error(), "secret") || h.Stats().Panics != 1 {
		t.Errorf("the agent was told %v after %d panics", err, h.Stats().Panics)
	}
	h.store.set(func(f *fakeStore) { f.inCommit = nil })
	k = h.opened(cert)
	k.batch(2, 1, 1)
	if a := k.recv().GetAck(); a.GetCursor() != 3 {
		t.Errorf("ack %v: want everything to go on", a)
	}
}

func TestNewerSessionTakesOverAndClonesAreNoticed(t *testing.T) {
	h := startHub(t, nil)
	cert, _ := h.agent()
	older := h.opened(cert)
	for range 3 {
		newer := h.opened(cert)
		wantCode(t, "older session", older.end(), codes.Aborted)
		older = newer
	}
	k := h.talk(cert)
	k.hello(1)
	if c := k.recv().GetComeBack(); c.GetAfterMs() != time.Minute.Milliseconds() {
		t.Errorf("answer to the fourth: %v, want come back in a minute", c)
	}
	if s := h.Stats(); s.Displaced != 3 || s.Clones != 1 || s.Sessions != 1 {
		t.Errorf("stats %+v: want 3 displaced, 1 clone, 1 live", s)
	}
}

func TestTakeOverWaitsForTheCommit(t *testing.T) {
	h := startHub(t, nil)
	cert, _ := h.agent()
	inside, release := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	h.store.inCommit = func(wire.Batch) {
		if first.CompareAndSwap(false, true) {
			close(inside)
			<-release
		}
	}
	older := h.opened(cert)
	older.declare(1)
	older.batch(1, 10, 1)
	<-inside
	newer := h.talk(cert)
	newer.hello(100)
	welcome := make(chan uint64)
	go func() {
		m, err := newer.stream.Recv()
		if err != nil {
			t.Error(err)
		}
		welcome <- m.GetWelcome().GetCursor()
	}()
	for h.Stats().Displaced == 0 {
		runtime.Gosched()
	}
	select {
	case c := <-welcome:
		t.Fatalf("welcome with cursor %d while a commit was under way", c)
	default:
	}
	close(release)
	if c := <-welcome; c != 11 {
		t.Errorf("welcome with cursor %d, want 11", c)
	}
}

func TestSentAway(t *testing.T) {
	h := startHub(t, func(o *ingest.Options) { o.MaxSessions = 1 })
	first, _ := h.agent()
	second, _ := h.agent()
	h.opened(first)
	k := h.talk(second)
	k.hello(1)
	if c := k.recv().GetComeBack(); c.GetAfterMs() < 1000 {
		t.Errorf("answer %v, want come back", c)
	}
}

func TestDrain(t *testing.T) {
	h := startHub(t, nil)
	cert, _ := h.agent()
	k := h.opened(cert)
	k.declare(1)
	inside, release := make(chan struct{}), make(chan struct{})
	h.store.inCommit = func(wire.Batch) { close(inside); <-release }
	k.batch(1, 10, 1)
	<-inside
	stopped := make(chan struct{})
	go func() { h.stop(); close(stopped) }()
	close(release)
	if a := k.recv().GetAck(); a.GetCursor() != 11 {
		t.Errorf("%v: want the ack of the commit under way", a)
	}
	if c := k.recv().GetComeBack(); c == nil {
		t.Error("no come back")
	}
	<-stopped
}

func TestArtifact(t *testing.T) {
	h := startHub(t, nil)
	h.store.artifact = make([]byte, 200_000)
	rand.Read(h.store.artifact)
	cert, _ := h.agent()
	client := uplinkv1.NewUplinkServiceClient(h.dial(cert))
	for _, offset := range []int{0, 1, 70_000, 200_000, 300_000} {
		stream, err := client.Artifact(t.Context(), &uplinkv1.ArtifactRequest{Id: "m1", Offset: uint64(offset)})
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for {
			m, err := stream.Recv()
			if err != nil {
				break
			}
			got = append(got, m.GetData()...)
		}
		if want := h.store.artifact[min(offset, 200_000):]; string(got) != string(want) {
			t.Errorf("from %d: %d bytes, want %d", offset, len(got), len(want))
		}
	}
	stream, err := client.Artifact(t.Context(), &uplinkv1.ArtifactRequest{Id: "../m1"})
	if err == nil {
		_, err = stream.Recv()
	}
	wantCode(t, "a path for an id", err, codes.InvalidArgument)
}
