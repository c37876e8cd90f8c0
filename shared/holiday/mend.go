package holiday

import (
	"strings"
	"time"

	"github.com/rickar/cal/v2"
)

// added returns the holidays that the library's tables lack, by country or part. Those of a country hold in its parts.
func added() map[string][]*cal.Holiday {
	return map[string][]*cal.Holiday{
		"AR":    {easter(-2)},
		"AU":    {once(2022, 9, 22)},
		"BR":    {easter(-48), between(2024, 0, fixed(11, 20))},
		"CH-GE": {from(9, 5, time.Thursday), fixed(12, 31)},
		"DE":    {once(2017, 10, 31)},
		"DE-BE": {once(2020, 5, 8), once(2025, 5, 8)},
		"DE-MV": {between(2023, 0, fixed(3, 8))},
		"GB":    {once(2022, 9, 19)},
		"HR":    {between(2002, 2019, fixed(6, 25)), between(2002, 2019, fixed(10, 8))},
		"IE":    append(twoDays(12, 25), weekendMoves(fixed(3, 17))),
		"JP":    {fixed(1, 2), fixed(1, 3), once(2020, 8, 10), once(2021, 8, 9), fixed(12, 31)}, // offices rest at the turn of the year
		"NL":    {easter(39)},                                                                   // Ascension Day of 2016 fell on Liberation Day
		"NO":    {fixed(12, 24)},
		"NZ":    {dates(On(2022, 6, 24), On(2023, 7, 14), On(2024, 6, 28), On(2025, 6, 20), On(2026, 7, 10), On(2027, 6, 25), On(2028, 7, 14), On(2029, 7, 6), On(2030, 6, 21)), once(2022, 9, 26)},
		"PL":    {between(2025, 0, fixed(12, 24))},
		"RO":    {between(2024, 0, fixed(1, 6)), between(2024, 0, fixed(1, 7))},
		"RU":    {fixed(1, 2), fixed(1, 3), fixed(1, 4), fixed(1, 5), fixed(1, 6), fixed(1, 8)},
		"ZA":    {once(2023, 12, 15), once(2024, 5, 29)},
	}
}

// worked returns the days that the library's tables have and on which people worked.
func worked() map[string][]*cal.Holiday {
	return map[string][]*cal.Holiday{
		"CH-GE": {easter(60)},
		"DE-BE": {between(0, 2018, fixed(3, 8))},
		"DE-HH": {once(2016, 10, 31)},
		"HR":    {between(0, 2019, fixed(5, 30)), between(0, 2019, fixed(11, 18))},
		"JP":    {once(2019, 12, 23), once(2020, 8, 11), once(2021, 8, 11)},
		"LT":    {between(0, 2019, fixed(11, 2))},
		"NL":    {easter(-2), exceptEvery(5, fixed(5, 5))}, // Liberation Day is free every fifth year
		"SI":    {between(2013, 2016, fixed(1, 2))},
		"SK":    {between(2024, 0, fixed(9, 1)), between(2025, 0, fixed(11, 17)), between(2026, 0, fixed(5, 8)), between(2026, 0, fixed(9, 15))},
	}
}

// of returns what a table has for a country and for the part of it that is meant.
func of(table map[string][]*cal.Holiday, country string) []*cal.Holiday {
	out := table[country]
	if code, _, parted := strings.Cut(country, "-"); parted {
		out = append(out[:len(out):len(out)], table[code]...)
	}
	return out
}

// exceptEvery leaves a holiday out in the years that n divides.
func exceptEvery(n int, h *cal.Holiday) *cal.Holiday {
	for year := firstYear; year <= lastYear; year++ {
		if year%n == 0 {
			h.Except = append(h.Except, year)
		}
	}
	return h
}
