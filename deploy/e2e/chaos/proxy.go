package chaos

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// proxy is a network between two programs that can be cut, stalled and slowed. It passes bytes from its own port to another
// one of this machine.
type proxy struct {
	target string
	l      net.Listener

	mu    sync.Mutex
	mode  mode
	moved chan struct{} // closed when mode changes
	conns map[net.Conn]struct{}
	wait  sync.WaitGroup
}

// mode is what the network does.
type mode struct {
	cut   bool          // refuse and break connections
	stall bool          // let bytes pile up, as a cable pulled out does
	delay time.Duration // of each piece
	rate  int           // bytes a second, 0 for no limit
}

// newProxy listens on a free port of loopback.
func newProxy(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy of %s: %w", target, err)
	}
	p := &proxy{target: target, l: l, moved: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	p.wait.Go(p.accept)
	return p, nil
}

// addr returns where the proxy listens, host:port.
func (p *proxy) addr() string { return p.l.Addr().String() }

// set changes what the network does, to open connections too.
func (p *proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.moved)
	p.moved = make(chan struct{})
	if m.cut {
		for c := range p.conns {
			_ = c.Close()
		}
	}
}

func (p *proxy) now() (mode, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.moved
}

func (p *proxy) close() {
	_ = p.l.Close()
	p.set(mode{cut: true})
	p.wait.Wait()
}

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if m, _ := p.now(); m.cut {
			_ = in.Close()
			continue
		}
		p.wait.Go(func() { p.pass(in) })
	}
}

// keep notes a connection so that a cut reaches it; it refuses one that comes during a cut.
func (p *proxy) keep(cs ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cs {
		p.conns[c] = struct{}{}
	}
	return !p.mode.cut
}

func (p *proxy) pass(in net.Conn) {
	defer in.Close()
	out, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		return
	}
	defer out.Close()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, in)
		delete(p.conns, out)
	}()
	if !p.keep(in, out) {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			p.copy(way[1], way[0])
			_ = in.Close() // one way broken breaks the other
			_ = out.Close()
		})
	}
	both.Wait()
}

// copy passes bytes on as the mode of the moment has it.
func (p *proxy) copy(dst io.Writer, src io.Reader) {
	b := make([]byte, 16<<10)
	for {
		m, _ := p.now()
		piece := b
		if m.rate > 0 {
			piece = b[:max(1, min(len(b), m.rate/10))]
		}
		n, err := src.Read(piece)
		m, moved := p.now()
		for ; m.stall && !m.cut; m, moved = p.now() {
			<-moved
		}
		pause := m.delay
		if m.rate > 0 {
			pause += time.Duration(n) * time.Second / time.Duration(m.rate)
		}
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-moved:
			}
		}
		if n > 0 {
			if _, err := dst.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
