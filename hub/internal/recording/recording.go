// Package recording reads what meters have recorded from files: readings, facts of the meters, weather.
//
// It knows the columns of the three files and turns them into histories; readings go through package importer, so that a
// table is read alike whether it goes to the database or not. It must not know the database.
//
// Invariants: nothing is guessed: an interval without a row or a value is missing, and so is one whose value no interval can have,
// which is counted and named; what cannot be read is an error that names file, line and what would be right.
package recording

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"fluxora.dev/hub/internal/importer"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Files name a recording. All may be gzipped.
type Files struct {
	Readings string         // meter_id, timestamp and kwh, wh or power_w; rows name the start of their interval
	Meters   string         // meter_id and facts; optional
	Weather  string         // weather_id, timestamp, temp_c, ghi_w_m2; optional, and of no use without meters.weather_id
	Zone     *time.Location // that people at the meters live by
	Country  string         // ISO 3166-1, as NO, or with a subdivision, as DE-BY; empty: no public holidays
}

// Notes say what was met on the way.
type Notes struct {
	Resolution  time.Duration
	Rows        int
	Missing     int      // rows without a value, the unusable ones included
	Unusable    int      // rows whose value is a number that no interval can have: negative, not finite, over 1e9; taken as missing
	Lines       []string // the first of those, as file:line: "value"
	Repeated    int      // rows for an interval that has one already; the last counts
	Left        []string // meters without a single value
	Unnamed     []string // meters that the file of meters does not name
	Implausible int      // values of the weather that cannot be and are taken as missing
	NoHolidays  string   // the country, when it is one but no calendar of it is there: forecasts do without
	Weather     int      // meters with weather: as observed, in the place of forecasts, which is better than any forecast
}

// Read reads a recording, a point for each meter, by name.
func Read(f Files) (train.Dataset, Notes, error) {
	var d train.Dataset
	var n Notes
	if err := (&feature.Site{Country: f.Country}).Check(); err != nil {
		if !isCountry(f.Country) {
			return d, n, err
		}
		n.NoHolidays, f.Country = f.Country, ""
	}
	around, err := sites(f, &n)
	if err != nil {
		return d, n, err
	}
	t, err := readings(f.Readings)
	if err != nil {
		return d, n, err
	}
	n.Resolution, n.Rows, n.Missing, n.Unusable = t.Resolution, t.Rows, t.Missing, len(t.Unusable)
	for _, u := range t.Unusable[:min(len(t.Unusable), 5)] {
		n.Lines = append(n.Lines, fmt.Sprintf("%s:%d: %q", f.Readings, u.Line, u.Text))
	}
	for _, m := range t.Meters {
		h, repeated, err := history(m, t.Resolution, f.Zone)
		if err != nil {
			return d, n, fmt.Errorf("%s: meter %s: %w", f.Readings, m.Name, err)
		}
		n.Repeated += repeated
		if len(h.Energy) == 0 {
			n.Left = append(n.Left, m.Name)
			continue
		}
		if h.Site = around[m.Name]; h.Site == nil {
			h.Site = &feature.Site{Country: f.Country}
			if f.Meters != "" {
				n.Unnamed = append(n.Unnamed, m.Name)
			}
		}
		if h.Site.Weather != nil {
			n.Weather++
		}
		d.Points = append(d.Points, train.Point{ID: m.Name, Register: meter.EnergyImport, History: h, Loaded: train.Loaded{Duplicated: repeated}})
	}
	if len(d.Points) == 0 {
		return d, n, fmt.Errorf("%s: no row has a value", f.Readings)
	}
	return d, n, nil
}

// isCountry reports whether code, without the part after a dash, names a country by ISO 3166-1.
func isCountry(code string) bool {
	code, _, _ = strings.Cut(code, "-")
	r, err := language.ParseRegion(code)
	return err == nil && r.IsCountry() && r.Canonicalize().String() == code
}

func readings(path string) (*importer.Table, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	t, err := importer.ReadRecording(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// history lays the rows of a meter, which ascend in time, on the grid.
func history(m importer.Meter, resolution time.Duration, zone *time.Location) (h feature.History, repeated int, err error) {
	h = feature.History{Resolution: resolution, Zone: zone}
	if len(m.Rows) == 0 {
		return h, 0, nil
	}
	if own := commonStep(m.Rows); own > resolution {
		return h, 0, fmt.Errorf("rows lie %s apart among meters of %s: want one resolution in a file", own, resolution)
	}
	h.Start = m.Rows[0].Start
	if err := h.Check(); err != nil {
		return h, 0, err
	}
	last := m.Rows[len(m.Rows)-1].Start
	h.Energy = make([]float64, int(last.Sub(h.Start)/resolution)+1)
	for i := range h.Energy {
		h.Energy[i] = math.NaN()
	}
	for _, r := range m.Rows {
		off := r.Start.Sub(h.Start)
		if off%resolution != 0 {
			return h, 0, fmt.Errorf("row at %s lies off the grid of %s that begins at %s", r.Start, resolution, h.Start)
		}
		i := int(off / resolution)
		if v := h.Energy[i]; v == v {
			repeated++
		}
		h.Energy[i] = float64(r.Energy) / 1000 // mWh to Wh
	}
	return h, repeated, nil
}

// commonStep returns the most common distance of neighbouring rows, 0 when there are none.
func commonStep(rows []importer.Row) time.Duration {
	count := map[meter.Millis]int{}
	for i := 1; i < len(rows); i++ {
		if d := rows[i].Start - rows[i-1].Start; d > 0 {
			count[d]++
		}
	}
	steps := make([]meter.Millis, 0, len(count))
	for d := range count {
		steps = append(steps, d)
	}
	if len(steps) == 0 {
		return 0
	}
	best := slices.MaxFunc(steps, func(a, b meter.Millis) int {
		return cmp.Or(cmp.Compare(count[a], count[b]), cmp.Compare(b, a))
	})
	return time.Duration(best) * time.Millisecond
}
