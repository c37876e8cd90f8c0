package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"time"
)

// serverLife is how long a server certificate is valid.
const serverLife = 30 * 24 * time.Hour

// ServerTLS returns the configuration of the hub's side. Clients may come without a certificate, because enrolment is how
// they get one; a certificate that is given must be the CA's and good for a renewal at least. Whether one is needed, and must be
// unexpired, the callee decides.
func (a *Authority) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.serverCertificate() },
		ClientAuth:     tls.RequestClientCert, // an expired one is verified below
		ClientCAs:      a.pool,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			_, err := a.Renewer(s.PeerCertificates[0])
			return err
		},
		Time:       a.o.Now,
		NextProtos: []string{"h2"},
		// A resumed session would skip the check of the certificate's expiry.
		SessionTicketsDisabled: true,
	}
}

// serverCertificate returns the hub's certificate, made anew when two thirds of its life are over. The CA's certificate goes
// with it, so that an enrolling agent can compare it with its token's pin.
func (a *Authority) serverCertificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now()
	if a.server != nil && now.Before(a.server.Leaf.NotAfter.Add(-serverLife/3)) {
		return a.server, nil
	}
	if len(a.o.Hosts) == 0 {
		return nil, errors.New("no host names: name at least one under which agents reach the hub")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: "Fluxora hub"},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(serverLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range a.o.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a.server = &tls.Certificate{Certificate: [][]byte{der, a.certificate.Raw}, PrivateKey: key, Leaf: leaf}
	return a.server, nil
}
