package model

import (
	"errors"
	"fmt"
	"math"
)

// Weeks is the family of lines through every hour of the last weeks: each step ahead has a weight of its own for each hour
// before the origin, the same for all points, and no calendar. It is the global autoregression of long memory of
// Montero-Manso and Hyndman (Principles and algorithms for forecasting groups of time series, 2021), fitted directly for each
// step. Energies enter as the eighth root of their share in the mean, so that a high level and a low one are alike and a
// surge counts for little.
type Weeks struct {
	Scatter
	Past     []int      // columns of the hours before the origin, oldest first
	PerHour  int        // steps in an hour
	Lines    []PastLine // the longest first; the first that a point's history fills counts
	features int
}

// PastLine holds the weights of a stretch of hours for each step.
type PastLine struct {
	Hours, Steps int
	Weights      []float32 // steps × (hours, oldest first, and a constant)
}

const (
	maxWeeksPast = 512
	maxPastLines = 8
	maxPastSteps = 7 * 24 * 60

	rootFloor = 0.05 // share of the mean that is added before the root: below it, differences count for little
)

// Root returns the eighth root of a share of the mean. Square roots have the same bits everywhere, which logarithms have not.
func Root(share float64) float64 {
	return math.Sqrt(math.Sqrt(math.Sqrt(max(share, 0) + rootFloor)))
}

// unroot is the inverse of Root; what no share has a root of is 0.
func unroot(z float64) float64 {
	z = min(max(z, 0), 8)
	z = float64(z * z)
	z = float64(z * z)
	z = float64(z * z) // the conversion forbids a fused multiply-add
	return max(z-rootFloor, 0)
}

// Stretch is a line's reading of some hours.
type Stretch struct {
	Unit  float64 // mean of the known hours
	Level float64 // mean root of the last week
}

// Fills reports whether the history that hours are from, oldest first, fills a stretch of the last n: at least half of it is
// known, and something of its first day.
func Fills(past []float32, n int) bool {
	if n > len(past) {
		return false
	}
	past = past[len(past)-n:]
	known, first := 0, n
	for i, v := range past {
		if v == v {
			known++
			first = min(first, i)
		}
	}
	return 2*known >= n && first < min(24, n)
}

// ReadPast fills x with the hours of a stretch that is filled, oldest first, as what their roots differ from the level, and
// the constant. A missing hour takes the value of a week before, of a day before, of a day after, or the level.
func ReadPast(past, x []float32) Stretch {
	s := Stretch{Unit: 1}
	sum, known := 0.0, 0
	for _, v := range past {
		if v == v {
			sum += max(float64(v), 0)
			known++
		}
	}
	if mean := sum / float64(max(known, 1)); mean > 1e-6 {
		s.Unit = mean
	}
	n := len(past)
	x = x[:n+1]
	sum, known = 0, 0
	for i, v := range past {
		x[i] = float32(math.NaN())
		if v == v {
			z := Root(float64(v) / s.Unit)
			x[i] = float32(z)
			if i >= n-168 {
				sum += z
				known++
			}
		}
	}
	s.Level = sum / float64(max(known, 1))
	if known == 0 {
		s.Level = Root(1)
	}
	for i := range n {
		for _, from := range [...]int{i - 168, i - 24, i + 24, i + 48} {
			if x[i] != x[i] && from >= 0 && from < n {
				x[i] = x[from]
			}
		}
		if x[i] != x[i] {
			x[i] = float32(s.Level)
		}
	}
	for i := range n {
		x[i] = float32(float64(x[i]) - s.Level)
	}
	x[n] = 1
	return s
}

// NewWeeks returns a checked model over rows of so many features.
func NewWeeks(features int, s Scatter, past []int, perHour int, lines []PastLine) (*Weeks, error) {
	m := &Weeks{Scatter: s, Past: past, PerHour: perHour, Lines: lines, features: features}
	if err := m.Scatter.check(features); err != nil {
		return nil, err
	}
	if len(past) == 0 || len(past) > maxWeeksPast || perHour < 1 || perHour > 60 || len(lines) == 0 || len(lines) > maxPastLines {
		return nil, fmt.Errorf("weeks: %d hours, %d steps in an hour, %d lines", len(past), perHour, len(lines))
	}
	for _, c := range past {
		if c < 0 || c >= features {
			return nil, fmt.Errorf("weeks: column %d of %d features", c, features)
		}
	}
	for i, l := range lines {
		if l.Hours < 1 || l.Hours > len(past) || i > 0 && l.Hours >= lines[i-1].Hours || l.Steps < 1 || l.Steps > maxPastSteps || len(l.Weights) != l.Steps*(l.Hours+1) {
			return nil, fmt.Errorf("weeks: line %d of %d hours and %d steps with %d weights", i, l.Hours, l.Steps, len(l.Weights))
		}
		for _, w := range l.Weights {
			if !finite(float64(w)) {
				return nil, fmt.Errorf("weeks: weight %g", w)
			}
		}
	}
	return m, nil
}

