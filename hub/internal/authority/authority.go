package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/shared/model"
)

// Options configure an Authority.
type Options struct {
	// Hosts are the names and addresses under which agents reach the hub.
	Hosts []string
	// AgentLife is how long an agent's certificate is valid; 90 days when zero.
	AgentLife time.Duration
	// RenewWithin is for how long after its end a certificate is good for one thing, asking for another; not at all when zero.
	RenewWithin time.Duration
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// skew is how far certificates are back-dated and how far a token's times may be off.
const skew = 5 * time.Minute

// Authority issues certificates and tokens and signs artifacts. Its methods may be called concurrently.
type Authority struct {
	certificate     *x509.Certificate
	key             *ecdsa.PrivateKey
	token, artifact ed25519.PrivateKey
	o               Options
	pool            *x509.CertPool

	mu     sync.Mutex
	server *tls.Certificate
}

// Open returns the authority whose secret the store keeps, after making it at the first start.
func Open(ctx context.Context, secrets Secrets, o Options) (*Authority, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.AgentLife == 0 {
		o.AgentLife = 90 * 24 * time.Hour
	}
	fresh, err := newSecret(o.Now())
	if err != nil {
		return nil, fmt.Errorf("make the authority's keys: %w", err)
	}
	b, err := secrets.PutSecretIfAbsent(ctx, secretName, fresh)
	if err != nil {
		return nil, fmt.Errorf("read the authority's secret: %w", err)
	}
	a, err := open(b)
	if err != nil {
		return nil, fmt.Errorf("the authority's secret %q is damaged: %w", secretName, err)
	}
	a.o, a.pool = o, x509.NewCertPool()
	a.pool.AddCert(a.certificate)
	if _, err := a.serverCertificate(); err != nil {
		return nil, fmt.Errorf("issue the hub's certificate: %w", err)
	}
	return a, nil
}

// Certificate returns the CA's certificate in DER.
func (a *Authority) Certificate() []byte { return a.certificate.Raw }

// Pin returns the SHA-256 of the CA's certificate.
func (a *Authority) Pin() [sha256.Size]byte { return sha256.Sum256(a.certificate.Raw) }

// ArtifactKey returns the key that verifies artifacts.
func (a *Authority) ArtifactKey() ed25519.PublicKey { return a.artifact.Public().(ed25519.PublicKey) }

// SignArtifact returns the signature over the SHA-256 digest of an artifact.
func (a *Authority) SignArtifact(digest [sha256.Size]byte) []byte {
	return model.Sign(a.artifact, digest)
}

// Issued is a certificate made for an agent.
type Issued struct {
	Agent    uuid.UUID
	Serial   string // hex
	DER      []byte
	NotAfter time.Time
}

// ErrRequest marks a certificate signing request that is not what an agent sends.
var ErrRequest = errors.New("bad certificate signing request")

// AgentOf returns the id of the agent with the given public key: the first half of its SHA-256, as a UUID of version 8.
func AgentOf(public any) (uuid.UUID, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return uuid.UUID{}, err
	}
	digest := sha256.Sum256(spki)
	id, err := uuid.FromBytes(digest[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id, err
}

// ParseRequest returns the request in the DER bytes csr, whose signature proves that the sender holds the key.
func ParseRequest(csr []byte) (*x509.CertificateRequest, error) {
	if len(csr) > 4<<10 {
		return nil, fmt.Errorf("%w: %d bytes: want at most 4096", ErrRequest, len(csr))
	}
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRequest, err)
	}
	switch key := r.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize < 256 {
			return nil, fmt.Errorf("%w: curve %s: want P-256 or better", ErrRequest, key.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return nil, fmt.Errorf("%w: key %T: want ECDSA or Ed25519", ErrRequest, r.PublicKey)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRequest, err)
	}
	return r, nil
}

// Issue makes a certificate that says that the request's key speaks for the agent. Of the request only the key counts.
func (a *Authority) Issue(r *x509.CertificateRequest, agent uuid.UUID) (Issued, error) {
	now := a.o.Now()
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: agent.String()},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(a.o.AgentLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{{Scheme: "fluxora", Host: "agent", Path: "/" + agent.String()}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, r.PublicKey, a.key)
	if err != nil {
		return Issued{}, fmt.Errorf("issue a certificate for agent %s: %w", agent, err)
	}
	return Issued{agent, SerialOf(template), der, template.NotAfter.Truncate(time.Second)}, nil
}

// SerialOf returns the serial number of a certificate in hex.
func SerialOf(c *x509.Certificate) string { return fmt.Sprintf("%032x", c.SerialNumber) }

// Agent returns the agent that the certificate was issued to, after verifying it against the CA and the clock, since a
// connection may outlive the certificate that opened it.
func (a *Authority) Agent(c *x509.Certificate) (uuid.UUID, error) { return a.agentAt(c, a.o.Now()) }

// Renewer returns the agent that the certificate was issued to, as Agent does, also if it has expired but not too long ago.
// That proves who may have another certificate, and nothing else.
func (a *Authority) Renewer(c *x509.Certificate) (uuid.UUID, error) {
	now := a.o.Now()
	if now.After(c.NotAfter) && !now.After(c.NotAfter.Add(a.o.RenewWithin)) {
		now = c.NotAfter
	}
	return a.agentAt(c, now)
}

func (a *Authority) agentAt(c *x509.Certificate, now time.Time) (uuid.UUID, error) {
	_, err := c.Verify(x509.VerifyOptions{
		Roots: a.pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return uuid.UUID{}, err
	}
	if len(c.URIs) != 1 || c.URIs[0].Scheme != "fluxora" || c.URIs[0].Host != "agent" {
		return uuid.UUID{}, errors.New("certificate names no agent")
	}
	return uuid.Parse(c.URIs[0].Path[1:])
}
