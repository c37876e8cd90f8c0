package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrNotEnrolled says that the directory holds no identity yet.
var ErrNotEnrolled = errors.New("this agent is not enrolled: run `fluxora-agent enroll` with a token from the hub")

const (
	fileName      = "identity.json"
	enrollingName = "enrolling.json"
)

// file is the format of identity.json.
type file struct {
	Agent       string `json:"agent"`
	Site        string `json:"site"`
	Hub         string `json:"hub"`          // address, host:port
	Key         []byte `json:"key"`          // PKCS #8
	Certificate []byte `json:"certificate"`  // DER
	Authority   []byte `json:"authority"`    // the hub's CA, DER
	ArtifactKey []byte `json:"artifact_key"` // Ed25519
}

// Identity is who the agent is. Its methods may be called concurrently.
type Identity struct {
	dir     string
	now     func() time.Time
	changed chan struct{} // holds a token when the certificate was renewed and nobody has looked yet

	mu        sync.RWMutex
	file      file
	pair      tls.Certificate
	authority *x509.Certificate
}

// Load reads the identity kept in dir. It returns ErrNotEnrolled when there is none.
func Load(dir string, now func() time.Time) (*Identity, error) {
	b, err := os.ReadFile(filepath.Join(dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w: enrol again with a new token", filepath.Join(dir, fileName), err)
	}
	id := &Identity{dir: dir, now: now, changed: make(chan struct{}, 1)}
	if err := id.set(f); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w: enrol again with a new token", filepath.Join(dir, fileName), err)
	}
	return id, nil
}

// set puts f in force.
func (id *Identity) set(f file) error {
	key, err := parseKey(f.Key)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(f.Certificate)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(leaf.PublicKey) {
		return errors.New("the certificate is not that of the key")
	}
	authority, err := x509.ParseCertificate(f.Authority)
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	if err := leaf.CheckSignatureFrom(authority); err != nil {
		return fmt.Errorf("the certificate was not issued by the hub's authority: %w", err)
	}
	if len(f.ArtifactKey) != ed25519.PublicKeySize {
		return fmt.Errorf("artifact key of %d bytes: want %d", len(f.ArtifactKey), ed25519.PublicKeySize)
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	id.file, id.authority = f, authority
	id.pair = tls.Certificate{Certificate: [][]byte{f.Certificate}, PrivateKey: key, Leaf: leaf}
	return nil
}

// Agent returns the agent's id.
func (id *Identity) Agent() string { return id.read().Agent }

// Site returns the name of the site that the agent was enrolled for.
func (id *Identity) Site() string { return id.read().Site }

// Hub returns the hub's address, host:port.
func (id *Identity) Hub() string { return id.read().Hub }

// ArtifactKey returns the key that verifies artifacts.
func (id *Identity) ArtifactKey() ed25519.PublicKey { return id.read().ArtifactKey }

func (id *Identity) read() file {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.file
}

// NotAfter returns when the certificate expires.
func (id *Identity) NotAfter() time.Time {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.pair.Leaf.NotAfter
}

// RenewAt returns when the certificate should be renewed: after two thirds of its life.
func (id *Identity) RenewAt() time.Time {
	id.mu.RLock()
	defer id.mu.RUnlock()
	leaf := id.pair.Leaf
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) * 2 / 3)
}

// Changed returns a channel that receives once after the certificate was renewed: whoever holds a connection opens another.
func (id *Identity) Changed() <-chan struct{} { return id.changed }

// TLS returns the configuration for connections to the hub at address, host:port. The certificate is looked up at each
// handshake.
func (id *Identity) TLS(address string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("hub address %q: %w: want host:port", address, err)
	}
	pool := x509.NewCertPool()
	id.mu.RLock()
	pool.AddCert(id.authority)
	id.mu.RUnlock()
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: host,
		RootCAs:    pool,
		Time:       id.now,
		NextProtos: []string{"h2"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			id.mu.RLock()
			defer id.mu.RUnlock()
			pair := id.pair
			return &pair, nil
		},
	}, nil
}

// newKey makes a key, in PKCS #8.
func newKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

func parseKey(pkcs8 []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key is %T: want ECDSA", key)
	}
	return signer, nil
}

// request returns a certificate signing request for the key.
func request(pkcs8 []byte) ([]byte, error) {
	key, err := parseKey(pkcs8)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "fluxora-agent"}}, key)
}
