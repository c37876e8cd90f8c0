package topic

import (
	"fluxora.dev/shared/meter"
)

// parseInstant reads an RFC 3339 time with a zone; fractions of a millisecond are cut off. The leap second 23:59:60 UTC is the second
// after it, as POSIX has it. It is a parser of its own
// because time.Parse takes most of the time of decoding a reading, and lets single-digit hours and commas pass.
func parseInstant(s []byte) (meter.Millis, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	y1, ok1 := two(s)
	y2, ok2 := two(s[2:])
	mo, ok3 := two(s[5:])
	d, ok4 := two(s[8:])
	h, ok5 := two(s[11:])
	mi, ok6 := two(s[14:])
	sec, ok7 := two(s[17:])
	year := y1*100 + y2
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) || mo < 1 || mo > 12 || d < 1 || d > daysIn(year, mo) || h > 23 || mi > 59 || sec > 60 {
		return 0, false
	}
	ms := (daysSince1970(year, mo, d)*86400 + int64(h*3600+mi*60+sec)) * 1000
	s = s[19:]
	if s[0] == '.' {
		i, unit := 1, int64(100)
		for ; i < len(s) && s[i]-'0' <= 9; i++ {
			ms += int64(s[i]-'0') * unit
			unit /= 10
		}
		if i == 1 || i == len(s) {
			return 0, false
		}
		s = s[i:]
	}
	if len(s) == 1 && s[0] == 'Z' {
		return meter.Millis(ms), sec < 60 || endsDay(ms)
	}
	if len(s) != len("+01:00") || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	oh, ok1 := two(s[1:])
	om, ok2 := two(s[4:])
	if !ok1 || !ok2 || oh > 23 || om > 59 {
		return 0, false
	}
	offset := int64(oh*60+om) * 60_000
	if s[0] == '+' {
		offset = -offset
	}
	return meter.Millis(ms + offset), sec < 60 || endsDay(ms+offset)
}

// endsDay reports whether ms, which was written as a second 60, is a leap second: the one that ends a UTC day.
func endsDay(ms int64) bool {
	const day = 86_400_000
	return (ms%day+day)%day < 1000
}

func two(s []byte) (int, bool) {
	a, b := s[0]-'0', s[1]-'0'
	return int(a)*10 + int(b), a <= 9 && b <= 9
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts days in the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms"), for years
// 0 to 9999.
func daysSince1970(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	if y < 0 {
		era = -1
	}
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

// appendInstant appends m in RFC 3339, with milliseconds only when there are some.
func appendInstant(dst []byte, m meter.Millis) []byte {
	if m%1000 == 0 {
		return m.Time().AppendFormat(dst, "2006-01-02T15:04:05Z07:00")
	}
	return m.Time().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
}
