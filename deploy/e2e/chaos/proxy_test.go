package chaos

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

// TestProxyPassesWhatItIsGiven sends bytes through every mode: in order, complete, and not at all while cut.
func TestProxyPassesWhatItIsGiven(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // an echo
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	p, err := newProxy(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	echo := func(c net.Conn) error {
		sent := bytes.Repeat([]byte("0123456789"), 500)
		if _, err := c.Write(sent); err != nil {
			return err
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("got other bytes than were sent")
		}
		return nil
	}
	for _, m := range []mode{{}, {rate: 1 << 20}, {delay: 1}} {
		p.set(m)
		c, err := net.Dial("tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := echo(c); err != nil {
			t.Errorf("%+v: %v", m, err)
		}
		p.set(mode{cut: true})
		if err := echo(c); err == nil {
			t.Errorf("bytes passed a cut network")
		}
		_ = c.Close()
	}
}

// TestStalledProxyHoldsBytesBack shows that a silent network passes nothing until it is healed, and then everything.
func TestStalledProxyHoldsBytesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proxy{moved: make(chan struct{}), conns: make(map[net.Conn]struct{})}
		p.set(mode{stall: true})
		in, out := net.Pipe()
		var got bytes.Buffer
		done := make(chan struct{})
		go func() { defer close(done); p.copy(&got, out) }()
		if _, err := in.Write([]byte("reading")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got.Len() > 0 {
			t.Errorf("%q passed a silent network", got.String())
		}
		p.set(mode{})
		_ = in.Close()
		<-done
		if got.String() != "reading" {
			t.Errorf("healed, the network passed %q: want %q", got.String(), "reading")
		}
	})
}
