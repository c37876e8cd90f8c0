package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Mosquitto is Debian's broker on loopback, with a store of its own, for tests.
type Mosquitto struct {
	*Process
	Port int
}

// NewMosquitto returns a broker that is not started. The limits are those of an installation made for Fluxora: a gateway's
// broker keeps what comes while the agent is away.
func NewMosquitto(dir, log string, port int) (*Mosquitto, error) {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			return nil, errors.New("mosquitto is not installed: run make setup")
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the broker's directory: %w", err)
	}
	config := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf(`listener %d 127.0.0.1
allow_anonymous true
persistence true
persistence_location %s/
autosave_interval 1
max_inflight_messages 200
max_queued_messages 0
user root
`, port, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the broker's settings: %w", err)
	}
	return &Mosquitto{&Process{Name: "mosquitto", Path: path, Args: []string{"-c", config}, Log: log}, port}, nil
}

// URL returns where the broker listens.
func (m *Mosquitto) URL() string { return fmt.Sprintf("tcp://127.0.0.1:%d", m.Port) }

// Start starts the broker and waits until it accepts connections.
func (m *Mosquitto) Start(ctx context.Context) error {
	if err := m.Process.Start(); err != nil {
		return err
	}
	return WaitFor(ctx, "mosquitto to accept connections", 10*time.Second, func(ctx context.Context) (bool, error) {
		if !m.Running() {
			return false, m.EndedError()
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", m.Port))
		if err != nil {
			return false, err
		}
		return true, c.Close()
	})
}
