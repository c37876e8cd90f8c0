package model

import (
	"errors"
	"fmt"
	"sort"
)

// Part is one of the parts that an additive model adds up.
type Part uint8

// The parts, in the order of Parts.
const (
	Profile Part = iota // what the point's own past weeks say of the hour
	Trend               // how far the point has moved since, and is moving
	Daily
	Weekly
	Yearly
	Holidays
	Weather
	parts // how many there are
)

// AllParts lists the parts.
func AllParts() []Part {
	out := make([]Part, parts)
	for i := range out {
		out[i] = Part(i)
	}
	return out
}

// String returns the word that screens and the API have for a part.
func (p Part) String() string {
	return [...]string{"profile", "trend", "daily", "weekly", "yearly", "holidays", "weather"}[p]
}

// Parts is what each part adds to the centre of a row, in scales.
type Parts [parts]float64

// Round is a wave, or anything else that comes round, as a table: a value for each slot of the day or of the week, or for
// each day of the year.
type Round struct {
	Over   int // OverDay, OverWeek or OverYear
	Values []float64
}

// What a Round comes round in.
const (
	OverDay  = iota
	OverWeek // Monday to Sunday; a holiday counts as a Sunday
	OverYear // 366 days, by the feature yearday
	overs
)

// Term is what a weight of an additive model is for: an input, a round, or one times the other. None of both is 1.
type Term struct {
	Part         Part
	Input, Round int // -1: none
}

// Own is what sets one point apart from all: how its weights differ, and its trend beyond what all share.
type Own struct {
	Point   string  // its name
	Slope   float64 // added to the trend
	Weights []float32
}

// Additive is the family of sums that a person can read: from a profile of the point's own past weeks, trend, waves of the
// day, the week and the year, holidays and weather, each with weights by horizon band that all points share, and with
// departures of the points learnt from. A point never seen has none, and is served by what all share.
type Additive struct {
	Scatter
	Calendar Calendar
	Yearday  int   // column, -1: none
	Base     []int // columns of the profile: the first that is known counts, and 1, the point's scale, when none is
	Inputs   []Input
	Rounds   []Round
	Terms    []Term
	Weights  []float64 // bands × terms
	Points   []Own     // by name, ascending
	features int
	views    []ownAdditive
}

// The bounds of an additive model: its scratch fits on the stack.
const (
	maxAdditive = 128 // inputs, and rounds
	maxTerms    = 256
	maxOwn      = 100_000
)

// NewAdditive returns a checked model over rows of so many features. The caller gives up a.
func NewAdditive(features int, a Additive) (*Additive, error) {
	m := &a
	m.features = features
	if err := errors.Join(m.Scatter.check(features), m.Calendar.check(features)); err != nil {
		return nil, err
	}
	if err := (&Anchor{Base: m.Base}).check(features, m.Bands.Count()); err != nil {
		return nil, err
	}
	if m.Yearday < -1 || m.Yearday >= features {
		return nil, fmt.Errorf("day of the year: column %d of %d features", m.Yearday, features)
	}
	if len(m.Inputs) > maxAdditive || len(m.Rounds) > maxAdditive || len(m.Terms) > maxTerms {
		return nil, fmt.Errorf("%d inputs, %d rounds, %d terms: want at most %d, %d and %d", len(m.Inputs), len(m.Rounds), len(m.Terms), maxAdditive, maxAdditive, maxTerms)
	}
	for i := range m.Inputs {
		if err := m.Inputs[i].check(features); err != nil {
			return nil, err
		}
	}
	for i, r := range m.Rounds {
		if r.Over < 0 || r.Over >= overs || len(r.Values) != roundSize(r.Over, &m.Calendar) || !allFinite(r.Values) {
			return nil, fmt.Errorf("round %d: %d values over %d", i, len(r.Values), r.Over)
		}
	}
	for i, t := range m.Terms {
		if t.Part == Profile || t.Part >= parts || t.Input < -1 || t.Input >= len(m.Inputs) || t.Round < -1 || t.Round >= len(m.Rounds) {
			return nil, fmt.Errorf("term %d: part %d of input %d and round %d", i, t.Part, t.Input, t.Round)
		}
	}
	if want := m.Bands.Count() * len(m.Terms); len(m.Weights) != want || !allFinite(m.Weights) {
		return nil, fmt.Errorf("%d weights: want %d finite ones", len(m.Weights), want)
	}
	if len(m.Points) > maxOwn {
		return nil, fmt.Errorf("%d points: want at most %d", len(m.Points), maxOwn)
	}
	m.views = make([]ownAdditive, len(m.Points))
	for i, p := range m.Points {
		if i > 0 && p.Point <= m.Points[i-1].Point || len(p.Point) > 1<<10 {
			return nil, fmt.Errorf("point %d: %.40q: want names in ascending order", i, p.Point)
		}
		if len(p.Weights) != len(m.Terms) || !finite(p.Slope) {
			return nil, fmt.Errorf("point %.40q: %d weights for %d terms, slope %g", p.Point, len(p.Weights), len(m.Terms), p.Slope)
		}
		for _, w := range p.Weights {
			if !finite(float64(w)) {
				return nil, fmt.Errorf("point %.40q: weight %g", p.Point, w)
			}
		}
		m.views[i] = ownAdditive{m, &m.Points[i]}
	}
	return m, nil
}

