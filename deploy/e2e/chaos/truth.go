package chaos

import (
	"maps"
	"slices"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// series names what readings belong to.
type series struct {
	Point    string
	Register meter.Register
	Kind     meter.Kind
}

// truth is what the broker acked: every value of each series at each instant, in the order of publication. The last one
// counts.
type truth map[series]map[meter.Millis][]value

// value is what a meter said at an instant.
type value struct {
	Value   int64
	Quality meter.Quality
}

// enter adds a value, unless it is the one that counts already.
func (t truth) enter(s series, at meter.Millis, v value) {
	if t[s] == nil {
		t[s] = make(map[meter.Millis][]value)
	}
	if vs := t[s][at]; len(vs) == 0 || vs[len(vs)-1] != v {
		t[s][at] = append(vs, v)
	}
}

// amend makes of what an instant should hold what it does hold: none, or other values.
func (t truth) amend(s series, at meter.Millis, vs []value) {
	if len(vs) == 0 {
		delete(t[s], at)
		return
	}
	t[s][at] = vs
}

// has reports whether anything was published of a series.
func (t truth) has(s series) bool { return len(t[s]) > 0 }

// count returns how many instants have a value, and how many values there are.
func (t truth) count() (instants, values int) {
	for _, rs := range t {
		instants += len(rs)
		for _, vs := range rs {
			values += len(vs)
		}
	}
	return instants, values
}

// intervals folds a series from scratch.
func (t truth) intervals(s series, o interval.Options) ([]interval.Interval, error) {
	samples := make([]interval.Sample, 0, len(t[s]))
	for _, at := range slices.Sorted(maps.Keys(t[s])) {
		vs := t[s][at]
		last := vs[len(vs)-1]
		samples = append(samples, interval.Sample{At: at, Value: last.Value, Quality: last.Quality, Kind: s.Kind, Meter: 1})
	}
	return interval.Rebuild(samples, o)
}
