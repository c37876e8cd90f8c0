package uplink_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"

	"fluxora.dev/agent/internal/hubtest"
	"fluxora.dev/agent/internal/uplink"
)

// countingListener counts what passes on the connections, TLS included.
type countingListener struct {
	net.Listener
	bytes *atomic.Int64
}

type countingConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l.bytes}, err
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// endless is a Store whose batches are made beforehand, so that only the uplink is measured.
type endless struct {
	batches []wire.Batch // of size readings each
	size    uint64
	total   uint64
	acked   atomic.Uint64
	done    chan struct{}
}

func (e *endless) Epoch() uint64            { return 1 }
func (e *endless) Next() uint64             { return e.total + 1 }
func (e *endless) Pending() uint64          { return e.total - e.acked.Load() }
func (e *endless) Changed() <-chan struct{} { return nil }
func (e *endless) Series() []wire.Series {
	var ss []wire.Series
	for i := range 20 {
		ss = append(ss, wire.Series{ID: meter.SeriesID(i + 1), Series: meter.Series{Point: fmt.Sprintf("p%d", i), Register: meter.EnergyImport, Kind: meter.Counter}})
	}
	return ss
}

func (e *endless) Unacked() []wire.Range {
	if e.acked.Load() == e.total {
		return nil
	}
	return []wire.Range{{First: e.acked.Load() + 1, End: e.total + 1}}
}

func (e *endless) ReadFrom(first uint64, _ int) (wire.Batch, error) {
	b := e.batches[int((first-1)/e.size)%len(e.batches)]
	b.First = first
	return b, nil
}

func (e *endless) Ack(r wire.Range) error {
	if e.acked.Store(r.End - 1); r.End == e.total+1 {
		close(e.done)
	}
	return nil
}
func (e *endless) SetReceived(wire.Received) error   { return nil }
func (e *endless) SetAside(wire.Range, string) error { return nil }

// counters returns batches of size readings: 10-second counters of the given number of points, taking turns.
func counters(b *testing.B, size, points int) []wire.Batch {
	var out []wire.Batch
	values := make([]int64, points)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 16 {
		batch := wire.Batch{Count: uint64(size)}
		for p := range points {
			rs := make([]meter.Reading, size/points)
			for i := range rs {
				values[p] += 100 * (200 + random.Int64N(150)) // mWh in 10 s: 7 to 12 kW, shown to 0.1 Wh
				rs[i] = meter.Reading{At: meter.Millis(1_700_000_000_000 + 10_000*int64(n*len(rs)+i)), Value: values[p]}
			}
			c, err := chunk.Append(nil, rs)
			if err != nil {
				b.Fatal(err)
			}
			batch.Blocks = append(batch.Blocks, wire.Block{Series: meter.SeriesID(p + 1), Chunk: c})
		}
		out = append(out, batch)
	}
	return out
}

// BenchmarkUplink answers: how many bytes on the wire, TLS included, and how much CPU, sender and receiver together, does a
// reading cost, the receiver decoding every chunk and keeping nothing?
func BenchmarkUplink(b *testing.B) {
	for _, c := range []struct{ size, points int }{{1000, 1}, {1000, 5}, {1000, 20}, {10_000, 20}} {
		b.Run(fmt.Sprintf("batch=%d/points=%d", c.size, c.points), func(b *testing.B) {
			var bytes atomic.Int64
			hub := hubtest.New(b)
			hub.Discard = true
			hub.Wrap = func(l net.Listener) net.Listener { return countingListener{l, &bytes} }
			id := enrolled(b, hub, hub.Start())
			batches := counters(b, c.size, c.points)
			n := uint64((b.N + c.size - 1) / c.size * c.size)
			s := &endless{batches: batches, size: uint64(c.size), total: n, done: make(chan struct{})}
			client := uplink.New(uplink.Options{Identity: id, Store: s, Log: slog.New(slog.DiscardHandler), Fresh: 1 << 60, BatchReadings: c.size})
			bytes.Store(0)
			before := cpu(b)
			ctx, cancel := context.WithCancel(context.Background())
			stopped := make(chan struct{})
			b.ResetTimer()
			go func() { client.Run(ctx); close(stopped) }()
			<-s.done
			b.StopTimer()
			used := cpu(b) - before
			b.ReportMetric(float64(bytes.Load())/float64(n), "wireB/reading")
			b.ReportMetric(float64(used.Nanoseconds())/1000/float64(n), "cpu-µs/reading")
			cancel()
			<-stopped
		})
	}
}

// cpu returns the CPU time this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
