package lstm

import (
	"errors"
	"fmt"
	"math"

	"fluxora.dev/shared/model"
)

// Data is what a network learns from.
type Data struct {
	Rows   []float32 // laid end to end
	Width  int       // features in a row
	Target []float64 // of each row: what is left to predict, in spreads
	Fit    []int32   // numbers of the rows to learn from; rows of one origin follow one another
	Held   []int32   // of those that say when to stop
}

// row returns row number i.
func (d *Data) row(i int32) []float32 { return d.Rows[int(i)*d.Width : (int(i)+1)*d.Width] }

func (d *Data) check() error {
	if d.Width < 1 || len(d.Rows) != d.Width*len(d.Target) {
		return fmt.Errorf("lstm: %d numbers in rows of %d for %d targets", len(d.Rows), d.Width, len(d.Target))
	}
	if len(d.Fit) == 0 {
		return errors.New("lstm: no rows to learn from")
	}
	for _, rows := range [][]int32{d.Fit, d.Held} {
		for _, i := range rows {
			if v := d.Target[i]; !(v > -1e9 && v < 1e9) {
				return fmt.Errorf("lstm: the target of row %d is %g: want a finite number", i, v)
			}
		}
	}
	return nil
}

// group is a run of rows with the same past: those of one origin.
type group []int32

// mostInGroup bounds a group where many origins have the same past, such as none, so that shards stay alike in size.
const mostInGroup = 96

// groups parts rows into runs with the same past.
func (d *Data) groups(net *model.Network, rows []int32) []group {
	var out []group
	from := 0
	for i := 1; i <= len(rows); i++ {
		if i == len(rows) || i-from == mostInGroup || !net.SamePast(d.row(rows[i]), d.row(rows[i-1])) {
			out = append(out, rows[from:i])
			from = i
		}
	}
	return out
}

// Measure sets the means and gains of a network's past and inputs to those of some rows, so that what it reads has mean 0
// and standard deviation 1. An input that never changes gets gain 0.
func Measure(net *model.Network, d *Data, rows []int32) {
	past := make([]moments, 1)
	inputs := make([]moments, len(net.Inputs))
	for k, i := range rows {
		row := d.row(i)
		if k == 0 || !net.SamePast(row, d.row(rows[k-1])) {
			for _, c := range net.Past {
				past[0].add(row[c])
			}
		}
		for j, in := range net.Inputs {
			inputs[j].add(row[in.Column])
		}
	}
	net.PastMean, net.PastGain = past[0].normal()
	for j := range net.Inputs {
		net.Inputs[j].Mean, net.Inputs[j].Gain = inputs[j].normal()
	}
}

// moments adds up known values.
type moments struct{ n, sum, squares float64 }

func (m *moments) add(v float32) {
	if x := float64(v); x > -1e9 && x < 1e9 {
		m.n++
		m.sum += x
		m.squares += x * x
	}
}

// normal returns the mean and one over the standard deviation, 0 when there is none.
func (m *moments) normal() (mean, gain float32) {
	if m.n == 0 {
		return 0, 0
	}
	mu := m.sum / m.n
	v := m.squares/m.n - mu*mu
	if !(v > 1e-10*(1+mu*mu)) {
		return float32(mu), 0
	}
	return float32(mu), float32(1 / math.Sqrt(v))
}
