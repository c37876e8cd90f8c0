package gbdt

import (
	"math"
	"math/bits"
)

// A cell sums the rows of one bin in one integer: their number in the low bits, the sum of their gradients, scaled to
// integers, in the high ones. One addition counts and sums a row; integers make sums exact, so that they are the same in
// whatever order threads take them, and the larger child's histogram is the parent's less the smaller child's to the bit.

// packing says how gradients become integers in a tree of so many rows.
type packing struct {
	shift uint // bits of the count
	mask  uint64
	scale float64 // integers in a gradient of 1, a power of two
}

// newPacking returns the finest packing for sums over so many rows of gradients of at most most.
func newPacking(rows int, most float64) packing {
	shift := uint(bits.Len(uint(rows)))
	room := min(63-2*int(shift), 50)
	p := packing{shift: shift, mask: 1<<shift - 1, scale: 1}
	if most > 0 {
		_, e := math.Frexp(most)
		p.scale = math.Ldexp(1, room-max(e, -900))
	}
	return p
}

// pack returns the cell of one row.
func (p *packing) pack(gradient float64) uint64 {
	const round = 3 << 51 // adding it leaves the nearest integer in the low bits
	q := int64(math.Float64bits(float64(gradient*p.scale)+round) - math.Float64bits(round))
	return uint64(q<<p.shift) + 1
}

// count returns the rows in a cell.
func (p *packing) count(c uint64) int { return int(c & p.mask) }

// sum returns the scaled gradients in a cell.
func (p *packing) sum(c uint64) float64 { return float64(int64(c) >> p.shift) }

// histogram holds the cells of one feature. Its size lets a byte index it without a bounds check.
type histogram [256]uint64

// block holds the histograms of the features of a word.
type block [width]histogram

// addAll adds row after row, whose words are so far from one another.
func (b *block) addAll(words []uint64, stride int, cells []uint64) {
	at := 0
	for _, c := range cells {
		w := words[at]
		at += stride
		b[0][uint8(w)] += c
		b[1][uint8(w>>8)] += c
		b[2][uint8(w>>16)] += c
		b[3][uint8(w>>24)] += c
		b[4][uint8(w>>32)] += c
		b[5][uint8(w>>40)] += c
		b[6][uint8(w>>48)] += c
		b[7][uint8(w>>56)] += c
	}
}

// add adds the rows whose words are at some places, their cells in the same order.
func (b *block) add(words []uint64, places []int32, cells []uint64) {
	cells = cells[:len(places)]
	for i, at := range places {
		w, c := words[at], cells[i]
		b[0][uint8(w)] += c
		b[1][uint8(w>>8)] += c
		b[2][uint8(w>>16)] += c
		b[3][uint8(w>>24)] += c
		b[4][uint8(w>>32)] += c
		b[5][uint8(w>>40)] += c
		b[6][uint8(w>>48)] += c
		b[7][uint8(w>>56)] += c
	}
}

// add adds some rows of one feature.
func (h *histogram) add(column []uint8, rows []int32, cells []uint64) {
	cells = cells[:len(rows)]
	for i, r := range rows {
		h[column[r]] += cells[i]
	}
}

// subtract takes the rows of o off h, both of so many bins.
func (h *histogram) subtract(o *histogram, bins int) {
	for i := range h[:bins] {
		h[i] -= o[i]
	}
	if bins <= missingBin {
		h[missingBin] -= o[missingBin]
	}
}
