package train

import (
	"fmt"
	"math"
	"slices"
	"time"

	"fluxora.dev/shared/feature"
)

// Preparation counts what the rules of preparation met. Features see what the agent sees, so that rows are the same in
// training and on the gateway; the rules say what becomes the target of a row. Nothing is changed in the store.
//
//	missing      nothing is known of the interval           no target; features of it are Missing
//	recovered    the energy is real, its timing guessed     the same (feature.NewHistory): billed, not learnt from
//	unmeasured   suspect or estimated                       the same
//	duplicated   a second value for one interval            the later one counts
//	infinite     not a finite number, or over 1e19 Wh       taken as missing, also by features
//	negative     below zero: no register goes that way      no target
//	stuck        the same value, not zero, for three days   no target, unless the point often has that value
//	             or longer
//	outlying     over the 99th percentile by more than      no target
//	             20 times its distance from the median
//	jumped       over a million times the mean of the four  no target: nothing in its row tells how much
//	             weeks before the origin, as after a
//	             standstill of the point
//
// Zeros are real, of a closed house as of a point that stopped, and are learnt from.
type Preparation struct {
	Intervals  int `json:"intervals"` // of the histories, from first to last
	Missing    int `json:"missing"`   // of them, those of the three below included
	Recovered  int `json:"recovered"`
	Unmeasured int `json:"unmeasured"`
	Infinite   int `json:"infinite"`

	Duplicated int `json:"duplicated"`
	Negative   int `json:"negative"`
	Stuck      int `json:"stuck"`
	Outlying   int `json:"outlying"`
	Jumped     int `json:"jumped"` // counted by row, not by interval

	EmptyPoints    int `json:"empty_points"`    // without a known value
	ConstantPoints int `json:"constant_points"` // with one value only; learnt from
	StoppedPoints  int `json:"stopped_points"`  // without a known value in the last four weeks of the data; learnt from
}

// String lists what was met, by rule, for people.
func (c Preparation) String() string {
	out := fmt.Sprintf("%d intervals", c.Intervals)
	for _, r := range []struct {
		rule string
		n    int
	}{
		{"missing", c.Missing},
		{"recovered", c.Recovered},
		{"unmeasured", c.Unmeasured},
		{"infinite", c.Infinite},
		{"duplicated", c.Duplicated},
		{"negative", c.Negative},
		{"stuck", c.Stuck},
		{"outlying", c.Outlying},
		{"jumped", c.Jumped},
		{"empty points", c.EmptyPoints},
		{"constant points", c.ConstantPoints},
		{"stopped points", c.StoppedPoints},
	} {
		if r.n > 0 {
			out += fmt.Sprintf(", %d %s", r.n, r.rule)
		}
	}
	return out
}

// Loaded counts what a loader met of one point before it became a history.
type Loaded struct{ Recovered, Unmeasured, Duplicated int }

// add adds what another point met.
func (c *Preparation) add(o Preparation) {
	c.Intervals += o.Intervals
	c.Missing += o.Missing
	c.Recovered += o.Recovered
	c.Unmeasured += o.Unmeasured
	c.Infinite += o.Infinite
	c.Duplicated += o.Duplicated
	c.Negative += o.Negative
	c.Stuck += o.Stuck
	c.Outlying += o.Outlying
	c.Jumped += o.Jumped
	c.EmptyPoints += o.EmptyPoints
	c.ConstantPoints += o.ConstantPoints
	c.StoppedPoints += o.StoppedPoints
}

const (
	stuckFor     = 72 * time.Hour
	stuckShare   = 0.05 // of the other known values: a value that a point has so often is not stuck but usual
	outlyingBy   = 20.0
	leastToJudge = 500 // known values, for the percentiles to mean something
	mostInScales = 1e6
	mostEnergy   = 1e19 // Wh: more than an agent or the store can hold, so what is beyond is as good as infinite
)

// prepared is the history of one point, ready to be learnt from.
type prepared struct {
	history feature.History // what features see
	leave   []bool          // intervals that are no targets; nil: none
}

// leaves reports whether the interval of a step after an origin is no target.
func (p *prepared) leaves(i int) bool { return i >= 0 && i < len(p.leave) && p.leave[i] }

// prepare applies the rules to one point and counts. It changes nothing of h's.
func prepare(h feature.History, loaded Loaded, c *Preparation) prepared {
	p := prepared{history: h}
	c.Recovered += loaded.Recovered
	c.Unmeasured += loaded.Unmeasured
	c.Duplicated += loaded.Duplicated
	c.Intervals += len(h.Energy)
	known := make([]float64, 0, len(h.Energy))
	for i, v := range h.Energy {
		if math.Abs(v) > mostEnergy {
			if &p.history.Energy[0] == &h.Energy[0] {
				p.history.Energy = slices.Clone(h.Energy)
			}
			p.history.Energy[i], v = math.NaN(), math.NaN()
			c.Infinite++
		}
		if v != v {
			c.Missing++
			continue
		}
		known = append(known, v)
		if v < 0 {
			p.leaveOut(i)
			c.Negative++
		}
	}
	if len(known) == 0 {
		c.EmptyPoints++
		return p
	}
	slices.Sort(known)
	if known[0] == known[len(known)-1] {
		c.ConstantPoints++
		return p
	}
	p.outlying(known, c)
	p.stuck(known, c)
	return p
}

func (p *prepared) leaveOut(i int) {
	if p.leave == nil {
		p.leave = make([]bool, len(p.history.Energy))
	}
	p.leave[i] = true
}

// outlying leaves out what lies beyond a robust limit. known must be sorted.
func (p *prepared) outlying(known []float64, c *Preparation) {
	if len(known) < leastToJudge {
		return
	}
	middle, high := known[len(known)/2], known[len(known)*99/100]
	if high <= middle {
		return // zero nearly always: what is rare may still be real
	}
	limit := high + float64(outlyingBy*(high-middle))
	for i, v := range p.history.Energy {
		if v > limit {
			p.leaveOut(i)
			c.Outlying++
		}
	}
}

// stuck leaves out long runs of one value. known must be sorted.
func (p *prepared) stuck(known []float64, c *Preparation) {
	least := int(stuckFor / p.history.Resolution)
	energy := p.history.Energy
	for from := 0; from < len(energy); {
		to := from + 1
		for to < len(energy) && energy[to] == energy[from] {
			to++
		}
		if v := energy[from]; to-from >= least && v != 0 {
			low, _ := slices.BinarySearch(known, v)
			high, _ := slices.BinarySearch(known, math.Nextafter(v, math.Inf(1)))
			if others := high - low - (to - from); float64(others) < stuckShare*float64(len(known)-(to-from)) {
				for i := from; i < to; i++ {
					p.leaveOut(i)
				}
				c.Stuck += to - from
			}
		}
		from = to
	}
}

// stopped counts the points of which nothing is known in the last four weeks of the data.
func (d Dataset) stopped() int {
	_, end := d.Range()
	n := 0
	for _, p := range d.Points {
		known := func(v float64) bool { return v == v }
		if e := p.History.Energy; slices.ContainsFunc(e, known) && !slices.ContainsFunc(p.History.Since(end.Add(-28*24*time.Hour)).Energy, known) {
			n++
		}
	}
	return n
}
