package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

// Secrets keeps the authority's secret.
//
// PutSecretIfAbsent puts value under name unless there is one already, and returns the one that is there now. Of two callers
// at once, both must be given the same value, and it must be durable on return.
type Secrets interface {
	PutSecretIfAbsent(ctx context.Context, name string, value []byte) ([]byte, error)
}

// secretName is where the secret is kept. Its format changes with the name.
const secretName = "authority-v1"

// secret is what the store keeps, as JSON.
type secret struct {
	Certificate []byte `json:"certificate"` // of the CA, DER
	Key         []byte `json:"key"`         // of the CA, PKCS #8
	Token       []byte `json:"token"`       // Ed25519 seed
	Artifact    []byte `json:"artifact"`    // Ed25519 seed
}

// authorityLife is how long the CA certificate is valid: agents pin it, so it must outlive them.
const authorityLife = 30 * 365 * 24 * time.Hour

// newSecret makes the keys and the CA's certificate.
func newSecret(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: "Fluxora hub authority", Organization: []string{"Fluxora"}},
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	s := secret{Certificate: der, Key: pkcs8, Token: make([]byte, ed25519.SeedSize), Artifact: make([]byte, ed25519.SeedSize)}
	rand.Read(s.Token)
	rand.Read(s.Artifact)
	return json.Marshal(s)
}

// open returns the authority that the secret b describes.
func open(b []byte) (*Authority, error) {
	var s secret
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(s.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok || len(s.Token) != ed25519.SeedSize || len(s.Artifact) != ed25519.SeedSize {
		return nil, fmt.Errorf("keys of an unexpected kind")
	}
	if !signer.PublicKey.Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("the certificate is not that of the key")
	}
	return &Authority{
		certificate: certificate, key: signer,
		token: ed25519.NewKeyFromSeed(s.Token), artifact: ed25519.NewKeyFromSeed(s.Artifact),
	}, nil
}

// newSerial returns 127 random bits.
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	b[0] |= 0x40 // never short, so that every serial prints as 32 hex digits
	return new(big.Int).SetBytes(b[:])
}
