package gbdt

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

const (
	width   = 8       // features whose bins lie together in a word
	cached  = 1 << 17 // rows whose words of one block a processor's own cache holds
	maxRows = 1 << 26 // beyond, sums of packed cells would lose too much of the gradients
)

// Column says what a feature is beside a number. The zero value is a number on which predictions may depend in any way.
type Column struct {
	// Category means that values are codes, whole numbers of 0 to 254 without order; anything else counts as missing.
	Category bool
	// Monotone is +1 when predictions must not fall as the value rises, −1 when they must not rise, else 0.
	Monotone int
}

// Binned is a table of rows with each value replaced by the number of its bin. It is immutable, and several fits can share
// it. It holds the bins twice: eight features in a word, because a histogram needs all features of a row and one read then
// serves eight; and column by column, because parting rows needs one feature of many rows. Both together take half of what the
// values took as float32.
//
// The words of a block of eight features lie together while a cache holds them all; in larger tables those of a row do, so
// that they come from memory at once.
type Binned struct {
	n       int
	columns []Column
	blocks  int       // words of a row
	words   []uint64  // the lowest byte is the first feature
	stride  int       // words from row to row
	apart   int       // words from block to block
	bytes   [][]uint8 // by feature, then row
	edges   []*edges  // by feature; nil for categories
}

// Bin puts n rows of so many features, laid end to end, into bins. NaN means missing. No columns means numbers all through.
func Bin(rows []float32, features, threads int, columns ...Column) (*Binned, error) {
	switch {
	case features < 1 || len(rows) == 0 || len(rows)%features != 0:
		return nil, fmt.Errorf("bin rows: %d values of %d features: want whole rows", len(rows), features)
	case len(rows)/features > maxRows || len(rows)/width > math.MaxInt32-maxRows:
		return nil, fmt.Errorf("bin rows: %d rows of %d features: want at most %d rows and %d values", len(rows)/features, features, maxRows, (math.MaxInt32-maxRows)*width)
	case len(columns) == 0:
		columns = make([]Column, features)
	case len(columns) != features:
		return nil, fmt.Errorf("bin rows: %d columns described of %d", len(columns), features)
	}
	for f, c := range columns {
		if c.Monotone < -1 || c.Monotone > 1 || c.Category && c.Monotone != 0 {
			return nil, fmt.Errorf("bin rows: column %d: monotone %d: want −1, 0 or 1, and 0 for categories", f, c.Monotone)
		}
	}
	b := &Binned{n: len(rows) / features, columns: columns, blocks: (features + width - 1) / width, bytes: make([][]uint8, features), edges: make([]*edges, features)}
	b.words, b.stride, b.apart = make([]uint64, b.n*b.blocks), 1, b.n
	if b.n > cached {
		b.stride, b.apart = b.blocks, 1
	}
	sample := draw(b.n)
	each(features, threads, func(f int) {
		if !columns[f].Category {
			b.edges[f] = newEdges(rows, features, f, sample)
		}
	})
	for f := range b.bytes {
		b.bytes[f] = make([]uint8, b.n)
	}
	const chunk = 1024 // rows whose values stay in the cache for all features
	each((b.n+chunk-1)/chunk, threads, func(c int) {
		from, to := c*chunk, min(b.n, (c+1)*chunk)
		for f, column := range b.bytes {
			words, shift := b.words[f/width*b.apart:], uint(8*(f%width))
			for r := from; r < to; r++ {
				bin := b.bin(f, rows[r*features+f])
				column[r] = bin
				words[r*b.stride] |= uint64(bin) << shift
			}
		}
	})
	return b, nil
}

// Rows returns the number of rows.
func (b *Binned) Rows() int { return b.n }

// bin returns the bin of a value of feature f.
func (b *Binned) bin(f int, v float32) uint8 {
	if e := b.edges[f]; e != nil {
		return e.bin(v)
	}
	if v >= 0 && v < maxBins && float32(math.Trunc(float64(v))) == v {
		return uint8(v)
	}
	return missingBin
}

// bins returns how many bins of feature f hold known values.
func (b *Binned) bins(f int) int {
	if e := b.edges[f]; e != nil {
		return e.bins()
	}
	return maxBins
}

// each calls do(0) … do(n-1), shared out over threads.
func each(n, threads int, do func(i int)) {
	if threads < 2 || n < 2 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(threads, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}
