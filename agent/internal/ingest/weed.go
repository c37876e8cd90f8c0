package ingest

import (
	"slices"

	"fluxora.dev/shared/meter"
)

// instant is where a series can have one value.
type instant struct {
	series meter.SeriesID
	at     meter.Millis
}

// weed takes out readings that are in the log already, and notes which of the others correct one. What is newer than anything of
// its series is neither, unless the group itself has its instant twice.
func (in *Ingest) weed(g *group) {
	type window struct{ from, to meter.Millis }
	late := make(map[meter.SeriesID]window)
	for _, r := range g.readings {
		at, ok := in.newest[r.Series]
		if !ok {
			if _, at, ok = in.log.Span(r.Series); ok {
				in.newest[r.Series] = at
			}
		}
		if !ok || r.At > at {
			continue
		}
		w, ok := late[r.Series]
		if !ok {
			w = window{r.At, r.At}
		}
		late[r.Series] = window{min(w.from, r.At), max(w.to, r.At)}
	}
	known, taken := make(map[identity]bool), make(map[instant]bool)
	for id, w := range late {
		wanted := make(map[instant]bool)
		for _, r := range g.readings {
			if r.Series == id {
				wanted[instant{id, r.At}] = true
			}
		}
		err := in.log.Scan(id, w.from, w.to+1, func(r meter.Reading) error {
			if k := (instant{id, r.At}); wanted[k] {
				taken[k], known[identity{id, r.At, r.Value}] = true, true
			}
			return nil
		})
		if err != nil {
			in.o.Log.Warn("could not look for repeats", "error", err)
		}
	}
	g.readings = slices.DeleteFunc(g.readings, func(r meter.Reading) bool {
		again := known[identity{r.Series, r.At, r.Value}]
		if again {
			g.repeat(r)
		}
		return again
	})
	g.corrections = g.corrections[:0] // weeding may be repeated
	for _, r := range g.readings {
		k := instant{r.Series, r.At}
		if taken[k] {
			g.corrections = append(g.corrections, r)
		}
		taken[k] = true
	}
}
