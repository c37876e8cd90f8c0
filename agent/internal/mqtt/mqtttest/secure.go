package mqtttest

import (
	"strings"
	"testing"

	"fluxora.dev/shared/brokertest"
)

// Secure is a broker that speaks TLS, with a certificate for 127.0.0.1, and lets in one user with a password.
type Secure struct {
	*Broker
	CAFile string // PEM of the authority that signed the broker's certificate
}

// StartSecure is Start for a broker with TLS and a password.
func StartSecure(t testing.TB, user, password string, lines ...string) Secure {
	t.Helper()
	settings, ca := brokertest.Secure(t, t.TempDir(), user, password)
	b := Start(t, append(settings, lines...)...)
	b.URL = strings.Replace(b.URL, "tcp:", "ssl:", 1)
	return Secure{b, ca}
}
