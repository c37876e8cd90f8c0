package feature

import (
	"fmt"
	"math"

	"fluxora.dev/shared/holiday"
)

// Site is what is known of the place around a point, the same for all its points. The zero value knows nothing, and then
// features of it are missing. It must not change while a Builder uses it.
type Site struct {
	Country   string             // as NO or DE-BY (package holiday); empty: holidays are not known
	Vacations []holiday.Range    // school holidays or closures, local dates in order; nil: not known, empty: there are none
	Facts     map[string]float64 // what does not change, as area_m2
	Weather   *Weather           // nil: not known
}

const (
	maxVacations = 1000
	maxFacts     = 64
)

// Check returns an error that names what is wrong: a country without calendar, vacations out of order, a fact that is not
// finite or badly named, weather off its grid.
func (s *Site) Check() error {
	if s == nil {
		return nil
	}
	if s.Country != "" {
		if _, err := holiday.Of(s.Country); err != nil {
			return err
		}
	}
	if len(s.Vacations) > maxVacations || len(s.Facts) > maxFacts {
		return fmt.Errorf("site: %d vacations and %d facts: want at most %d and %d", len(s.Vacations), len(s.Facts), maxVacations, maxFacts)
	}
	for i, v := range s.Vacations {
		if err := v.Check(); err != nil {
			return fmt.Errorf("vacation %d: %w", i+1, err)
		}
		if i > 0 && v.From < s.Vacations[i-1].To {
			return fmt.Errorf("vacation %d, %s: begins before %s ends: want them in order", i+1, v, s.Vacations[i-1])
		}
	}
	for name, v := range s.Facts {
		if err := checkFactName(name); err != nil {
			return err
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("fact %s: %g: want a finite number", name, v)
		}
	}
	if s.Weather != nil {
		return s.Weather.Check()
	}
	return nil
}

// checkFactName returns an error unless name is 1 to 32 small letters, digits and underscores.
func checkFactName(name string) error {
	ok := name != "" && len(name) <= 32
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_')
	}
	if !ok {
		return fmt.Errorf("fact %.40q: want a name of at most 32 small letters, digits and underscores, as area_m2", name)
	}
	return nil
}

// vacation reports whether d lies in a vacation.
func (s *Site) vacation(d holiday.Date) bool {
	lo, hi := 0, len(s.Vacations)
	for lo < hi { // the first that ends after d
		if mid := (lo + hi) / 2; s.Vacations[mid].To > d {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo < len(s.Vacations) && s.Vacations[lo].Has(d)
}