// Predict implements Model. The past is read once for rows in a row that share it.
func (m *Weeks) Predict(rows []float32, n int, out []float64) {
	var past [maxWeeksPast]float32
	var x [maxWeeksPast + 1]float32
	var line *PastLine
	var s Stretch
	f, l := m.features, len(m.Bands.Levels)
	for r := range n {
		row := rows[r*f : (r+1)*f]
		if r == 0 || !samePast(m.Past, row, rows[(r-1)*f:r*f]) {
			for i, c := range m.Past {
				past[i] = row[c]
			}
			if line = m.line(past[:len(m.Past)]); line != nil {
				s = ReadPast(past[len(m.Past)-line.Hours:len(m.Past)], x[:])
			}
		}
		band := m.Bands.Of(row[m.Lead])
		centre := 1.0 // what is known of the point is its mean
		if line != nil {
			centre = line.at(line.step(row[m.Lead], m.PerHour), x[:], s)
		}
		m.fill(row, band, centre, out[r*l:(r+1)*l])
	}
}

// line returns the longest line whose stretch is filled, nil for none.
func (m *Weeks) line(past []float32) *PastLine {
	for i := range m.Lines {
		if Fills(past, m.Lines[i].Hours) {
			return &m.Lines[i]
		}
	}
	return nil
}

// step returns the number, from 0, of the step with a lead in hours. Beyond the last one it is the same hour of the last day.
func (l *PastLine) step(lead float32, perHour int) int {
	if !(lead >= 0 && lead < 1e5) {
		return l.Steps - 1
	}
	s := int(float32(lead*float32(perHour)) + 0.5)
	if day := 24 * perHour; s >= l.Steps && l.Steps >= day {
		s = l.Steps - day + (s-l.Steps)%day
	}
	return min(s, l.Steps-1)
}

// at returns the energy of a step, in the unit that the hours have.
func (l *PastLine) at(step int, x []float32, s Stretch) float64 {
	k := l.Hours + 1
	return float64(s.Unit * unroot(s.Level+float64(dot(l.Weights[step*k:(step+1)*k], x[:k])))) // the conversion forbids a fused multiply-add
}

// samePast reports whether two rows agree in some columns, to the bit.
func samePast(columns []int, a, b []float32) bool {
	for _, c := range columns {
		if math.Float32bits(a[c]) != math.Float32bits(b[c]) {
			return false
		}
	}
	return true
}

func (m *Weeks) encode(w *writer) {
	m.Scatter.encode(w)
	w.u16(uint16(len(m.Past)))
	for _, c := range m.Past {
		w.u16(uint16(c))
	}
	w.u8(uint8(m.PerHour))
	w.u8(uint8(len(m.Lines)))
	for _, l := range m.Lines {
		w.u16(uint16(l.Hours))
		w.u16(uint16(l.Steps))
		w.f32s(l.Weights)
	}
}

func decodeWeeks(r *reader, features int, levels []float64) (Model, error) {
	s, err := decodeScatter(r, levels)
	if err != nil {
		return nil, err
	}
	n := int(r.u16())
	if r.bad || n > maxWeeksPast {
		return nil, errors.New("count of hours")
	}
	past := make([]int, n)
	for i := range past {
		past[i] = int(r.u16())
	}
	perHour, count := int(r.u8()), int(r.u8())
	if r.bad || count > maxPastLines {
		return nil, errors.New("count of lines")
	}
	lines := make([]PastLine, count)
	for i := range lines {
		l := &lines[i]
		l.Hours, l.Steps = int(r.u16()), int(r.u16())
		l.Weights = r.f32s(l.Steps * (l.Hours + 1))
	}
	if r.bad {
		return nil, errors.New("weights are cut short")
	}
	return NewWeeks(features, s, past, perHour, lines)
}
