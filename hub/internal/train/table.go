package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

const (
	// originStride is the least distance between origins of a point. It is no divisor of a day, so origins fall on all
	// hours: agents forecast from each.
	originStride = 13 * time.Hour
	stepShare    = 0.5 // share of the steps of an origin that become rows; neighbours say much the same
	coldShare    = 8   // one origin in so many is seen with a short history
	leastRows    = 300
)

// table holds rows and targets, point by point, origins ascending.
type table struct {
	resolution time.Duration
	width      int // features in a row
	points     int // with at least one row
	rows       []float32
	target     []float64 // in scales
	fit, held  []int32   // rows to learn from, rows to calibrate on; no target of fit lies past the start of held
	cut        meter.Millis
}

func (t *table) len() int { return len(t.target) }

func (t *table) row(i int32) []float32 { return t.rows[int(i)*t.width : (int(i)+1)*t.width] }

// part is what one point gives to a table.
type part struct {
	rows   []float32
	target []float64
	origin []meter.Millis
	end    []meter.Millis // of the target interval
}

// newTable computes the rows of all points.
func newTable(ctx context.Context, d Dataset, p Params) (*table, error) {
	if len(d.Points) == 0 {
		return nil, fmt.Errorf("%w: no points", ErrTooLittle)
	}
	t := &table{resolution: d.Points[0].History.Resolution, width: p.Spec.Len()}
	total := time.Duration(0)
	for _, pt := range d.Points {
		if err := pt.History.Check(); err != nil {
			return nil, fmt.Errorf("point %s: %w", pt.ID, err)
		}
		if pt.History.Resolution != t.resolution {
			return nil, fmt.Errorf("point %s: resolution %s among points of %s: train them apart", pt.ID, pt.History.Resolution, t.resolution)
		}
		total += pt.History.End().Sub(pt.History.Start)
	}
	horizon := int(p.Horizon / t.resolution)
	share := min(stepShare, 24/float64(horizon)) // fine resolutions give no more rows than hours do
	origins := max(1, int(float64(p.MaxRows)/(share*float64(horizon))))
	stride := max(originStride, total/time.Duration(origins))
	stride -= stride % t.resolution

	parts := make([]part, len(d.Points))
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range min(p.Threads, len(d.Points)) {
		wg.Go(func() {
			b := feature.NewBuilder(p.Spec)
			for i := range jobs {
				parts[i] = rowsOf(b, d.Points[i].History, stride, horizon, share, p.Seed+uint64(i), t.width)
			}
		})
	}
	for i := range d.Points {
		if ctx.Err() != nil {
			break
		}
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}

	from, to := d.Range()
	t.cut = to.Add(-min(p.HoldOut, to.Sub(from)/4))
	n := 0
	for _, pt := range parts {
		n += len(pt.target)
	}
	t.rows, t.target = make([]float32, 0, n*t.width), make([]float64, 0, n)
	for i, pt := range parts {
		if len(pt.target) > 0 {
			t.points++
		}
		for r, o := range pt.origin {
			switch at := int32(len(t.target) + r); {
			case o >= t.cut:
				t.held = append(t.held, at)
			case pt.end[r] <= t.cut:
				t.fit = append(t.fit, at)
			}
		}
		t.rows, t.target = append(t.rows, pt.rows...), append(t.target, pt.target...)
		parts[i] = part{}
	}
	if len(t.fit) < leastRows || len(t.held) < leastRows/3 {
		return nil, fmt.Errorf("%w: %d rows to fit and %d to calibrate on, want %d and %d", ErrTooLittle, len(t.fit), len(t.held), leastRows, leastRows/3)
	}
	return t, nil
}

// rowsOf computes the rows of one point. Its random draws depend on the seed alone.
func rowsOf(b *feature.Builder, h feature.History, stride time.Duration, horizon int, share float64, seed uint64, width int) part {
	var out part
	rng := rand.New(rand.NewPCG(seed, 0x7461626c65))
	day := int(24 * time.Hour / h.Resolution)
	phase := time.Duration(rng.IntN(int(stride/h.Resolution))) * h.Resolution
	for origin := h.Start.Add(24*time.Hour + phase); origin < h.End(); origin = origin.Add(stride) {
		seen := h
		if rng.IntN(coldShare) == 0 {
			seen = h.Since(origin.Add(-time.Duration(1+rng.IntN(27)) * 24 * time.Hour))
		}
		if b.Reset(seen, origin) != nil || b.Known() < day {
			continue
		}
		for step := 1; step <= horizon; step++ {
			if rng.Float64() >= share {
				continue
			}
			y := b.Target(step)
			if !(y > -1e6 && y < 1e6) { // unknown, or a point that stood still and now runs: nothing in its rows tells how much
				continue
			}
			at := len(out.rows)
			out.rows = append(out.rows, make([]float32, width)...)
			b.Row(step, out.rows[at:])
			out.target = append(out.target, y)
			out.origin = append(out.origin, origin)
			out.end = append(out.end, origin.Add(time.Duration(step)*h.Resolution))
		}
	}
	return out
}
