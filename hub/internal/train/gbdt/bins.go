package gbdt

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

const (
	width   = 8       // features whose bins lie together in a word
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
// it. The bins of eight features lie together in a word, so that one read serves eight histograms.
type Binned struct {
	n       int
	columns []Column
	words   [][]uint64 // by block of eight features, then row; the lowest byte is the first feature
	edges   []*edges   // by feature; nil for categories
}

// Bin puts n rows of so many features, laid end to end, into bins. NaN means missing. No columns means numbers all through.
func Bin(rows []float32, features, threads int, columns ...Column) (*Binned, error) {
	switch {
	case features < 1 || len(rows) == 0 || len(rows)%features != 0:
		return nil, fmt.Errorf("bin rows: %d values of %d features: want whole rows", len(rows), features)
	case len(rows)/features > maxRows:
		return nil, fmt.Errorf("bin rows: %d rows: want at most %d", len(rows)/features, maxRows)
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
	b := &Binned{n: len(rows) / features, columns: columns, words: make([][]uint64, (features+width-1)/width), edges: make([]*edges, features)}
	each(features, threads, func(f int) {
		if !columns[f].Category {
			b.edges[f] = newEdges(rows, features, f)
		}
	})
	for k := range b.words {
		b.words[k] = make([]uint64, b.n)
	}
	const chunk = 4096
	each((b.n+chunk-1)/chunk, threads, func(c int) {
		for k, words := range b.words {
			for r := c * chunk; r < min(b.n, (c+1)*chunk); r++ {
				word := uint64(0)
				for i, v := range rows[r*features+k*width : r*features+min(features, (k+1)*width)] {
					word |= uint64(b.bin(k*width+i, v)) << (8 * i)
				}
				words[r] = word
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
