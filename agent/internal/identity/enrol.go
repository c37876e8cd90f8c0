package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
)

// Request is what Enrol needs.
type Request struct {
	Hub     string // address, host:port
	Token   string // from `fluxora-hub token create`
	Version string // of the agent's software
	Now     func() time.Time
}

// Enrol makes the agent known to the hub and keeps its identity in dir. It returns the site's configuration beside it. It may
// be repeated with the same token after any failure.
func Enrol(ctx context.Context, dir string, r Request) (*Identity, wire.SiteConfig, error) {
	none := wire.SiteConfig{}
	r.Token = strings.TrimSpace(r.Token) // as files and terminals leave it
	pin, err := parsePin(r.Token)
	if err != nil {
		return nil, none, err
	}
	host, _, err := net.SplitHostPort(r.Hub)
	if err != nil {
		return nil, none, fmt.Errorf("hub address %q: %w: want host:port", r.Hub, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, none, fmt.Errorf("make identity directory: %w", err)
	}
	key, err := enrolmentKey(dir)
	if err != nil {
		return nil, none, err
	}
	csr, err := request(key)
	if err != nil {
		return nil, none, fmt.Errorf("make signing request: %w", err)
	}

	conn, err := grpc.NewClient("passthrough:///"+r.Hub, grpc.WithTransportCredentials(credentials.NewTLS(pinned(pin, host, r.Now))))
	if err != nil {
		return nil, none, fmt.Errorf("dial hub: %w", err)
	}
	defer conn.Close()
	answer, err := uplinkv1.NewEnrolmentServiceClient(conn).Enrol(ctx, &uplinkv1.EnrolRequest{Token: r.Token, Csr: csr, Version: r.Version})
	if err != nil {
		return nil, none, fmt.Errorf("enrol at %s: %s", r.Hub, status.Convert(err).Message())
	}
	if sha256.Sum256(answer.GetAuthority()) != pin {
		return nil, none, fmt.Errorf("enrol at %s: the hub answered with an authority that is not the token's", r.Hub)
	}
	config, err := wire.DecodeSiteConfig(answer.GetConfig())
	if err != nil {
		return nil, none, fmt.Errorf("enrol at %s: %w", r.Hub, err)
	}

	id := &Identity{dir: dir, now: r.Now, changed: make(chan struct{}, 1)}
	f := file{
		Agent: answer.GetAgent(), Site: answer.GetSite(), Hub: r.Hub, Key: key,
		Certificate: answer.GetCertificate(), Authority: answer.GetAuthority(), ArtifactKey: answer.GetArtifactKey(),
	}
	if err := id.set(f); err != nil {
		return nil, none, fmt.Errorf("enrol at %s: the hub's answer: %w", r.Hub, err)
	}
	if err := save(dir, fileName, f); err != nil {
		return nil, none, fmt.Errorf("save identity: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, enrollingName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, none, fmt.Errorf("remove the enrolment's key: %w", err)
	}
	return id, config, nil
}

// enrolmentKey returns the key to enrol with: that of an identity which is there already, so that the agent's id stays, or
// that of an enrolment which did not come to its end, or a new one.
func enrolmentKey(dir string) ([]byte, error) {
	for _, name := range []string{enrollingName, fileName} {
		var f file
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || json.Unmarshal(b, &f) != nil {
			continue
		}
		if _, err := parseKey(f.Key); err == nil {
			return f.Key, nil
		}
	}
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	if err := save(dir, enrollingName, file{Key: key}); err != nil {
		return nil, fmt.Errorf("save the key: %w", err)
	}
	return key, nil
}

// parsePin returns the SHA-256 of the CA certificate that the token names.
func parsePin(token string) ([sha256.Size]byte, error) {
	var claims struct {
		jwt.RegisteredClaims
		Pin string `json:"pin"`
	}
	var pin [sha256.Size]byte
	if _, _, err := jwt.NewParser().ParseUnverified(token, &claims); err != nil {
		return pin, errors.New("enrolment token: not a token of a hub: copy it whole, as `fluxora-hub token create` printed it")
	}
	b, err := hex.DecodeString(claims.Pin)
	if err != nil || len(b) != sha256.Size {
		return pin, errors.New("enrolment token: it does not name the hub's authority: want a token of `fluxora-hub token create`")
	}
	copy(pin[:], b)
	return pin, nil
}

// pinned returns a TLS configuration that trusts the hub if the chain it shows holds the CA certificate with the given
// digest and the leaf was issued by it for host.
func pinned(pin [sha256.Size]byte, host string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         host,
		Time:               now,
		NextProtos:         []string{"h2"},
		InsecureSkipVerify: true, // VerifyConnection below verifies against the pin instead of a pool
		VerifyConnection: func(s tls.ConnectionState) error {
			pool := x509.NewCertPool()
			found := false
			for _, c := range s.PeerCertificates {
				if digest := sha256.Sum256(c.Raw); bytes.Equal(digest[:], pin[:]) {
					pool.AddCert(c)
					found = true
				}
			}
			if !found {
				return errors.New("this is not the hub that made the token: its authority is another")
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
				Roots: pool, DNSName: host, CurrentTime: now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			return err
		},
	}
}

// save writes f to name in dir, whole or not at all, and durably.
func save(dir, name string, f file) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	t, err := os.CreateTemp(dir, "."+name+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(b)
	err = errors.Join(err, t.Sync(), t.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(t.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
