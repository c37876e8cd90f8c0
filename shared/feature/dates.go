package feature

import "fluxora.dev/shared/holiday"

// ofDate returns a feature of the target's date among holidays, missing where the country, or the vacations, are not known.
func (b *Builder) ofDate(o *op, t *target) float32 {
	d := t.date
	switch o.kind {
	case vacation, vacationDay, vacationWeek:
		if b.h.Site == nil || b.h.Site.Vacations == nil {
			return Missing
		}
		return truth(b.h.Site.vacation(d - holiday.Date(b.back(o, t))))
	case dayKind:
		return float32(b.kindOf(d))
	}
	if b.holidays == nil {
		return Missing
	}
	switch o.kind {
	case holidayOn:
		return truth(b.holidays.Has(d + holiday.Date(o.k)))
	case holidayDay, holidayWeek:
		return truth(b.holidays.Has(d - holiday.Date(b.back(o, t))))
	case holidaysNear:
		n := 0
		for k := -o.k; k <= o.k; k++ {
			if b.holidays.Has(d + holiday.Date(k)) {
				n++
			}
		}
		return float32(n)
	case bridge:
		return truth(b.holidays.Bridge(d))
	}
	return truth(b.holidays.Free(d))
}

// back returns how many days before the target's date the day or week lies that o names.
func (b *Builder) back(o *op, t *target) int {
	switch o.kind {
	case holidayDay, vacationDay:
		return t.firstDay + o.k - 1
	case holidayWeek, vacationWeek:
		return t.firstWeek + 7*(o.k-1)
	}
	return 0
}

// The kinds of day that are alike in the use of energy.
const (
	workday = iota
	saturday
	sunday // or a holiday
	vacationDays
)

// kindOf returns the kind of a day, as far as holidays and vacations are known.
func (b *Builder) kindOf(d holiday.Date) int { return KindOf(b.h.Site, b.holidays, d) }

// KindOf returns the kind of a day, as the feature kind has it, given what is known of the site and its holidays; nil means
// that nothing is.
func KindOf(s *Site, holidays *holiday.Calendar, d holiday.Date) int {
	switch w := d.Weekday(); {
	case w == 6 || holidays != nil && holidays.Has(d):
		return sunday
	case w == 5:
		return saturday
	}
	if s != nil && s.vacation(d) {
		return vacationDays
	}
	return workday
}

func truth(v bool) float32 {
	if v {
		return 1
	}
	return 0
}
