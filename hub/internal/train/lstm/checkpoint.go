package lstm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
)

// Checkpoint keeps the state of fits over a restart, each under a key that names its data and settings.
type Checkpoint interface {
	// Load returns what was saved last under a key, nil when nothing was. The bytes may be damaged: then the fit begins anew.
	Load(key string) ([]byte, error)

	// Save keeps body in place of what was saved before. It must not keep the slice. An error ends the fit.
	Save(key string, body []byte) error
}

// A checkpoint is the fingerprint of the fit (32 bytes), little-endian uint32 counts of weights, epochs and the best
// epoch, then float64 weights, moments, squares, best weights and the curve, then the SHA-256 of all before.
const headLength = 32 + 12

// load takes up the state that c holds, if it is of this very fit.
func (f *fit) load(c Checkpoint) error {
	if c == nil {
		return nil
	}
	b, err := c.Load(f.key())
	if err != nil {
		return fmt.Errorf("load checkpoint: %w", err)
	}
	n := len(f.now.weights)
	if len(b) < headLength+sha256.Size {
		return nil
	}
	end := len(b) - sha256.Size
	if sha256.Sum256(b[:end]) != [32]byte(b[end:]) || [32]byte(b) != f.fingerprint() {
		return nil
	}
	weights, epochs, best := binary.LittleEndian.Uint32(b[32:]), int(binary.LittleEndian.Uint32(b[36:])), int(binary.LittleEndian.Uint32(b[40:]))
	if int(weights) != n || best < 1 || best > epochs || end != headLength+8*(4*n+epochs) {
		return nil
	}
	b = b[headLength:]
	take := func(k int) []float64 {
		out := make([]float64, k)
		for i := range out {
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
		b = b[8*k:]
		return out
	}
	f.now = state{weights: take(n), moment: take(n), square: take(n), kept: take(n), best: best, curve: take(epochs)}
	f.resumed = epochs
	return nil
}

// save hands the state to c.
func (f *fit) save(c Checkpoint) error {
	if c == nil {
		return nil
	}
	print := f.fingerprint()
	b := append(make([]byte, 0, headLength+8*(4*len(f.now.weights)+len(f.now.curve))+sha256.Size), print[:]...)
	for _, v := range []int{len(f.now.weights), f.now.epochs(), f.now.best} {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	for _, vs := range [][]float64{f.now.weights, f.now.moment, f.now.square, f.now.kept, f.now.curve} {
		for _, v := range vs {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
	}
	sum := sha256.Sum256(b)
	if err := c.Save(f.key(), append(b, sum[:]...)); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return nil
}

// key names the fit among others.
func (f *fit) key() string {
	print := f.fingerprint()
	return "lstm-" + hex.EncodeToString(print[:8])
}

// fingerprint identifies a fit: its settings, the network's shape and all that it learns from. The number of threads is
// no part of it.
func (f *fit) fingerprint() [32]byte {
	if f.print != nil {
		return *f.print
	}
	h := sha256.New()
	p := f.p
	p.Threads = 0
	net := *f.net
	net.Weights = nil
	fmt.Fprintf(h, "fluxora lstm 1 %+v %+v %v %d", p, net, f.levels, f.d.Width)
	buf := make([]byte, 0, 1<<16)
	flush := func(always bool) {
		if always || len(buf) > 1<<16-16 {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	for _, rows := range [][]int32{f.d.Fit, f.d.Held} {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(rows)))
		for _, r := range rows {
			buf = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(buf, uint32(r)), math.Float64bits(f.d.Target[r]))
			flush(false)
			for _, v := range f.d.row(r) {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
				flush(false)
			}
		}
	}
	flush(true)
	f.print = new([32]byte)
	h.Sum(f.print[:0])
	return *f.print
}
