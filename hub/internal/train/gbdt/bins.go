package gbdt

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	maxBins    = 255 // bins of known values, 0…254
	missingBin = 255
	edgeSample = 50_000 // rows that the edges are taken from
)

// Binned is a table of rows with each value replaced by the number of its bin, feature by feature. It is immutable, and
// several fits can share it.
type Binned struct {
	n       int
	columns [][]uint8   // by feature, then row
	edges   [][]float32 // by feature: bin b holds values ≤ edges[b], the last bin the rest
}

// Bin puts n rows of so many features, laid end to end, into bins. NaN means missing.
func Bin(rows []float32, features, threads int) (*Binned, error) {
	if features < 1 || len(rows) == 0 || len(rows)%features != 0 {
		return nil, fmt.Errorf("bin rows: %d values of %d features: want whole rows", len(rows), features)
	}
	b := &Binned{n: len(rows) / features, columns: make([][]uint8, features), edges: make([][]float32, features)}
	each(features, threads, func(f int) {
		b.edges[f] = edges(rows, features, f)
		column := make([]uint8, b.n)
		for r := range column {
			column[r] = bin(b.edges[f], rows[r*features+f])
		}
		b.columns[f] = column
	})
	return b, nil
}

// Rows returns the number of rows.
func (b *Binned) Rows() int { return b.n }

// edges returns borders that part the feature's values into bins of about equal weight, half-way between neighbours.
func edges(rows []float32, features, f int) []float32 {
	n := len(rows) / features
	stride := max(1, n/edgeSample)
	values := make([]float32, 0, n/stride+1)
	for r := 0; r < n; r += stride {
		if v := rows[r*features+f]; v == v {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	distinct := 0
	for i, v := range values {
		if i == 0 || v != values[i-1] {
			distinct++
		}
	}
	var out []float32
	if distinct <= maxBins {
		for i := 1; i < len(values); i++ {
			if values[i] != values[i-1] {
				out = append(out, between(values[i-1], values[i]))
			}
		}
		return out
	}
	for k := 1; k < maxBins; k++ {
		i := k * len(values) / maxBins
		for i < len(values) && i > 0 && values[i] == values[i-1] {
			i++
		}
		if i == 0 || i == len(values) {
			continue
		}
		if e := between(values[i-1], values[i]); len(out) == 0 || e > out[len(out)-1] {
			out = append(out, e)
		}
	}
	return out
}

// between returns a number that is at least a and less than b.
func between(a, b float32) float32 {
	if m := a/2 + b/2; m >= a && m < b {
		return m
	}
	return a
}

// bin returns the bin of v: the first whose edge is not below it.
func bin(edges []float32, v float32) uint8 {
	if v != v {
		return missingBin
	}
	lo, hi := 0, len(edges)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if v <= edges[mid] {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return uint8(lo)
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
