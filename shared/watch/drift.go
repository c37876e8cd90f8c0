package watch

import (
	"fmt"
	"math"
)

// Measure is a distance between what was usual and what is now.
type Measure string

// The measures.
const (
	MeasurePSI Measure = "psi" // for features
	MeasureKS  Measure = "ks"  // for residuals
)

// of returns the distance of s from a reference.
func (m Measure) of(reference, s Sketch) float64 {
	if m == MeasurePSI {
		return PSI(reference, s)
	}
	return KS(reference, s)
}

// The rule of an alarm. Real buildings have odd fortnights every year: holidays, a cold spell. So an alarm needs a distance
// clearly beyond what any fortnight of the usual time had, for one year's farthest is as likely as not beyond that of the year
// before, and three weekly checks in a row.
const (
	block      = 2  // weeks that are compared with the reference at a time
	checks     = 3  // in a row, a week apart, that must find it
	leastUsual = 8  // weeks that a reference needs
	wholeYear  = 52 // weeks after which a reference has seen every season
	young      = 1.25
	leastPSI   = 0.25 // no limit is below: the rule of thumb for a shift that matters
	leastKS    = 0.15
	beyondPSI  = 1.25 // times the farthest
	beyondKS   = 1.1
)

// Span is how many weeks Judge looks at.
const Span = block + checks - 1

// Reference is what was usual: the values of some weeks, and a bound on how far fortnights of that time lay from the rest of it.
type Reference struct {
	Measure Measure
	Pooled  Sketch
	Limit   float64 // distance beyond which a fortnight is no longer usual
	Weeks   int     // that hold values
}

// NewReference returns the reference that consecutive weeks give. ok is false when too few of them hold values. One of less
// than a year has a wider limit: seasons are still to come.
func NewReference(m Measure, weeks []Sketch) (r Reference, ok bool) {
	r = Reference{Measure: m}
	for i := range weeks {
		r.Pooled.Merge(weeks[i])
		if weeks[i].Known() > 0 {
			r.Weeks++
		}
	}
	if r.Weeks < leastUsual {
		return r, false
	}
	far := 0.0
	for i := 0; i+block <= len(weeks); i++ {
		now := pool(weeks[i : i+block])
		if d := m.of(r.Pooled.without(now), now); d > far {
			far = d
		}
	}
	least, beyond := leastKS, beyondKS
	if m == MeasurePSI {
		least, beyond = leastPSI, beyondPSI
	}
	r.Limit = far * beyond
	if r.Weeks < wholeYear {
		r.Limit *= young
	}
	r.Limit = max(r.Limit, least)
	return r, true
}

func pool(weeks []Sketch) Sketch {
	var out Sketch
	for _, w := range weeks {
		out.Merge(w)
	}
	return out
}

// Verdict says whether something has drifted.
type Verdict struct {
	Distance float64 // of the recent weeks from the reference; NaN when nothing is known of one
	Limit    float64
	Drifted  bool
	Reason   string // for people; empty unless it has drifted
}

// Judge compares recent weeks, the latest last, with the reference. With fewer than Span of them nothing has drifted yet.
// name is what the reason calls the values.
func (r Reference) Judge(name string, recent []Sketch) Verdict {
	v := Verdict{Distance: math.NaN(), Limit: r.Limit}
	if len(recent) < block {
		return v
	}
	now := pool(recent[len(recent)-block:])
	v.Distance = r.Measure.of(r.Pooled, now)
	if len(recent) < Span {
		return v
	}
	for i := range checks {
		end := len(recent) - i
		if !(r.Measure.of(r.Pooled, pool(recent[end-block:end])) > r.Limit) {
			return v
		}
	}
	v.Drifted = true
	v.Reason = fmt.Sprintf("%s of the last %d weeks lie as in no fortnight of the %d weeks before: %s %.2f, usual is up to %.2f; %s",
		name, Span, r.Weeks, r.Measure, v.Distance, v.Limit, moved(r.Pooled, now))
	return v
}

// moved says in words how the middle and the breadth of values changed.
func moved(was, now Sketch) string {
	a, b := was.quantile(0.5), now.quantile(0.5)
	wide, is := was.quantile(0.9)-was.quantile(0.1), now.quantile(0.9)-now.quantile(0.1)
	out := fmt.Sprintf("the middle went from %.2f to %.2f", a, b)
	switch {
	case is > 1.5*wide:
		out += fmt.Sprintf(", the breadth rose %.1f times", is/wide)
	case is < wide/1.5:
		out += fmt.Sprintf(", the breadth fell to %.0f %%", 100*is/wide)
	}
	if m, n := was.absent(), now.absent(); n > m+0.1 {
		out += fmt.Sprintf(", %.0f %% are missing where %.0f %% were", 100*n, 100*m)
	}
	return out
}

// quantile returns about the value that a share of the known ones lies below: the middle of its bin.
func (s *Sketch) quantile(share float64) float64 {
	want, sum := share*float64(s.Known()), 0.0
	for i, n := range s.Bins {
		if sum += float64(n); sum >= want && n > 0 {
			u := (float64(i)+0.5)/(sketchBins/2) - 1
			return u / (1 - math.Abs(u))
		}
	}
	return math.NaN()
}

// absent returns the share of the values that are missing.
func (s *Sketch) absent() float64 {
	n := float64(s.Known()) + float64(s.Missing)
	return float64(s.Missing) / max(1, n)
}
