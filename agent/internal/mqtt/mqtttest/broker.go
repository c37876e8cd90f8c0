// Package mqtttest runs a real Mosquitto for tests, on a free port of this machine, with its data in a temporary
// directory. It must not be imported by programs.
package mqtttest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Broker is a Mosquitto.
type Broker struct {
	t      testing.TB
	config string
	URL    string
	addr   string
	cmd    *exec.Cmd
}

// Start starts a broker with further lines of configuration, and stops it when the test ends. Without Mosquitto the test is
// skipped.
func Start(t testing.TB, lines ...string) *Broker {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path = "/usr/sbin/mosquitto"; !isFile(path) {
			t.Skip("mosquitto is not installed: no test with a real broker")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	dir := t.TempDir()
	config := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nlog_dest none\nuser root\n", addr.Port, dir)
	for _, line := range lines {
		config += line + "\n"
	}
	b := &Broker{t: t, config: filepath.Join(dir, "mosquitto.conf"), URL: "tcp://" + addr.String(), addr: addr.String()}
	if err := os.WriteFile(b.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	b.cmd = exec.Command(path)
	b.Up()
	t.Cleanup(b.Down)
	return b
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Up starts the broker again and returns when it listens.
func (b *Broker) Up() {
	b.t.Helper()
	b.cmd = exec.Command(b.cmd.Path, "-c", b.config)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", b.addr)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("mosquitto does not listen on %s: %v", b.addr, err)
		}
	}
}

// Down ends the broker, which writes what it holds to disk first.
func (b *Broker) Down() {
	if b.cmd.Process != nil && b.cmd.ProcessState == nil {
		_ = b.cmd.Process.Signal(syscall.SIGTERM)
		_ = b.cmd.Wait()
	}
}
