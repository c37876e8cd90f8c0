package mqtttest

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
	"strings"
	"testing"
	"time"
)

// Secure is a broker that speaks TLS, with a certificate for 127.0.0.1, and lets in one user with a password.
type Secure struct {
	*Broker
	CAFile string // PEM of the authority that signed the broker's certificate
}

// StartSecure is Start for a broker with TLS and a password.
func StartSecure(t testing.TB, user, password string, lines ...string) Secure {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, cert, key := certificates(t)
	caFile := file("ca.pem", ca)
	salt := make([]byte, 12)
	_, _ = rand.Read(salt)
	// The older of Mosquitto's formats, $6$: SHA-512 of the password and the salt.
	hash := sha512.Sum512(append([]byte(password), salt...))
	users := fmt.Sprintf("%s:$6$%s$%s\n", user, base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(hash[:]))
	b := Start(t, append([]string{
		"allow_anonymous false", "password_file " + file("users", []byte(users)), "cafile " + caFile,
		"certfile " + file("broker.pem", cert), "keyfile " + file("broker.key", key),
	}, lines...)...)
	b.URL = strings.Replace(b.URL, "tcp:", "ssl:", 1)
	return Secure{b, caFile}
}

// certificates returns an authority, a certificate of it for 127.0.0.1, and its key, all PEM.
func certificates(t testing.TB) (ca, cert, key []byte) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	check(err)
	brokerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, brokerKey.Public(), caKey)
	check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(brokerKey)
	check(err)
	encode := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	return encode("CERTIFICATE", caDER), encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)
}
