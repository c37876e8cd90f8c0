package train

import (
	"math"
	"slices"
	"strings"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// leastAbsent is the share of rows that must miss a value before its absence becomes an input of its own.
const leastAbsent = 0.005

// bends are where the response to a temperature may bend: quantiles of the rows learnt from. Heating and cooling set in at
// temperatures, and only one side of them.
var bends = []float64{0.1, 0.3, 0.5, 0.7, 0.9}

// energies begin the names of features that are energies: they enter less the row's base.
var energies = []string{"day ", "week ", "days mean", "days min", "days max", "weeks mean", "weeks min", "weeks max", "similar mean", "similar min", "similar max", "window mean", "window min", "window max"}

// named are features that no line can weigh: numbers that name something. The calendar reads some of them.
var named = []string{"hour", "quarter", "clock", "weekday", "yearday", "kind", "step"}

// calendarOf returns the calendar that a spec's rows hold.
func calendarOf(spec feature.Spec, resolution time.Duration) model.Calendar {
	c := model.Calendar{Hour: spec.Column("hour"), Quarter: spec.Column("quarter"), Weekday: spec.Column("weekday"), Holiday: spec.Column("holiday"), PerHour: 1}
	if c.Quarter >= 0 && c.Hour >= 0 && resolution < time.Hour {
		c.PerHour = 4
	}
	return c
}

// inputsOf chooses what a line weighs, by the names of features, and centres and scales it on some rows. What never differs
// is left out.
func inputsOf(t *table, spec feature.Spec, base []int, rows []int32) []model.Input {
	var out []model.Input
	known := make([]float64, 0, len(rows))
	for c, name := range spec.Names() {
		if slices.Contains(named, name) || isPast(name) {
			continue
		}
		known = known[:0]
		for _, r := range rows {
			if v := t.row(r)[c]; v == v {
				known = append(known, float64(v))
			}
		}
		share := float64(len(known)) / float64(len(rows))
		if share < leastAbsent {
			continue
		}
		reading := model.Plain
		if slices.ContainsFunc(energies, func(e string) bool { return strings.HasPrefix(name, e) }) {
			reading = model.Relative
		}
		out = append(out, model.Input{Column: c, Reading: reading})
		if share < 1-leastAbsent {
			out = append(out, model.Input{Column: c, Reading: model.Absent})
		}
		if strings.HasPrefix(name, "temperature") {
			slices.Sort(known)
			for i, q := range bends {
				knot := known[int(q*float64(len(known)-1))]
				if i == 0 || knot > out[len(out)-1].Knot {
					out = append(out, model.Input{Column: c, Reading: model.Above, Knot: knot})
				}
			}
		}
	}
	return scaleInputs(t, out, base, rows)
}

// scaleInputs sets centre and unit of inputs, and drops those that never differ.
func scaleInputs(t *table, inputs []model.Input, base []int, rows []int32) []model.Input {
	anchor := model.Anchor{Base: base}
	k := len(inputs)
	n, sum, square := make([]float64, k), make([]float64, k), make([]float64, k)
	for i := range inputs {
		inputs[i].PerUnit = 1
	}
	for _, r := range rows {
		row := t.row(r)
		b := anchor.Of(row, 0)
		for i := range inputs {
			if v, known := inputs[i].Raw(row, b); known {
				n[i], sum[i], square[i] = n[i]+1, sum[i]+v, square[i]+v*v
			}
		}
	}
	out := inputs[:0]
	for i, in := range inputs {
		mean := sum[i] / n[i]
		deviation := math.Sqrt(max(0, square[i]/n[i]-mean*mean))
		if !(deviation > 1e-6*(1+math.Abs(mean))) {
			continue
		}
		if in.Reading != model.Relative {
			in.Centre = mean
		}
		in.PerUnit = 1 / deviation
		out = append(out, in)
	}
	return out
}
