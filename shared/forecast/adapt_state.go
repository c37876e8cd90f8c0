package forecast

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"fluxora.dev/shared/meter"
)

// An adapter's state, encoded, is kept by whoever forecasts. What holds:
//
//   - Saved state and history make the adapter: one that was saved, read again and asked for a forecast gives the bits of one that
//     was never stopped, for the steps that are over since are learnt from then, in the same order. So it needs saving
//     only when a forecast was kept (Unsaved), about once a day, which spares flash.
//   - A crash between a forecast and the save loses that forecast's lessons; the next one is kept in its place.
//   - What cannot be decoded is an error that wraps ErrAdapterState, whatever the bytes are. An adapter from zero takes
//     its place: intervals are the model's own again.
//   - A new model, or one that was rolled back, goes on with the factors of the one before. Other levels, another resolution and a clock that
//     was put back are met by the next forecast (Adapter.meet).
//
// Layout, little-endian: version (1 byte), what was learnt, kept forecasts, CRC-32C of all before. Whoever adds to what is learnt
// of a point writes it in appendLearnt, reads it in decodeLearnt and counts the version up.

// ErrAdapterState says that bytes are no state of an adapter that this version can read.
var ErrAdapterState = errors.New("state of an adapter is damaged or of another version")

const (
	adapterVersion = 3
	maxState       = 128 << 10 // bytes
	mostTally      = 1e6       // hours
	mostStrayed    = 1e18      // Wh
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Unsaved reports whether a forecast was kept since the state was last encoded or decoded.
func (a *Adapter) Unsaved() bool { return a.unsaved }

// Encode returns the state of a, at most 128 KiB, and marks it as saved.
func (a *Adapter) Encode() []byte {
	b := []byte{adapterVersion}
	b = a.appendLearnt(b)
	b = append(b, byte(len(a.kept)))
	for _, k := range a.kept {
		b = binary.LittleEndian.AppendUint64(b, uint64(k.origin))
		b = binary.LittleEndian.AppendUint32(b, uint32(k.resolution/time.Second))
		b = binary.LittleEndian.AppendUint16(b, uint16(k.next))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(k.steps)))
		for _, s := range k.steps {
			for _, v := range [...]float32{s.model[0], s.model[1], s.model[2], s.served[0], s.served[1], s.served[2]} {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
			}
		}
	}
	a.unsaved = false
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (a *Adapter) appendLearnt(b []byte) []byte {
	b = appendFloat64s(b, a.low, a.high, a.restless.expected, a.restless.strayed, a.leaning.lately)
	b = appendFloat64s(b, a.leaning.parts[:]...)
	for _, band := range a.bands {
		b = appendFloat64s(b, band.factor[0], band.factor[1], band.tally.Below, band.tally.Within, band.tally.Above)
	}
	return b
}

// DecodeAdapter returns the adapter whose state was encoded.
func DecodeAdapter(b []byte) (*Adapter, error) {
	n := len(b) - 4
	if n < 1 || len(b) > maxState {
		return nil, fmt.Errorf("%w: %d bytes", ErrAdapterState, len(b))
	}
	if binary.LittleEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil, fmt.Errorf("%w: checksum differs", ErrAdapterState)
	}
	if b[0] != adapterVersion {
		return nil, fmt.Errorf("%w: version %d: this build reads %d", ErrAdapterState, b[0], adapterVersion)
	}
	a, r := new(Adapter), stateReader{b: b[1:n]}
	a.decodeLearnt(&r)
	a.decodeKept(&r)
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: values out of bounds", ErrAdapterState)
	}
	return a, nil
}

func (a *Adapter) decodeLearnt(r *stateReader) {
	a.low, a.high = r.float64(0, 1), r.float64(0, 1)
	a.restless = restless{r.float64(0, mostStrayed), r.float64(0, mostStrayed)}
	a.leaning.lately = r.float64(-leanMost, leanMost)
	for i := range a.leaning.parts {
		a.leaning.parts[i] = r.float64(-leanMost, leanMost)
	}
	for i := range a.bands {
		band := &a.bands[i]
		for side := range band.factor {
			band.factor[side] = r.float64(adaptLeast-1, adaptMost-1)
		}
		band.tally = Tally{r.float64(0, mostTally), r.float64(0, mostTally), r.float64(0, mostTally)}
	}
}

func (a *Adapter) decodeKept(r *stateReader) {
	n := r.uint(1)
	for i := 0; i < int(n) && !r.bad; i++ {
		k := kept{origin: meter.Millis(r.uint(8)), resolution: time.Duration(r.uint(4)) * time.Second, next: int(r.uint(2))}
		steps := int(r.uint(2))
		if k.resolution < time.Minute || k.resolution > 24*time.Hour || k.next < 1 || k.next > steps+1 || steps > maxKeptFor || n > maxKept ||
			i > 0 && k.origin <= a.kept[i-1].origin || len(r.b) < steps*24 {
			r.bad = true
			return
		}
		for range steps {
			var s keptStep
			s.model, s.served = r.levels(), r.levels()
			k.steps = append(k.steps, s)
		}
		a.kept = append(a.kept, k)
	}
}

func appendFloat64s(b []byte, vs ...float64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// stateReader reads numbers off the front of b; bad is set for good when one is missing or out of bounds.
type stateReader struct {
	b   []byte
	bad bool
}

// uint reads a number of so many bytes.
func (r *stateReader) uint(bytes int) (v uint64) {
	if r.bad = r.bad || len(r.b) < bytes; r.bad {
		return 0
	}
	for i := range bytes {
		v |= uint64(r.b[i]) << (8 * i)
	}
	r.b = r.b[bytes:]
	return v
}

func (r *stateReader) float64(least, most float64) float64 {
	v := math.Float64frombits(r.uint(8))
	if !(v >= least && v <= most) {
		r.bad = true
		return 0
	}
	return v
}

// levels reads the lowest, the middle and the highest level.
func (r *stateReader) levels() (out [3]float32) {
	for i := range out {
		out[i] = math.Float32frombits(uint32(r.uint(4)))
		if !(out[i] >= 0 && out[i] <= 1e15) || i > 0 && out[i] < out[i-1] {
			r.bad = true
		}
	}
	return out
}
