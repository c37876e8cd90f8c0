package model

import (
	"encoding/binary"
	"math"
)

// writer appends little-endian values.
type writer struct{ b []byte }

func (w *writer) u8(v uint8)    { w.b = append(w.b, v) }
func (w *writer) u16(v uint16)  { w.b = binary.LittleEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32)  { w.b = binary.LittleEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64)  { w.b = binary.LittleEndian.AppendUint64(w.b, v) }
func (w *writer) f32(v float32) { w.u32(math.Float32bits(v)) }
func (w *writer) f64(v float64) { w.u64(math.Float64bits(v)) }

func (w *writer) f32s(vs []float32) {
	for _, v := range vs {
		w.f32(v)
	}
}

func (w *writer) f64s(vs []float64) {
	for _, v := range vs {
		w.f64(v)
	}
}

// columns writes the numbers of at most 255 columns.
func (w *writer) columns(cs []int) {
	w.u8(uint8(len(cs)))
	for _, c := range cs {
		w.u16(uint16(c))
	}
}

// reader takes little-endian values. After the end it gives zeros and bad is set; it allocates nothing it cannot fill.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) left() int { return len(r.b) }

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// count returns a 32-bit count. One that no artifact can have is bad, also where int has 32 bits.
func (r *reader) count() int {
	v := r.u32()
	if v > math.MaxInt32 {
		r.bad, r.b = true, nil
		return 0
	}
	return int(v)
}

func (r *reader) u64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) f32() float32 { return math.Float32frombits(r.u32()) }
func (r *reader) f64() float64 { return math.Float64frombits(r.u64()) }

func (r *reader) f32s(n int) []float32 {
	if n < 0 || n > len(r.b)/4 {
		r.bad, r.b = true, nil
		return nil
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = r.f32()
	}
	return out
}

func (r *reader) f64s(n int) []float64 {
	if n < 0 || n > len(r.b)/8 {
		r.bad, r.b = true, nil
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = r.f64()
	}
	return out
}

// columns returns what writer.columns wrote.
func (r *reader) columns() []int {
	n := int(r.u8())
	if n > r.left()/2 {
		r.bad, r.b = true, nil
		return nil
	}
	cs := make([]int, n)
	for i := range cs {
		cs[i] = int(r.u16())
	}
	return cs
}
