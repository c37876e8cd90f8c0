package train

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"fluxora.dev/shared/feature"
)

// ErrAsked says that no fit can be what its settings or its feature spec ask for, however often it is tried.
var ErrAsked = errors.New("cannot be trained as asked")

const (
	probes    = 8 // origins of a point that are looked at for what a spec asks for
	mostNamed = 6 // features in an error
)

// checkSpec returns an error unless some point of the dataset, at some origin, gives a value for each feature of a spec. The default
// spec may ask for more than is there, as it is for all sites.
func (d Dataset) checkSpec(p Params) error {
	if strings.HasPrefix(p.Spec.String(), feature.Default().String()) {
		return nil
	}
	missing, looked := map[int]bool{}, false
	for c := range p.Spec.Len() {
		missing[c] = true
	}
	b, row := feature.NewBuilder(p.Spec), make([]float32, p.Spec.Len())
	for _, pt := range d.Points {
		h := pt.History
		if h.Check() != nil {
			continue
		}
		steps := int(p.Horizon / h.Resolution)
		for i := range probes {
			back := len(h.Energy) * i / probes
			if b.Reset(h, h.End().Add(-time.Duration(1+back)*h.Resolution)) != nil {
				continue
			}
			looked = looked || b.Known() > 0
			for _, step := range []int{1, (1 + steps) / 2, steps} {
				b.Row(max(1, step), row)
				for c := range missing {
					if row[c] == row[c] {
						delete(missing, c)
					}
				}
			}
			if len(missing) == 0 {
				return nil
			}
		}
	}
	if !looked {
		return nil // that there is too little to learn from is said elsewhere
	}
	var names []string
	for c, f := range p.Spec.Describe() {
		if missing[c] && len(names) < mostNamed {
			names = append(names, fmt.Sprintf("%q (%s)", f.Name, f.Meaning))
		}
	}
	if len(missing) > mostNamed {
		names = append(names, fmt.Sprintf("%d more", len(missing)-mostNamed))
	}
	return fmt.Errorf("feature spec: no point has a value for %s: leave it out, or give the points what it takes: a longer history, or country, vacations, facts or weather of their sites",
		strings.Join(names, ", "))
}
