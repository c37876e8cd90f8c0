package forecast

import (
	"errors"
	"fmt"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Why a forecast cannot be made on a rung, for the ladder to branch on.
var (
	ErrShortHistory = errors.New("history is too short") // known, but not enough for this rung
	ErrModel        = errors.New("model is of no use")   // it does not fit the request or gave no number
)

// MaxHorizon is the most steps a forecast may have: a week of five-minute intervals.
const MaxHorizon = 2016

// Maker makes forecasts with one artifact after another, keeping its buffers. The zero value is ready. It must not be
// used by two goroutines at once.
type Maker struct {
	Site string // of the points, by whose names and its own models know them; empty: by theirs alone

	builder *feature.Builder
	spec    [32]byte
	rows    []float32
	out     []float64
}

// Make forecasts with a one-off Maker.
func Make(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int,
	art *model.Artifact, rung Rung, levels []float64, now meter.Millis,
) (Forecast, error) {
	var m Maker
	return m.Make(h, point, register, origin, horizon, art, rung, levels, now)
}

// Make forecasts horizon intervals from origin on with an artifact. Nothing of h at or after origin is read. Levels nil
// means the artifact's own; others are interpolated, or reckoned from its outermost.
//
// Where the newest readings are missing, what the model itself makes of those hours stands in for them, and the intervals are as
// much wider as its training has found them to have to be.
func (m *Maker) Make(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int,
	art *model.Artifact, rung Rung, levels []float64, now meter.Millis,
) (Forecast, error) {
	f := Forecast{Point: point, Register: register, Origin: origin, Resolution: h.Resolution, Levels: levels, Rung: rung, Model: art.ID, Issued: now}
	if len(levels) == 0 {
		f.Levels = append([]float64(nil), art.Levels...)
	}
	var err error
	name := PointName(PointAt(m.Site, point), register)
	if f.Stale, err = m.fill(h, name, origin, horizon, art); err != nil {
		return Forecast{}, err
	}
	b, n := m.builder, len(art.Levels)
	f.Completeness = max(0, b.Completeness()-float64(f.Stale)/float64(feature.ScaleWindow))
	m.out = grow(m.out, horizon*n)
	model.ForPoint(art.Model, name).Predict(m.rows, horizon, m.out)
	f.Values = make([]float64, 0, horizon*len(f.Levels))
	for s := range horizon {
		if f.Values, err = appendLevels(f.Values, f.Levels, art.Levels, m.out[s*n:(s+1)*n], b.Scale()); err != nil {
			return Forecast{}, fmt.Errorf("%w: step %d: %w", ErrModel, s+1, err)
		}
	}
	f.widen(art.Growth.At(f.Stale))
	return f, f.Check()
}

// fill computes the rows of a forecast, and returns how long before the origin the newest known interval ended.
func (m *Maker) fill(h feature.History, name string, origin meter.Millis, horizon int, art *model.Artifact) (stale time.Duration, err error) {
	if err := checkHorizon(horizon); err != nil {
		return 0, err
	}
	if art.Resolution != h.Resolution {
		return 0, fmt.Errorf("%w: it was trained at %s, the history is at %s", ErrModel, art.Resolution, h.Resolution)
	}
	if ahead := time.Duration(horizon) * h.Resolution; ahead > art.Horizon {
		return 0, fmt.Errorf("%w: it has learnt to predict %s ahead, not %s", ErrModel, art.Horizon, ahead)
	}
	if hash := art.Spec.Hash(); m.builder == nil || m.spec != hash {
		m.builder, m.spec = feature.NewBuilder(art.Spec), hash
	}
	if err := h.Check(); err != nil {
		return 0, err
	}
	if origin.Floor(h.Resolution) != origin { // a bridge to it would have no end
		return 0, fmt.Errorf("origin %s: want a boundary of %s", origin, h.Resolution)
	}
	if stale = staleness(h, origin); stale > 0 {
		if h, err = m.bridge(h, name, origin.Add(-stale), origin, art); err != nil {
			return 0, err
		}
	}
	return stale, m.rowsFrom(h, origin, horizon, art)
}

// rowsFrom computes the rows of so many steps from an origin on.
func (m *Maker) rowsFrom(h feature.History, origin meter.Millis, horizon int, art *model.Artifact) error {
	b := m.builder
	if err := b.Reset(h, origin); err != nil {
		return err
	}
	if err := enough(b.Known(), h.Resolution); err != nil {
		return err
	}
	width := art.Spec.Len()
	m.rows = grow(m.rows, horizon*width)
	for s := range horizon {
		b.Row(s+1, m.rows[s*width:(s+1)*width])
	}
	return nil
}

// bridge returns h with what the model makes of the time from one instant to another, of which nothing is known: a day after
// the other, each from what stands in for the days before.
func (m *Maker) bridge(h feature.History, name string, from, to meter.Millis, art *model.Artifact) (feature.History, error) {
	h = h.Before(from)
	h.Energy = append(make([]float64, 0, len(h.Energy)+int(to.Sub(from)/h.Resolution)), h.Energy...)
	n, middle := len(art.Levels), model.Middle(art.Levels)
	for from < to {
		steps := int(min(24*time.Hour, art.Horizon, to.Sub(from)) / h.Resolution)
		if err := m.rowsFrom(h, from, steps, art); err != nil {
			return h, err
		}
		m.out = grow(m.out, steps*n)
		model.ForPoint(art.Model, name).Predict(m.rows, steps, m.out)
		for s := range steps {
			h.Energy = append(h.Energy, max(0, float64(m.out[s*n+middle]*m.builder.Scale())))
		}
		from = from.Add(time.Duration(steps) * h.Resolution)
	}
	return h, nil
}

// staleness returns how long before the origin the newest known interval ended, 0 when nothing of the last four weeks is known.
func staleness(h feature.History, origin meter.Millis) time.Duration {
	recent := h.Before(origin).Since(origin.Add(-feature.ScaleWindow))
	for i := len(recent.Energy) - 1; i >= 0; i-- {
		if v := recent.Energy[i]; v == v {
			return origin.Sub(recent.Start.Add(time.Duration(i+1) * h.Resolution))
		}
	}
	return 0
}

// PointAt names a point of a site among those of all sites.
func PointAt(site, point string) string {
	if site == "" {
		return point
	}
	return site + "/" + point
}

// PointName is what models that know some points better than others call the register of a point.
func PointName(point string, register meter.Register) string { return point + " " + string(register) }

// enough returns an error unless a day's worth of intervals is known: less says nothing about the point's scale.
func enough(known int, resolution time.Duration) error {
	switch day := int(24 * time.Hour / resolution); {
	case known == 0:
		return ErrNoHistory
	case known < day:
		return fmt.Errorf("%w: %d intervals of %s are known, a model needs %d", ErrShortHistory, known, resolution, day)
	}
	return nil
}

func checkHorizon(horizon int) error {
	if horizon < 1 || horizon > MaxHorizon {
		return fmt.Errorf("horizon of %d steps: want 1 to %d", horizon, MaxHorizon)
	}
	return nil
}

// appendLevels appends the values at the wanted levels, in Wh: interpolated linearly between those the model has, and beyond
// them as far from the middle as a normal distribution has it.
func appendLevels(dst, want, have, scaled []float64, scale float64) ([]float64, error) {
	for _, l := range want {
		if v, ok := beyond(l, have, scaled); ok {
			dst = append(dst, max(0, float64(v*scale)))
			continue
		}
		i := 0
		for i < len(have)-1 && have[i+1] <= l {
			i++
		}
		v := scaled[i]
		if have[i] != l {
			if l < have[0] || i == len(have)-1 {
				return dst, fmt.Errorf("level %g: the model knows %g to %g", l, have[0], have[len(have)-1])
			}
			v += float64((scaled[i+1] - scaled[i]) * ((l - have[i]) / (have[i+1] - have[i])))
		}
		if v != v {
			return dst, fmt.Errorf("level %g: not a number", l)
		}
		dst = append(dst, max(0, float64(v*scale)))
	}
	return dst, nil
}

// beyond returns the value of a level below the lowest or above the highest that a model has, which must lie below and above a
// half.
func beyond(l float64, have, scaled []float64) (float64, bool) {
	at, tail := 0, have[0]
	wanted := l
	if l > have[len(have)-1] {
		at, tail, wanted = len(have)-1, 1-have[len(have)-1], 1-l
	} else if l >= have[0] {
		return 0, false
	}
	middle := scaled[model.Middle(have)]
	v := middle + float64((scaled[at]-middle)*(tailScore(wanted)/tailScore(tail)))
	return v, tail < 0.5 && v == v
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
