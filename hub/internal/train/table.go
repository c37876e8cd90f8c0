package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

const (
	// originStride is the least distance between origins of a point. It is no divisor of a day, so origins fall on all
	// hours: agents forecast from each.
	originStride = 13 * time.Hour
	stepShare    = 0.5 // share of the steps of an origin that become rows; neighbours say much the same
	bareShare    = 8   // one origin in so many is seen without weather, if there is any
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
	young      []bool    // by row: of an origin seen as that of a young point; not in fit and held, but of the view ofYoung
	ofYoung    bool      // fit and held are the young rows
	cut        meter.Millis
	from, to   meter.Millis // of the histories that fit and held are from
	bins       *binned
	ready      []prepared // the histories of the points
	windows    *windows
	skipped    int // points without a single row
	met        Preparation
	origin     []meter.Millis
	end        []meter.Millis // of the target's interval, by row
	point      []int32        // number of the point in the dataset, by row
	aged       []aged         // origins that tell by how much intervals grow where readings are missing
	names      []string       // of the points in the dataset, as package forecast calls them
}

func (t *table) len() int { return len(t.target) }

func (t *table) row(i int32) []float32 { return t.rows[int(i)*t.width : (int(i)+1)*t.width] }

// part is what one point gives to a table.
type part struct {
	rows   []float32
	target []float64
	origin []meter.Millis
	end    []meter.Millis // of the target interval
	young  []bool
	met    Preparation
}

// newTable computes the rows of all points.
func newTable(ctx context.Context, d Dataset, p Params) (*table, error) {
	if len(d.Points) == 0 {
		return nil, fmt.Errorf("%w: no points", ErrTooLittle)
	}
	t := &table{bins: new(binned), windows: new(windows), ready: make([]prepared, len(d.Points)), resolution: d.Points[0].History.Resolution, width: p.Spec.Len()}
	total := time.Duration(0)
	checked := map[*feature.Site]bool{}
	for _, pt := range d.Points {
		if site := pt.History.Site; site != nil && !checked[site] {
			if err := site.Check(); err != nil {
				return nil, fmt.Errorf("point %s: %w", pt.ID, err)
			}
			checked[site] = true
		}
		if err := pt.History.Check(); err != nil {
			return nil, fmt.Errorf("point %s: %w", pt.ID, err)
		}
		if pt.History.Resolution != t.resolution {
			return nil, fmt.Errorf("point %s: resolution %s among points of %s: train them apart", pt.ID, pt.History.Resolution, t.resolution)
		}
		total += pt.History.End().Sub(pt.History.Start)
		t.names = append(t.names, forecast.PointName(forecast.PointAt(pt.Site, pt.Known()), pt.Register))
	}
	o := originsFor(p, t.resolution, total)
	if len(p.young) > 0 {
		o.young = youngShare
	}

	parts := make([]part, len(d.Points))
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range min(p.Threads, len(d.Points)) {
		wg.Go(func() {
			b := feature.NewBuilder(p.Spec)
			for i := range jobs {
				var met Preparation
				ready := prepare(d.Points[i].History, d.Points[i].Loaded, &met)
				t.ready[i] = ready
				parts[i] = rowsOf(b, ready, o, p.Seed+uint64(i), t.width)
				met.Jumped = parts[i].met.Jumped
				parts[i].met = met
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

	t.from, t.to = d.Range()
	n := 0
	for _, pt := range parts {
		n += len(pt.target)
	}
	t.rows, t.target = make([]float32, 0, n*t.width), make([]float64, 0, n)
	for i, pt := range parts {
		t.met.add(pt.met)
		if len(pt.target) > 0 {
			t.points++
		}
		for range pt.target {
			t.point = append(t.point, int32(i))
		}
		t.young = append(t.young, pt.young...)
		t.rows, t.target = append(t.rows, pt.rows...), append(t.target, pt.target...)
		t.origin, t.end = append(t.origin, pt.origin...), append(t.end, pt.end...)
		parts[i] = part{}
	}
	t.skipped = len(d.Points) - t.points
	t.met.StoppedPoints = d.stopped()
	t.aged = agedFrom(d, t.trialCut(p), t.to, p)
	return t.before(t.to, p)
}

// before returns the table of what was known at an instant: the rows are shared, those that end later are neither in fit nor
// in held.
func (t *table) before(to meter.Millis, p Params) (*table, error) {
	v := *t
	v.to = to
	v.cut = to.Add(-min(p.HoldOut, to.Sub(t.from)/4))
	return &v, v.part()
}

// part parts the rows into those before the cut, to fit to, and those after it, held out.
func (t *table) part() error {
	t.fit, t.held = nil, nil
	for r, end := range t.end {
		switch {
		case end > t.to || t.young[r] != t.ofYoung:
		case t.origin[r] >= t.cut:
			t.held = append(t.held, int32(r))
		case end <= t.cut:
			t.fit = append(t.fit, int32(r))
		}
	}
	if len(t.fit) < leastRows || len(t.held) < leastRows/3 {
		return fmt.Errorf("%w: %d rows to fit and %d to calibrate on, want %d and %d", ErrTooLittle, len(t.fit), len(t.held), leastRows, leastRows/3)
	}
	return nil
}

// rowsOf computes the rows of one point. Its random draws depend on the seed alone.
func rowsOf(b *feature.Builder, ready prepared, o origins, seed uint64, width int) part {
	var out part
	h := ready.history
	rng, young := rand.New(rand.NewPCG(seed, 0x7461626c65)), rand.New(rand.NewPCG(seed, 0x796f756e67))
	bare := withoutWeather(h.Site)
	for _, origin := range o.of(h, rng) {
		seen := h
		if rng.IntN(coldShare) == 0 {
			seen = h.Since(origin.Add(-time.Duration(1+rng.IntN(27)) * 24 * time.Hour))
		}
		if bare != h.Site && rng.IntN(bareShare) == 0 {
			seen.Site = bare
		}
		out.add(b, ready, seen, origin, o, rng, width, false)
		if o.young > 0 && young.Float64() < o.young {
			seen = h.Since(origin.Add(-youngAge(young)))
			out.add(b, ready, seen, origin, o, young, width, true)
		}
	}
	return out
}

// withoutWeather returns a site of which the weather is not known: the same one if it is not.
func withoutWeather(s *feature.Site) *feature.Site {
	if s == nil || s.Weather == nil {
		return s
	}
	bare := *s
	bare.Weather = nil
	return &bare
}

// add adds the rows of one origin, of which so much of the history is seen.
func (out *part) add(b *feature.Builder, ready prepared, seen feature.History, origin meter.Millis, o origins, rng *rand.Rand, width int, young bool) {
	h := ready.history
	if b.Reset(seen, origin) != nil || b.Known() < int(24*time.Hour/h.Resolution) {
		return
	}
	for step := 1; step <= o.horizon; step++ {
		if o.steps < 1 && rng.Float64() >= o.steps {
			continue
		}
		y := b.Target(step)
		if y != y || ready.leaves(h.Index(origin)+step-1) {
			continue
		}
		if math.Abs(y) >= mostInScales {
			out.met.Jumped++
			continue
		}
		at := len(out.rows)
		out.rows = append(out.rows, make([]float32, width)...)
		b.Row(step, out.rows[at:])
		out.target = append(out.target, y)
		out.origin = append(out.origin, origin)
		out.end = append(out.end, origin.Add(time.Duration(step)*h.Resolution))
		out.young = append(out.young, young)
	}
}
