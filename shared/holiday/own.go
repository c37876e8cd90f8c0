package holiday

import (
	"slices"
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/gb"
)

// own returns the countries that the library has no table of, or none of what holds in all parts. Of lunar holidays, those of Albania, Kosovo, North Macedonia
// and Turkey are known. Days that only one faith or one of the entities of Bosnia keeps are left out.
func own() map[string][]*cal.Holiday {
	christmas := func(more ...*cal.Holiday) []*cal.Holiday {
		return append([]*cal.Holiday{fixed(1, 1), fixed(5, 1), fixed(12, 25)}, more...)
	}
	return map[string][]*cal.Holiday{
		"AD": christmas(fixed(1, 6), easter(-47), fixed(3, 14), easter(-2), easter(1), easter(50), fixed(8, 15), fixed(9, 8), fixed(11, 1), fixed(12, 8), fixed(12, 26)),
		"AL": christmas(weekendMoves(fixed(1, 1)), weekendMoves(fixed(1, 2)), weekendMoves(fixed(3, 14)), weekendMoves(fixed(3, 22)), easter(1), orthodox(1), lunar(fitr, 0), lunar(adha, 0),
			between(0, 2017, fixed(10, 19)), between(2018, 0, weekendMoves(fixed(9, 5))), weekendMoves(fixed(11, 28)), weekendMoves(fixed(11, 29)), weekendMoves(fixed(12, 8)), weekendMoves(fixed(12, 25))),
		"AU": append(twoDays(12, 25), weekendMoves(fixed(1, 1)), weekendMoves(fixed(1, 26)), easter(-2), easter(1), fixed(4, 25)), // what all states have
		"BA": slices.Concat(pair(1, 1), pair(5, 1)),
		"BY": christmas(between(2020, 0, fixed(1, 2)), fixed(1, 7), fixed(3, 8), orthodox(9), fixed(5, 9), fixed(7, 3), fixed(11, 7)),
		"CH": {fixed(1, 1), easter(-2), easter(1), easter(39), easter(50), fixed(8, 1), fixed(12, 25), fixed(12, 26)}, // what nearly all cantons have
		"CY": christmas(fixed(1, 6), orthodox(-48), fixed(3, 25), fixed(4, 1), orthodox(-2), orthodox(1), orthodox(2), orthodox(50), fixed(8, 15), fixed(10, 1), fixed(10, 28), fixed(12, 24), fixed(12, 26)),
		"EE": christmas(fixed(2, 24), easter(-2), fixed(6, 23), fixed(6, 24), fixed(8, 20), fixed(12, 24), fixed(12, 26)),
		"FI": christmas(fixed(1, 6), easter(-2), easter(1), easter(39), from(6, 19, time.Friday), from(6, 20, time.Saturday), from(10, 31, time.Saturday), fixed(12, 6), fixed(12, 24), fixed(12, 26)),
		"FO": christmas(easter(-3), easter(-2), easter(1), easter(26), easter(39), easter(50), fixed(7, 29), fixed(12, 24), fixed(12, 26), fixed(12, 31)),
		"HU": christmas(fixed(3, 15), between(2017, 0, easter(-2)), easter(1), easter(50), fixed(8, 20), fixed(10, 23), fixed(11, 1), fixed(12, 24), fixed(12, 26)),
		"IS": christmas(easter(-3), easter(-2), easter(1), from(4, 19, time.Thursday), easter(39), easter(50), fixed(6, 17), from(8, 1, time.Monday), fixed(12, 24), fixed(12, 26), fixed(12, 31)),
		"LI": christmas(fixed(1, 2), fixed(1, 6), fixed(2, 2), easter(-2), easter(1), easter(39), easter(50), easter(60), fixed(8, 15), fixed(9, 8), fixed(11, 1), fixed(12, 8), fixed(12, 26)),
		"LU": christmas(easter(1), between(2019, 0, fixed(5, 9)), easter(39), easter(50), fixed(6, 23), fixed(8, 15), fixed(11, 1), fixed(12, 26)),
		"MC": {sundayMoves(fixed(1, 1)), fixed(1, 27), easter(1), sundayMoves(fixed(5, 1)), easter(39), easter(50), easter(60), sundayMoves(fixed(8, 15)), sundayMoves(fixed(11, 1)), sundayMoves(fixed(11, 19)), sundayMoves(fixed(12, 8)), sundayMoves(fixed(12, 25))},
		"MD": christmas(fixed(1, 7), fixed(1, 8), fixed(3, 8), orthodox(1), orthodox(8), fixed(5, 9), fixed(8, 27), fixed(8, 31)),
		"ME": slices.Concat(pair(1, 1), pair(5, 1), pair(5, 21), pair(7, 13), []*cal.Holiday{fixed(1, 6), fixed(1, 7), orthodox(-2), orthodox(1), between(2022, 0, fixed(11, 13))}),
		"MK": {sundayMoves(fixed(1, 1)), sundayMoves(fixed(1, 7)), orthodox(1), lunar(fitr, 0), sundayMoves(fixed(5, 1)), sundayMoves(fixed(5, 24)), sundayMoves(fixed(8, 2)), sundayMoves(fixed(9, 8)), sundayMoves(fixed(10, 11)), sundayMoves(fixed(10, 23)), sundayMoves(fixed(12, 8))},
		"MT": christmas(fixed(2, 10), fixed(3, 19), fixed(3, 31), easter(-2), fixed(6, 7), fixed(6, 29), fixed(8, 15), fixed(9, 8), fixed(9, 21), fixed(12, 8), fixed(12, 13)),
		"PT": christmas(easter(-2), fixed(4, 25), notFrom2013To2015(easter(60)), fixed(6, 10), fixed(8, 15), notFrom2013To2015(fixed(10, 5)), notFrom2013To2015(fixed(11, 1)), notFrom2013To2015(fixed(12, 1)), fixed(12, 8)),
		"RS": slices.Concat(pair(1, 1), pair(2, 15), pair(5, 1), []*cal.Holiday{fixed(1, 7), orthodox(-2), orthodox(1), between(2012, 0, sundayMoves(fixed(11, 11)))}),
		"SM": christmas(fixed(1, 6), fixed(2, 5), fixed(3, 25), easter(1), fixed(4, 1), easter(60), fixed(7, 28), fixed(8, 15), fixed(9, 3), fixed(10, 1), fixed(11, 1), fixed(11, 2), fixed(12, 8), fixed(12, 26)),
		"TR": {fixed(1, 1), fixed(4, 23), between(2009, 0, fixed(5, 1)), fixed(5, 19), between(2017, 0, fixed(7, 15)), fixed(8, 30), fixed(10, 29), lunar(fitr, 0), lunar(fitr, 1), lunar(fitr, 2), lunar(adha, 0), lunar(adha, 1), lunar(adha, 2), lunar(adha, 3)},
		"XK": christmas(fixed(1, 2), fixed(1, 7), fixed(2, 17), fixed(4, 9), easter(1), orthodox(1), fixed(5, 9), lunar(fitr, 0), lunar(adha, 0)),
	}
}

