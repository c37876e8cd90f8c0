package watch

import (
	"slices"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"
)

// Day is how a model and the baseline did on a point in one day of targets.
type Day struct {
	Point    string
	Register meter.Register
	Model    string
	watch.Day
}

// tallies are the days on which the model in force did something on a point: at most liveDays. The hub is told of each, and
// again when late readings changed it. What it was told is known to memory alone: after a restart the days of the last weeks
// are told once more, which changes nothing there.
type tallies struct {
	model string
	days  []watch.Day
	told  []bool // by day
}

// after returns t, which takes from an earlier examination what was told.
func (t tallies) after(before tallies) tallies {
	t.told = make([]bool, len(t.days))
	for i, d := range t.days {
		j := slices.Index(before.days, d)
		t.told[i] = d.Model.Count == 0 || t.model == before.model && j >= 0 && before.told[j] // nothing to tell, or nothing new
	}
	return t
}

// Untold returns up to most days that the hub was not told of as they are, by point.
func (w *Watch) Untold(most int) (out []Day) {
	for _, p := range w.Points() {
		w.mu.Lock()
		t := w.tallies[key{p.Point, p.Register}]
		for i, d := range t.days {
			if !t.told[i] && len(out) < most {
				out = append(out, Day{p.Point, p.Register, t.model, d})
			}
		}
		w.mu.Unlock()
	}
	return out
}

// Told notes that the hub has days as they were returned by Untold.
func (w *Watch) Told(days []Day) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range days {
		t := w.tallies[key{d.Point, d.Register}]
		if i := slices.Index(t.days, d.Day); i >= 0 && t.model == d.Model {
			t.told[i] = true
		}
	}
}
