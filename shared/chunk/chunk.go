// Package chunk packs the readings of one series into a columnar, delta-encoded block and back.
//
// One format serves the agent's store, the wire and the hub's tables, so a block moves from the meter's gateway to
// Postgres without being encoded again, and a plain SQL function can unpack it. The format knows nothing of series names
// or sequences: whoever holds a block says what series it belongs to.
//
// Layout, all integers as LEB128 varints, signed ones zigzag-encoded as in Protocol Buffers:
//
//	version   1 byte, 1
//	n         uvarint, readings in the block, 1…MaxReadings
//	times     varint first instant (ms), then for the n-1 steps between readings runs of
//	          (varint change of step against the step before, uvarint length of the run); the step before the first is 0
//	          and within a run the change is applied once, at its start
//	values    1 byte e (0…9): all values are multiples of 10^e; varint first value / 10^e, then n-1 varint differences / 10^e
//	qualities runs of (uvarint quality, uvarint length)
//
// Readings keep the order in which they were given, usually the order of arrival; nothing is sorted or dropped.
package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"fluxora.dev/shared/meter"
)

// MaxReadings bounds a block, so that decoding a hostile one cannot ask for unbounded memory.
const MaxReadings = 1 << 16

const version = 1

// ErrCorrupt marks bytes that are no block of a known version.
var ErrCorrupt = errors.New("corrupt chunk")

// Append encodes the readings rs, which must be of one series and number 1…MaxReadings, behind dst and returns the
// longer slice. The series of the readings is not encoded.
func Append(dst []byte, rs []meter.Reading) ([]byte, error) {
	if len(rs) == 0 || len(rs) > MaxReadings {
		return dst, fmt.Errorf("encode chunk: %d readings: want 1 to %d", len(rs), MaxReadings)
	}
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, uint64(len(rs)))

	dst = binary.AppendVarint(dst, int64(rs[0].At))
	for i, step := 1, int64(0); i < len(rs); {
		next := int64(rs[i].At - rs[i-1].At)
		run := 1
		for i+run < len(rs) && int64(rs[i+run].At-rs[i+run-1].At) == next {
			run++
		}
		dst = binary.AppendVarint(dst, next-step)
		dst = binary.AppendUvarint(dst, uint64(run))
		step, i = next, i+run
	}

	exp, scale := commonScale(rs)
	dst = append(dst, exp)
	dst = binary.AppendVarint(dst, rs[0].Value/scale)
	for i := 1; i < len(rs); i++ {
		dst = binary.AppendVarint(dst, rs[i].Value/scale-rs[i-1].Value/scale)
	}

	for i := 0; i < len(rs); {
		run := 1
		for i+run < len(rs) && rs[i+run].Quality == rs[i].Quality {
			run++
		}
		dst = binary.AppendUvarint(dst, uint64(rs[i].Quality))
		dst = binary.AppendUvarint(dst, uint64(run))
		i += run
	}
	return dst, nil
}

// commonScale returns the largest power of ten up to 10^9 that divides every value.
func commonScale(rs []meter.Reading) (exp byte, scale int64) {
	scale = 1
	for exp < 9 {
		for _, r := range rs {
			if r.Value%(scale*10) != 0 {
				return exp, scale
			}
		}
		exp, scale = exp+1, scale*10
	}
	return exp, scale
}

// Decode appends the readings of block b to dst, each with the given series, and returns the longer slice. On an error,
// which wraps ErrCorrupt, dst is returned as it came.
func Decode(dst []meter.Reading, b []byte, series meter.SeriesID) ([]meter.Reading, error) {
	keep := dst
	d := decoder{b: b}
	if v := d.byte(); v != version {
		return keep, fmt.Errorf("%w: version %d: want %d", ErrCorrupt, v, version)
	}
	count := d.uvarint()
	if count == 0 || count > MaxReadings {
		return keep, fmt.Errorf("%w: %d readings: want 1 to %d", ErrCorrupt, count, MaxReadings)
	}
	n, at := int(count), len(dst)

	t := d.varint()
	dst = append(dst, meter.Reading{Series: series, At: meter.Millis(t)})
	for i, step := 1, int64(0); i < n; {
		step += d.varint()
		run := d.run(n - i)
		for ; run > 0; run-- {
			t += step
			dst = append(dst, meter.Reading{Series: series, At: meter.Millis(t)})
			i++
		}
		if d.bad {
			return keep, fmt.Errorf("%w: times", ErrCorrupt)
		}
	}

	scale := int64(1)
	exp := d.byte()
	if exp > 9 {
		return keep, fmt.Errorf("%w: exponent %d: want 0 to 9", ErrCorrupt, exp)
	}
	for ; exp > 0; exp-- {
		scale *= 10
	}
	v := int64(0)
	for i := range n {
		v += d.varint()
		dst[at+i].Value = v * scale
	}
	if d.bad {
		return keep, fmt.Errorf("%w: values", ErrCorrupt)
	}

	for i := 0; i < n; {
		q := d.uvarint()
		run := d.run(n - i)
		if d.bad || !(q <= 255 && meter.Quality(q).Valid()) {
			return keep, fmt.Errorf("%w: qualities", ErrCorrupt)
		}
		for ; run > 0; run-- {
			dst[at+i].Quality = meter.Quality(q)
			i++
		}
	}
	if d.bad || len(d.b) != 0 {
		return keep, fmt.Errorf("%w: %d bytes behind the end", ErrCorrupt, len(d.b))
	}
	return dst, nil
}

// Len returns how many readings block b says it holds, without decoding it.
func Len(b []byte) (int, error) {
	d := decoder{b: b}
	if v := d.byte(); v != version {
		return 0, fmt.Errorf("%w: version %d: want %d", ErrCorrupt, v, version)
	}
	n := d.uvarint()
	if d.bad || n == 0 || n > MaxReadings {
		return 0, fmt.Errorf("%w: %d readings: want 1 to %d", ErrCorrupt, n, MaxReadings)
	}
	return int(n), nil
}

// decoder reads varints and remembers whether one was missing or overlong.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// run reads the length of a run that may be at most most long and at least 1.
func (d *decoder) run(most int) int {
	u := d.uvarint()
	if u == 0 || u > uint64(most) {
		d.bad = true
		return 0
	}
	return int(u)
}
