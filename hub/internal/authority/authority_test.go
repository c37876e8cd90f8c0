package authority_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/authority"
	"fluxora.dev/shared/model"
)

// secrets is a store in memory.
type secrets struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *secrets) PutSecretIfAbsent(_ context.Context, name string, value []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[string][]byte)
	}
	if _, ok := s.m[name]; !ok {
		s.m[name] = value
	}
	return s.m[name], nil
}

var hosts = []string{"hub.example", "127.0.0.1"}

func open(t *testing.T, s authority.Secrets, now func() time.Time) *authority.Authority {
	t.Helper()
	a, err := authority.Open(t.Context(), s, authority.Options{Hosts: hosts, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t *testing.T) (*x509.CertificateRequest, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := authority.ParseRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return r, key
}

func TestHubsAgreeAndRestartsKeepTheAuthority(t *testing.T) {
	s := &secrets{}
	a, b := open(t, s, time.Now), open(t, s, time.Now)
	if a.Pin() != b.Pin() || !a.ArtifactKey().Equal(b.ArtifactKey()) {
		t.Error("two hubs on one store have two authorities")
	}
	token, want, err := a.NewToken(uuid.New(), uuid.New(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.ParseToken(token); err != nil || got != want {
		t.Errorf("the other hub reads %+v, %v: want %+v", got, err, want)
	}
	digest := sha256.Sum256([]byte("artifact"))
	if err := model.Verify(b.ArtifactKey(), digest, a.SignArtifact(digest)); err != nil {
		t.Error(err)
	}
	for name := range s.m {
		s.m[name] = []byte("{}")
	}
	if _, err := authority.Open(t.Context(), s, authority.Options{Hosts: hosts}); err == nil {
		t.Error("a damaged secret was taken")
	}
}

func TestTokens(t *testing.T) {
	now := time.Now()
	a := open(t, &secrets{}, func() time.Time { return now })
	other := open(t, &secrets{}, func() time.Time { return now })
	token, _, err := a.NewToken(uuid.New(), uuid.New(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, err := other.NewToken(uuid.New(), uuid.New(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(token, ".")
	flipped := []byte(rest)
	flipped[10] ^= 1
	for name, bad := range map[string]string{
		"another hub's": foreign, "empty": "", "cut": token[:len(token)-5], "altered": head + "." + string(flipped),
		"unsigned": "eyJhbGciOiJub25lIn0." + rest[:strings.LastIndex(rest, ".")+1], "endless": strings.Repeat("a", 1<<20),
	} {
		if _, err := a.ParseToken(bad); !errors.Is(err, authority.ErrToken) {
			t.Errorf("%s: error %v, want ErrToken", name, err)
		}
	}
	now = now.Add(70 * time.Minute)
	if _, err := a.ParseToken(token); !errors.Is(err, authority.ErrToken) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("after its time: error %v, want ErrToken and the word expired", err)
	}
}

func TestAgentCertificates(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	a, other := open(t, &secrets{}, clock), open(t, &secrets{}, clock)
	r, key := request(t)
	id, err := authority.AgentOf(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := authority.AgentOf(r.PublicKey); again != id || id.Version() != 8 {
		t.Errorf("ids %s and %s of one key: want the same, of version 8", id, again)
	}
	issued, err := a.Issue(r, id)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(issued.DER)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Agent(c); err != nil || got != id {
		t.Errorf("agent %s, %v: want %s", got, err, id)
	}
	if authority.SerialOf(c) != issued.Serial || len(issued.Serial) != 32 {
		t.Errorf("serial %s: want %s of 32 digits", authority.SerialOf(c), issued.Serial)
	}
	if c.NotBefore.After(now.Add(-4*time.Minute)) || c.IsCA || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Error("want a back-dated certificate for client authentication only")
	}
	if _, err := other.Agent(c); err == nil {
		t.Error("another hub's authority took the certificate")
	}
	server, err := a.ServerTLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Agent(server.Leaf); err == nil {
		t.Error("the hub's own certificate passes for an agent's")
	}
	for _, host := range hosts {
		if err := server.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	now = now.Add(21 * 24 * time.Hour)
	renewed, err := a.ServerTLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if renewed.Leaf.NotAfter.Equal(server.Leaf.NotAfter) {
		t.Error("the hub's certificate was not renewed after two thirds of its life")
	}
	now = now.Add(70 * 24 * time.Hour)
	if _, err := a.Agent(c); err == nil {
		t.Error("an expired certificate was taken")
	}
}

// TestExpiredCertificatesRenewOnly shakes hands with certificates that are over: within RenewWithin the hub lets one ask for another.
func TestExpiredCertificatesRenewOnly(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	lenient, err := authority.Open(t.Context(), &secrets{}, authority.Options{Hosts: hosts, RenewWithin: 100 * 24 * time.Hour, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	strict := open(t, &secrets{}, clock)
	issue := func(a *authority.Authority) *x509.Certificate {
		r, key := request(t)
		id, err := authority.AgentOf(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		issued, err := a.Issue(r, id)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(issued.DER)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	own, foreign := issue(lenient), issue(strict)
	hub, err := lenient.ServerTLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		days                  int
		session, renew, other bool
	}{{-1, false, false, false}, {0, true, true, true}, {89, true, true, true}, {91, false, true, false}, {189, false, true, false}, {191, false, false, false}} {
		now = own.NotBefore.Add(5*time.Minute + time.Duration(c.days)*24*time.Hour)
		_, session := lenient.Agent(own)
		_, renew := lenient.Renewer(own)
		_, other := strict.Renewer(foreign)
		if session == nil != c.session || renew == nil != c.renew || other == nil != c.other {
			t.Errorf("after %d days: session %v, renewal %v, at a hub that renews none %v: want %+v", c.days, session, renew, other, c)
		}
		shake := lenient.ServerTLS().VerifyConnection
		if err := shake(tls.ConnectionState{PeerCertificates: []*x509.Certificate{own}}); err == nil != c.renew {
			t.Errorf("after %d days the handshake ends with %v", c.days, err)
		}
		for name, bad := range map[string]*x509.Certificate{"another hub's": foreign, "the hub's own": hub.Leaf} {
			if err := shake(tls.ConnectionState{PeerCertificates: []*x509.Certificate{bad}}); err == nil {
				t.Errorf("after %d days %s certificate is taken", c.days, name)
			}
		}
	}
}

func TestBadRequests(t *testing.T) {
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(nil)
	make := func(key any) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	if _, err := authority.ParseRequest(make(ed)); err != nil {
		t.Errorf("Ed25519: %v", err)
	}
	forged := make(ed)
	forged[len(forged)-1] ^= 1
	for name, der := range map[string][]byte{
		"nothing": nil, "rubbish": []byte("rubbish"), "P-224": make(weak), "RSA": make(rsaKey), "forged": forged, "huge": append(make(ed), make(ed)...),
	} {
		if _, err := authority.ParseRequest(der); !errors.Is(err, authority.ErrRequest) {
			t.Errorf("%s: error %v, want ErrRequest", name, err)
		}
	}
}

func TestNoHosts(t *testing.T) {
	if _, err := authority.Open(t.Context(), &secrets{}, authority.Options{}); err == nil || !strings.Contains(err.Error(), "host") {
		t.Errorf("error %v: want one that asks for host names", err)
	}
}
