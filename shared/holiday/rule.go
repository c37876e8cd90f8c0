package holiday

import (
	"time"

	"github.com/rickar/cal/v2"
)

// fixed is a holiday on the same date every year.
func fixed(month time.Month, day int) *cal.Holiday {
	return &cal.Holiday{Month: month, Day: day, Func: cal.CalcDayOfMonth}
}

// easter is a holiday so many days after Easter Sunday.
func easter(days int) *cal.Holiday { return &cal.Holiday{Offset: days, Func: cal.CalcEasterOffset} }

// orthodox is a holiday so many days after the Easter Sunday of the Julian calendar.
func orthodox(days int) *cal.Holiday {
	return &cal.Holiday{Offset: days, Julian: true, Func: cal.CalcEasterOffset}
}

// from is the first such weekday on or after a date.
func from(month time.Month, day int, weekday time.Weekday) *cal.Holiday {
	return &cal.Holiday{Func: func(_ *cal.Holiday, year int) time.Time {
		t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		return t.AddDate(0, 0, int(weekday-t.Weekday()+7)%7)
	}}
}

// once is a holiday of one year alone.
func once(year int, month time.Month, day int) *cal.Holiday {
	return between(year, year, fixed(month, day))
}

// between limits a holiday to some years; 0 means without end.
func between(first, last int, h *cal.Holiday) *cal.Holiday {
	h.StartYear, h.EndYear = first, last
	return h
}

// sundayMoves moves a holiday from a Sunday to the Monday after.
func sundayMoves(h *cal.Holiday) *cal.Holiday {
	h.Observed = []cal.AltDay{{Day: time.Sunday, Offset: 1}}
	return h
}

// pair is a holiday of two days; when either is a Sunday, the day after both is free as well.
func pair(month time.Month, day int) []*cal.Holiday {
	return []*cal.Holiday{fixed(month, day), fixed(month, day+1), {Func: func(_ *cal.Holiday, year int) time.Time {
		third := time.Date(year, month, day+2, 0, 0, 0, 0, time.UTC)
		if w := third.Weekday(); w == time.Monday || w == time.Tuesday {
			return third
		}
		return time.Time{}
	}}}
}

// twoDays is a holiday of two days that both move to the next working days when they fall on a weekend.
func twoDays(month time.Month, day int) []*cal.Holiday {
	a, b := fixed(month, day), fixed(month, day+1)
	a.Observed = []cal.AltDay{{Day: time.Saturday, Offset: 2}, {Day: time.Sunday, Offset: 1}}
	b.Observed = []cal.AltDay{{Day: time.Saturday, Offset: 2}, {Day: time.Sunday, Offset: 2}, {Day: time.Monday, Offset: 1}}
	return []*cal.Holiday{a, b}
}

// dates is a holiday on the dates listed, one a year, and in no other year.
func dates(list ...Date) *cal.Holiday {
	byYear := map[int]Date{}
	for _, d := range list {
		byYear[d.time().Year()] = d
	}
	return &cal.Holiday{Func: func(_ *cal.Holiday, year int) time.Time {
		if d, ok := byYear[year]; ok {
			return d.time()
		}
		return time.Time{}
	}}
}

// nth is the n-th such weekday of a month.
func nth(n int, weekday time.Weekday, month time.Month) *cal.Holiday {
	return from(month, 7*n-6, weekday)
}

// weekendMoves moves a holiday from a weekend to the Monday after.
func weekendMoves(h *cal.Holiday) *cal.Holiday {
	h.Observed = []cal.AltDay{{Day: time.Saturday, Offset: 2}, {Day: time.Sunday, Offset: 1}}
	return h
}

// The first days of the Feast of Breaking the Fast and of the Feast of Sacrifice, as Turkey's Diyanet has fixed them.
var (
	fitr = map[int]Date{
		2010: On(2010, 9, 9), 2011: On(2011, 8, 30), 2012: On(2012, 8, 19), 2013: On(2013, 8, 8), 2014: On(2014, 7, 28), 2015: On(2015, 7, 17),
		2016: On(2016, 7, 5), 2017: On(2017, 6, 25), 2018: On(2018, 6, 15), 2019: On(2019, 6, 4), 2020: On(2020, 5, 24), 2021: On(2021, 5, 13),
		2022: On(2022, 5, 2), 2023: On(2023, 4, 21), 2024: On(2024, 4, 10), 2025: On(2025, 3, 30), 2026: On(2026, 3, 20), 2027: On(2027, 3, 9),
		2028: On(2028, 2, 26), 2029: On(2029, 2, 14),
	}
	adha = map[int]Date{
		2010: On(2010, 11, 16), 2011: On(2011, 11, 6), 2012: On(2012, 10, 25), 2013: On(2013, 10, 15), 2014: On(2014, 10, 4), 2015: On(2015, 9, 24),
		2016: On(2016, 9, 12), 2017: On(2017, 9, 1), 2018: On(2018, 8, 21), 2019: On(2019, 8, 11), 2020: On(2020, 7, 31), 2021: On(2021, 7, 20),
		2022: On(2022, 7, 9), 2023: On(2023, 6, 28), 2024: On(2024, 6, 16), 2025: On(2025, 6, 6), 2026: On(2026, 5, 27), 2027: On(2027, 5, 16),
		2028: On(2028, 5, 5), 2029: On(2029, 4, 24),
	}
)

// lunar is a holiday so many days after one of the tables above; outside of them it is not known.
func lunar(table map[int]Date, days int) *cal.Holiday {
	return &cal.Holiday{StartYear: 2010, EndYear: 2029, Func: func(_ *cal.Holiday, year int) time.Time {
		return (table[year] + Date(days)).time()
	}}
}
