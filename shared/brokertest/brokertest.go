// Package brokertest makes what a Mosquitto of a test needs to speak TLS and to ask for a password. It must not be used outside tests.
package brokertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Secure writes to dir an authority, a certificate of it for 127.0.0.1 with its key, and a file of one user, and returns the settings
// of a listener that uses them, and the authority's file.
func Secure(t testing.TB, dir, user, password string) (settings []string, ca string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		check(os.WriteFile(path, b, 0o600))
		return path
	}
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }

	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, key.Public(), caKey)
	check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)

	salt := make([]byte, 12)
	_, _ = rand.Read(salt)
	// The older of Mosquitto's formats, $6$: SHA-512 of the password and the salt.
	hash := sha512.Sum512(append([]byte(password), salt...))
	line := fmt.Sprintf("%s:$6$%s$%s\n", user, base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(hash[:]))
	ca = write("ca.pem", encode("CERTIFICATE", caDER))
	return []string{
		"allow_anonymous false", "password_file " + write("users", []byte(line)), "cafile " + ca,
		"certfile " + write("broker.pem", encode("CERTIFICATE", der)), "keyfile " + write("broker.key", encode("PRIVATE KEY", keyDER)),
	}, ca
}
