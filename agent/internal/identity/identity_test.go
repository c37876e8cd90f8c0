package identity_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"

	"fluxora.dev/agent/internal/hubtest"
	"fluxora.dev/agent/internal/identity"
)

func enrol(t *testing.T, dir string, hub *hubtest.Hub, address, token string) (*identity.Identity, error) {
	t.Helper()
	id, _, err := identity.Enrol(t.Context(), dir, identity.Request{Hub: address, Token: token, Version: "test", Now: hub.Now})
	return id, err
}

func TestEnrolAndLoad(t *testing.T) {
	hub := hubtest.New(t)
	address := hub.Start()
	dir := t.TempDir()
	if _, err := identity.Load(dir, time.Now); !errors.Is(err, identity.ErrNotEnrolled) {
		t.Errorf("load before: %v, want ErrNotEnrolled", err)
	}
	id, err := enrol(t, dir, hub, address, " "+hub.Token()+"\n")
	if err != nil {
		t.Fatal(err)
	}
	again, err := identity.Load(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []*identity.Identity{id, again} {
		if id.Agent() != hubtest.Agent || id.Site() != "test-site" || id.Hub() != address || len(id.ArtifactKey()) != 32 {
			t.Errorf("identity %s %s %s", id.Agent(), id.Site(), id.Hub())
		}
		if left := time.Until(id.RenewAt()); left < 39*time.Minute || left > 41*time.Minute {
			t.Errorf("renewal in %s: want two thirds of an hour", left)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("%v left behind: want identity.json only", entries)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v: want 0600", info.Mode(), err)
	}
}

func TestEnrolRefuses(t *testing.T) {
	hub, other := hubtest.New(t), hubtest.New(t)
	address := hub.Start()
	for _, c := range []struct{ name, token, address, want string }{
		{"another hub's token", other.Token(), address, "its authority is another"},
		{"no token", "", address, "not a token of a hub"},
		{"rubbish", "a.b.c", address, "not a token of a hub"},
		{"half a token", hub.Token()[:40], address, "not a token of a hub"},
		{"address without port", hub.Token(), "127.0.0.1", "want host:port"},
		{"another name", hub.Token(), "localhost" + address[strings.LastIndex(address, ":"):], "certificate is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := enrol(t, dir, hub, c.address, c.token)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want …%s…", err, c.want)
			}
			if _, err := identity.Load(dir, time.Now); !errors.Is(err, identity.ErrNotEnrolled) {
				t.Errorf("load after: %v, want ErrNotEnrolled", err)
			}
		})
	}
}

// key returns the key that is kept in dir.
func key(t *testing.T, dir string) string {
	t.Helper()
	for _, name := range []string{"identity.json", "enrolling.json"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			_, after, _ := strings.Cut(string(b), `"key": "`)
			k, _, _ := strings.Cut(after, `"`)
			return k
		}
	}
	t.Fatal("no key is kept")
	return ""
}

func TestKeySurvivesALostAnswerAndANewEnrolment(t *testing.T) {
	hub := hubtest.New(t)
	address := hub.Start()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := identity.Enrol(ctx, dir, identity.Request{Hub: address, Token: hub.Token(), Now: time.Now}); err == nil {
		t.Fatal("enrolled without asking")
	}
	first := key(t, dir)
	for range 2 {
		if _, err := enrol(t, dir, hub, address, hub.Token()); err != nil {
			t.Fatal(err)
		}
		if key(t, dir) != first {
			t.Error("the key changed")
		}
	}
}

func TestDamagedFileSaysSo(t *testing.T) {
	hub := hubtest.New(t)
	address := hub.Start()
	dir := t.TempDir()
	if _, err := enrol(t, dir, hub, address, hub.Token()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "identity.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(whole)-2; cut += 37 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Load(dir, time.Now); err == nil || !strings.Contains(err.Error(), "enrol again") {
			t.Fatalf("cut at %d: error %v: want advice", cut, err)
		}
	}
}

func TestRenewNeedsTheCertificateAndReplacesIt(t *testing.T) {
	hub := hubtest.New(t)
	now := time.Now()
	hub.Now = func() time.Time { return now }
	address := hub.Start()
	dir := t.TempDir()
	id, err := enrol(t, dir, hub, address, hub.Token())
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(45 * time.Minute)
	config, err := id.TLS(address)
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, address, credentials.NewTLS(config))
	if err := id.Renew(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	again, err := identity.Load(dir, hub.Now)
	if err != nil {
		t.Fatal(err)
	}
	if !id.NotAfter().Equal(again.NotAfter()) || id.NotAfter().Sub(now) < 59*time.Minute {
		t.Errorf("certificate expires %s, on disk %s, want in one hour", id.NotAfter(), again.NotAfter())
	}
	select {
	case <-id.Changed():
	default:
		t.Error("nobody was told")
	}

	config.GetClientCertificate = nil
	if _, err := uplinkv1.NewEnrolmentServiceClient(dial(t, address, credentials.NewTLS(config))).Renew(t.Context(), &uplinkv1.RenewRequest{}); err == nil {
		t.Error("renewed without a certificate")
	}
}

func dial(t *testing.T, address string, c credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