// notFrom2013To2015 drops a holiday in the years in which Portugal worked on it.
func notFrom2013To2015(h *cal.Holiday) *cal.Holiday {
	h.Except = []int{2013, 2014, 2015}
	return h
}

// ownRegions returns the parts of countries that the library has no table of.
func ownRegions() map[string][]*cal.Holiday {
	canada := func(more ...*cal.Holiday) []*cal.Holiday { // what all provinces have
		return append([]*cal.Holiday{weekendMoves(fixed(1, 1)), easter(-2), from(5, 18, time.Monday), weekendMoves(fixed(7, 1)), nth(1, time.Monday, 9), nth(2, time.Monday, 10), weekendMoves(fixed(12, 25))}, more...)
	}
	family, civic, remembrance := nth(3, time.Monday, 2), nth(1, time.Monday, 8), fixed(11, 11)
	truth := between(2021, 0, weekendMoves(fixed(9, 30)))
	britain := func(more ...*cal.Holiday) []*cal.Holiday { // what all nations of it have
		spring := from(5, 25, time.Monday)
		spring.Except = []int{2022}
		more = append(more, weekendMoves(fixed(1, 1)), easter(-2), spring, once(2022, 6, 2), once(2022, 6, 3), once(2023, 5, 8))
		return append(append(more, may()...), twoDays(12, 25)...)
	}
	return map[string][]*cal.Holiday{
		"CA-AB":  canada(family, remembrance),
		"CA-BC":  canada(between(2013, 2018, nth(2, time.Monday, 2)), between(2019, 0, nth(3, time.Monday, 2)), civic, between(2023, 0, weekendMoves(fixed(9, 30))), remembrance),
		"CA-MB":  canada(family, truth),
		"CA-NB":  canada(between(2018, 0, nth(3, time.Monday, 2)), civic, truth, remembrance),
		"CA-NS":  canada(between(2015, 0, nth(3, time.Monday, 2)), truth, remembrance),
		"CA-ON":  canada(family, fixed(12, 26)),
		"CA-QC":  canada(easter(1), weekendMoves(fixed(6, 24))),
		"CA-SK":  canada(family, civic, remembrance),
		"GB-ENG": gb.Holidays,
		"GB-NIR": britain(easter(1), from(8, 25, time.Monday), weekendMoves(fixed(3, 17)), weekendMoves(fixed(7, 12))),
		"GB-SCT": britain(twoDays(1, 1)[1], nth(1, time.Monday, 8), weekendMoves(fixed(11, 30))),
		"GB-WLS": gb.Holidays,
	}
}

// may returns Britain's early May holiday, which was moved for the day of victory in 2020.
func may() []*cal.Holiday {
	h := nth(1, time.Monday, 5)
	h.Except = []int{2020}
	return []*cal.Holiday{h, once(2020, 5, 8)}
}
