package train

import (
	"fmt"
	"slices"
	"strings"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// sequenceHours is how much of the past a sequence model reads where the spec does not say.
const sequenceHours = 168

// isPast reports whether a feature belongs to the sequence of hours before the origin. They are for sequence models; the
// other families leave them alone: each hour says little, and there are many.
func isPast(name string) bool { return strings.HasPrefix(name, "past ") }

// withPast returns a spec with the hours of the past that families read: its own, or else as many as the one that reads most.
func withPast(spec feature.Spec, families []string) feature.Spec {
	hours := 0
	for _, f := range families {
		hours = max(hours, map[string]int{model.FamilyLSTM: sequenceHours, model.FamilyWeeks: weeksHours}[f])
	}
	if hours == 0 || slices.ContainsFunc(spec.Names(), isPast) {
		return spec
	}
	text := strings.TrimSuffix(spec.String(), "\n") + "\n"
	for k := range hours {
		text += fmt.Sprintf("past %d\n", k+1)
	}
	wide, err := feature.ParseSpec(text)
	if err != nil {
		return spec // too many features: the fit will say what it misses
	}
	return wide
}

// pastColumns returns the columns of the hours before the origin, oldest first.
func pastColumns(spec feature.Spec) []int {
	var out []int
	for k := 1; ; k++ {
		c := spec.Column(fmt.Sprintf("past %d", k))
		if c < 0 {
			slices.Reverse(out)
			return out
		}
		out = append(out, c)
	}
}

// isAside reports whether a feature is for one family alone: the hours of the past for sequence models, the day of the year for
// additive ones. Trees would learn dates by heart, and an hour of the past says little.
func isAside(name string) bool { return isPast(name) || name == yearday }

// withoutAside returns the rows of a table without the features that are for one family alone, and their width: the rows
// themselves when there are none, or when other features follow them. Columns keep their numbers.
func withoutAside(t *table, spec feature.Spec) (rows []float32, width int) {
	names := spec.Names()
	width = slices.IndexFunc(names, isAside)
	if width <= 0 || !all(names[width:], isAside) {
		return t.rows, t.width
	}
	rows = make([]float32, 0, t.len()*width)
	for i := range t.len() {
		rows = append(rows, t.row(int32(i))[:width]...)
	}
	return rows, width
}

func all(names []string, is func(string) bool) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !is(n) })
}
