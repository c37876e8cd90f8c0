package forest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"fluxora.dev/shared/model"
)

// Column is a feature of all rows, in bins.
type Column struct {
	Bins []uint8   // by row; Missing: the value is not known
	UpTo []float32 // by bin: the largest value in it; the last bin, len(UpTo), has none
}

// Missing is the bin of values that are not known.
const Missing = 255

// Result is a forest and what its trees say of the rows that they did not see.
type Result struct {
	Trees []model.SampleTree
	Grid  []float64 // values that samples are rounded to
	OOB   float64   // mean squared error of means over trees that did not see the row; NaN where every tree saw all
}

// Fit grows a forest on some rows, given a target for each row of the columns.
func Fit(ctx context.Context, columns []Column, target []float64, rows []int32, p Params) (Result, error) {
	if err := p.Check(); err != nil {
		return Result{}, fmt.Errorf("grow forest: %w", err)
	}
	if len(columns) == 0 || len(rows) == 0 {
		return Result{}, fmt.Errorf("grow forest: %d features and %d rows to learn from", len(columns), len(rows))
	}
	for _, c := range columns {
		if len(c.Bins) != len(target) {
			return Result{}, fmt.Errorf("grow forest: %d targets for %d rows", len(target), len(c.Bins))
		}
	}
	out := Result{Trees: make([]model.SampleTree, p.Trees), Grid: grid(target, rows)}
	codes := codesOf(target, rows, out.Grid)
	seen := oob{sum: make([]float64, len(target)), count: make([]int32, len(target))}
	threads := max(1, min(p.Threads, p.Trees))
	// Out-of-bag sums are taken in the order of the trees: threads hand them over in turn, so that bits do not depend on them.
	turn := make([]chan struct{}, p.Trees+1)
	for t := range turn {
		turn[t] = make(chan struct{})
	}
	close(turn[0])
	var next atomic.Int64
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			g := newGrower(columns, target, codes, rows, p)
			for t := int(next.Add(1)) - 1; t < p.Trees; t = int(next.Add(1)) - 1 {
				if ctx.Err() == nil {
					out.Trees[t] = g.grow(rand.New(rand.NewPCG(p.Seed, 0x666f72657374+uint64(t))))
				}
				<-turn[t]
				if ctx.Err() == nil {
					g.unseen(&seen)
				}
				close(turn[t+1])
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	out.OOB = seen.error(target, rows)
	return out, nil
}

// oob sums up what trees say of the rows that they did not see.
type oob struct {
	sum   []float64
	count []int32
}

func (o *oob) error(target []float64, rows []int32) float64 {
	sum, n := 0.0, 0
	for _, r := range rows {
		if c := o.count[r]; c > 0 {
			e := target[r] - o.sum[r]/float64(c)
			sum += e * e
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}

// grid returns the values that samples are rounded to: quantiles of the targets, the extremes among them.
func grid(target []float64, rows []int32) []float64 {
	sorted := make([]float64, len(rows))
	for i, r := range rows {
		sorted[i] = target[r]
	}
	slices.Sort(sorted)
	var out []float64
	for k := range model.GridSize {
		v := sorted[k*(len(sorted)-1)/(model.GridSize-1)]
		if len(out) == 0 || v > out[len(out)-1] {
			out = append(out, v)
		}
	}
	return out
}

// codesOf returns the number of the grid value nearest to each target.
func codesOf(target []float64, rows []int32, grid []float64) []uint8 {
	out := make([]uint8, len(target))
	for _, r := range rows {
		i, _ := slices.BinarySearch(grid, target[r])
		if i == len(grid) || i > 0 && target[r]-grid[i-1] < grid[i]-target[r] {
			i--
		}
		out[r] = uint8(i)
	}
	return out
}
