package feature

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	mostDays  = 60
	mostWeeks = 53
	mostPast  = 336
)

// plain lists the features that have no parameters.
var plain = map[string]kind{
	"lead": lead, "step": stepAhead, "size": size,
	"hour": hour, "quarter": quarter, "clock": clockMinute, "weekday": weekday, "weekend": weekend, "yearday": yearday,
	"season": midYear, "half-season": halfSeason, "bridge": bridge, "free": free, "kind": dayKind, "forecast-age": forecastAge,
}

// parseOp reads the words of a feature.
func parseOp(words []string) (op, error) {
	if k, ok := plain[words[0]]; ok {
		return op{kind: k}, want(words[1:], 0)
	}
	var o op
	var err error
	switch word, args := words[0], words[1:]; word {
	case "day":
		o.kind = dayLag
		err = parseLag(args, &o, mostDays)
	case "week":
		o.kind = weekLag
		err = parseLag(args, &o, mostWeeks)
	case "change":
		o.kind = change
		err = parseCount(args, &o.k, 28)
	case "past":
		o.kind = past
		err = parseCount(args, &o.k, mostPast)
	case "drift":
		return parseDrift(args)
	case "stray":
		o.kind = windowStray
		err = parseLength(args, &o.a, maxBack-driftBack)
	case "days":
		o.kind = dayStat
		err = parseStatOf(args, &o, mostDays)
	case "weeks":
		o.kind = weekStat
		err = parseStatOf(args, &o, mostWeeks)
	case "similar":
		o.kind = similar
		err = parseStatOf(args, &o, similarBack)
	case "shift":
		o.kind = shift
		err = parseCount(args, &o.k, similarBack)
	case "window":
		o.kind = window
		if err = want(args, 2); err == nil {
			err = errors.Join(parseStat(args[0], &o), parseLength(args[1:], &o.a, maxBack))
		}
	case "level":
		o.kind = level
		if err = want(args, 2); err == nil {
			err = errors.Join(parseLength(args[:1], &o.a, maxBack), parseLength(args[1:], &o.b, maxBack))
		}
	case "complete":
		o.kind = complete
		err = parseLength(args, &o.a, maxBack)
	case "age":
		o.kind = age
		err = parseLength(args, &o.a, maxBack)
	case "fact":
		o.kind = fact
		if err = want(args, 1); err == nil {
			o.fact, err = args[0], checkFactName(args[0])
		}
	case "holiday":
		return parseHoliday(args)
	case "holidays":
		o.kind = holidaysNear
		if len(args) != 2 || args[0] != "near" {
			return o, errors.New("holidays: want near and a count of days, as near 3")
		}
		err = parseCount(args[1:], &o.k, 14)
	case "vacation":
		return parseVacation(args)
	case "temperature":
		return parseWeather(args, measure{quantity: temperature})
	case "radiation":
		return parseWeather(args, measure{quantity: radiation})
	case "cold", "warm":
		return parseDegrees(word, args)
	case "response":
		o.kind = response
		err = parseCount(args, &o.k, 26)
	case "warmer":
		return parseWarmer(args)
	default:
		err = errors.New("no such feature")
	}
	return o, err
}

// parseLag reads "K" or "K OFFSET".
func parseLag(args []string, o *op, limit int) error {
	if len(args) == 2 {
		if err := parseHours(args[1], &o.a, -12*time.Hour, 12*time.Hour); err != nil {
			return err
		}
		args = args[:1]
	}
	return parseCount(args, &o.k, limit)
}

// parseStatOf reads "STAT K".
func parseStatOf(args []string, o *op, limit int) error {
	if err := want(args, 2); err != nil {
		return err
	}
	return errors.Join(parseStat(args[0], o), parseCount(args[1:], &o.k, limit))
}

// parseDrift reads "day K", "week K" or "LENGTH".
func parseDrift(args []string) (op, error) {
	if len(args) == 1 {
		o := op{kind: windowDrift}
		err := parseLength(args, &o.a, maxBack-driftBack)
		return o, err
	}
	if err := want(args, 2); err != nil {
		return op{}, err
	}
	return parsePeriods(args, dayDrift, weekDrift, 28, 28)
}

// parsePeriods reads "day K" or "week K".
func parsePeriods(args []string, ofDays, ofWeeks kind, mostDays, mostWeeks int) (op, error) {
	if len(args) == 2 && args[0] == "day" {
		o := op{kind: ofDays}
		err := parseCount(args[1:], &o.k, mostDays)
		return o, err
	}
	if len(args) == 2 && args[0] == "week" {
		o := op{kind: ofWeeks}
		err := parseCount(args[1:], &o.k, mostWeeks)
		return o, err
	}
	return op{}, fmt.Errorf("parameters %.40q: want day or week and a count, as day 1", strings.Join(args, " "))
}

