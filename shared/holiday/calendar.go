package holiday

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rickar/cal/v2"
)

// The years that calendars cover. Outside of them no date is a holiday.
const (
	firstYear = 1990
	lastYear  = 2080
)

var (
	first = On(firstYear, 1, 1)
	last  = On(lastYear, 12, 31)
)

// Calendar is the holidays of one country or part of one. It is immutable.
type Calendar struct {
	country string
	days    []uint64 // a bit for each date from first to last
}

// calendars remembers what Of has worked out: a calendar takes a millisecond to fill and 4 kB to keep.
var calendars sync.Map // of country → *Calendar

// Of returns the calendar of a country, as NO, or of a part of it, as DE-BY. The error names what there is.
func Of(country string) (*Calendar, error) {
	if c, ok := calendars.Load(country); ok {
		return c.(*Calendar), nil
	}
	table, err := tableOf(country)
	if err != nil {
		return nil, err
	}
	c := &Calendar{country: country, days: make([]uint64, (last-first)/64+1)}
	c.mark(table, true)
	c.mark(of(worked(), country), false)
	c.mark(of(added(), country), true)
	calendars.Store(country, c)
	return c, nil
}

// mark makes the dates of holidays, and the dates they are moved to, free or not.
func (c *Calendar) mark(table []*cal.Holiday, free bool) {
	for _, h := range table {
		for year := firstYear; year <= lastYear; year++ {
			actual, observed := h.Calc(year)
			if actual.IsZero() {
				continue
			}
			for _, d := range []Date{On(actual.Date()), On(observed.Date())} {
				if d < first || d > last {
					continue
				}
				if bit := uint64(1) << ((d - first) % 64); free {
					c.days[(d-first)/64] |= bit
				} else {
					c.days[(d-first)/64] &^= bit
				}
			}
		}
	}
}

// Country returns the name that Of was given.
func (c *Calendar) Country() string { return c.country }

// Has reports whether d is a holiday.
func (c *Calendar) Has(d Date) bool {
	return d >= first && d <= last && c.days[(d-first)/64]>>((d-first)%64)&1 == 1
}

// Free reports whether d is a holiday, a Saturday or a Sunday.
func (c *Calendar) Free(d Date) bool { return d.Weekday() >= 5 || c.Has(d) }

// Bridge reports whether d is a working day between two free ones, which many take off.
func (c *Calendar) Bridge(d Date) bool { return !c.Free(d) && c.Free(d-1) && c.Free(d+1) }

// tableOf returns the holidays of a country or a part of it.
func tableOf(country string) ([]*cal.Holiday, error) {
	code, part, parted := strings.Cut(country, "-")
	whole, ok := nations()[code]
	if !ok {
		return nil, fmt.Errorf("country %.20q: no holidays are known of it: want one of %s", country, strings.Join(Known(), " "))
	}
	if !parted {
		return whole, nil
	}
	if table, ok := regions()[country]; ok {
		return table, nil
	}
	var have []string
	for name := range regions() {
		if strings.HasPrefix(name, code+"-") {
			have = append(have, name)
		}
	}
	if len(have) > 0 || !validPart(part) {
		slices.Sort(have)
		return nil, fmt.Errorf("country %.20q: no such part of %s: want one of %s", country, code, strings.Join(append([]string{code}, have...), " "))
	}
	return whole, nil // nothing is known of the parts of this country
}

// validPart reports whether s is one to three capitals or digits, as the parts of ISO 3166-2 are.
func validPart(s string) bool {
	if len(s) < 1 || len(s) > 3 {
		return false
	}
	for _, r := range s {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}

// Known returns the countries that have a calendar, sorted.
func Known() []string {
	var out []string
	for code := range nations() {
		out = append(out, code)
	}
	slices.Sort(out)
	return out
}