func allFinite(values []float64) bool {
	for _, v := range values {
		if !finite(v) {
			return false
		}
	}
	return true
}

// roundSize returns how many values a round has.
func roundSize(over int, c *Calendar) int {
	switch over {
	case OverDay:
		return c.Slots()
	case OverWeek:
		return 7 * c.Slots()
	}
	return 366
}

// Levels returns the quantile levels.
func (m *Additive) Levels() []float64 { return m.Bands.Levels }

// Predict implements Model, for a point never seen.
func (m *Additive) Predict(rows []float32, n int, out []float64) { m.predict(nil, rows, n, out) }

// ForPoint implements PerPoint.
func (m *Additive) ForPoint(name string) Model {
	if i := m.find(name); i >= 0 {
		return &m.views[i]
	}
	return m
}

// find returns the number of a point, -1 when it has nothing of its own.
func (m *Additive) find(name string) int {
	i := sort.Search(len(m.Points), func(i int) bool { return m.Points[i].Point >= name })
	if i < len(m.Points) && m.Points[i].Point == name {
		return i
	}
	return -1
}

// DecomposeFor returns what the parts add up to in a row of the point of that name, or of one never seen.
func (m *Additive) DecomposeFor(name string, row []float32) Parts {
	if i := m.find(name); i >= 0 {
		return m.decompose(&m.Points[i], row)
	}
	return m.decompose(nil, row)
}

// ownAdditive is an additive model for one of the points it has learnt from.
type ownAdditive struct {
	*Additive
	own *Own
}

// Predict implements Model.
func (v *ownAdditive) Predict(rows []float32, n int, out []float64) {
	v.Additive.predict(v.own, rows, n, out)
}

func (m *Additive) predict(own *Own, rows []float32, n int, out []float64) {
	f, l := m.features, len(m.Bands.Levels)
	for r := range n {
		row := rows[r*f : (r+1)*f]
		centre := 0.0
		for _, v := range m.decompose(own, row) {
			centre += v
		}
		m.fill(row, m.Bands.Of(row[m.Lead]), centre, out[r*l:(r+1)*l])
	}
}

func (m *Additive) decompose(own *Own, row []float32) (sum Parts) {
	var values [maxTerms]float64
	sum[Profile] = m.Values(row, values[:len(m.Terms)])
	at := m.Bands.Of(row[m.Lead]) * len(m.Terms)
	for i, w := range m.Weights[at : at+len(m.Terms)] {
		if own != nil {
			w += float64(own.Weights[i])
		}
		sum[m.Terms[i].Part] += float64(w * values[i]) // the conversion forbids a fused multiply-add
	}
	if own != nil {
		sum[Trend] += own.Slope
	}
	return sum
}

// Values fills terms with the value of each term in a row, and returns the profile.
func (m *Additive) Values(row []float32, terms []float64) (profile float64) {
	var inputs, rounds [maxAdditive]float64
	profile = (&Anchor{Base: m.Base}).base(row)
	for i := range m.Inputs {
		inputs[i] = m.Inputs[i].Of(row, profile)
	}
	day, slot := m.Calendar.Of(row)
	at := [overs]int{OverDay: slot, OverWeek: min(day, 6)*m.Calendar.Slots() + slot, OverYear: whole(row, m.Yearday, 367)}
	at[OverYear] = max(0, at[OverYear]-1)
	for i := range m.Rounds {
		rounds[i] = m.Rounds[i].Values[at[m.Rounds[i].Over]]
	}
	for i, t := range m.Terms {
		v := 1.0
		if t.Input >= 0 {
			v = inputs[t.Input]
		}
		if t.Round >= 0 {
			v = float64(v * rounds[t.Round])
		}
		terms[i] = v
	}
	return profile
}