// parseHoliday reads "", "before", "after", "day K" or "week K".
func parseHoliday(args []string) (op, error) {
	o := op{kind: holidayOn}
	switch {
	case len(args) == 0:
		return o, nil
	case len(args) == 1 && args[0] == "before":
		o.k = -1
		return o, nil
	case len(args) == 1 && args[0] == "after":
		o.k = 1
		return o, nil
	}
	return parsePeriods(args, holidayDay, holidayWeek, mostDays, mostWeeks)
}

// parseVacation reads "", "day K" or "week K".
func parseVacation(args []string) (op, error) {
	if len(args) == 0 {
		return op{kind: vacation}, nil
	}
	return parsePeriods(args, vacationDay, vacationWeek, mostDays, mostWeeks)
}

// parseWeather reads "", "mean LENGTH", "day K" or "week K".
func parseWeather(args []string, m measure) (op, error) {
	o, err := op{kind: weatherAt}, error(nil)
	switch {
	case len(args) == 0:
	case args[0] == "mean":
		o.kind = weatherMean
		err = parseLength(args[1:], &o.a, 31*day)
	default:
		o, err = parsePeriods(args, weatherDay, weatherWeek, mostDays, mostWeeks)
	}
	o.measure = m
	return o, err
}

// parseDegrees reads "BASE" or "BASE LENGTH", BASE in whole °C.
func parseDegrees(word string, args []string) (op, error) {
	o := op{kind: weatherAt, measure: measure{quantity: temperature, side: -1}}
	if word == "warm" {
		o.measure.side = 1
	}
	if len(args) < 1 || len(args) > 2 {
		return o, want(args, 1)
	}
	base, err := strconv.Atoi(args[0])
	if err != nil || base < -30 || base > 40 || strconv.Itoa(base) != args[0] {
		return o, fmt.Errorf("base %.20q: want whole °C from -30 to 40", args[0])
	}
	o.measure.base = float64(base)
	if len(args) == 2 {
		o.kind = weatherMean
		err = parseLength(args[1:], &o.a, 31*day)
	}
	return o, err
}

// parseWarmer reads "days K" or "weeks K".
func parseWarmer(args []string) (op, error) {
	if len(args) == 2 && args[0] == "days" {
		o := op{kind: warmerDays}
		err := parseCount(args[1:], &o.k, mostDays)
		return o, err
	}
	if len(args) == 2 && args[0] == "weeks" {
		o := op{kind: warmerWeeks}
		err := parseCount(args[1:], &o.k, mostWeeks)
		return o, err
	}
	return op{}, fmt.Errorf("parameters %.40q: want days or weeks and a count, as days 7", strings.Join(args, " "))
}

func want(args []string, n int) error {
	if len(args) != n {
		return fmt.Errorf("%d parameters: want %d", len(args), n)
	}
	return nil
}

func parseCount(args []string, k *int, limit int) error {
	if err := want(args, 1); err != nil {
		return err
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > limit || strconv.Itoa(n) != args[0] {
		return fmt.Errorf("count %.20q: want 1 to %d", args[0], limit)
	}
	*k = n
	return nil
}

// parseStat reads mean, std, min, max, slope or a quantile, as q50.
func parseStat(s string, o *op) error {
	for i, n := range statNames {
		if s == n {
			o.stat = stat(i)
			return nil
		}
	}
	if digits, ok := strings.CutPrefix(s, "q"); ok {
		if n, err := strconv.Atoi(digits); err == nil && n >= 1 && n <= 99 && strconv.Itoa(n) == digits {
			o.stat, o.q = quantile, float64(n)/100
			return nil
		}
	}
	return fmt.Errorf("statistic %.20q: want one of %v, or a quantile from q1 to q99", s, statNames)
}

// parseLength reads one length, in whole hours, of at least one.
func parseLength(args []string, out *time.Duration, most time.Duration) error {
	if err := want(args, 1); err != nil {
		return err
	}
	return parseHours(args[0], out, time.Hour, most)
}

func parseHours(s string, out *time.Duration, least, most time.Duration) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most || d == 0 || d%time.Hour != 0 || s != strconv.Itoa(int(d/time.Hour))+"h" {
		return fmt.Errorf("length %.20q: want whole hours from %s to %s, as 24h", s, least, most)
	}
	*out = d
	return nil
}
