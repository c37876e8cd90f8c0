package wire

import (
	"math"
	"time"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"
)

// LiveDay is how a model and the baseline did on a point in one day (UTC) of targets, as its agent measured it.
type LiveDay struct {
	Point    string
	Register meter.Register
	Model    string // id of the version
	watch.Day
}

const (
	lastDay  = 84_006  // since 1970: the end of the year 2199
	mostPast = 24 * 60 // intervals of a day: of a minute at least
	mostSum  = 1e18    // Wh, and Wh² of squares: what no meter comes to
)

func encodeLiveDay(l LiveDay) *uplinkv1.LiveDay {
	return &uplinkv1.LiveDay{
		Point: l.Point, Register: string(l.Register), Model: l.Model, Day: int32(l.Start / meter.Millis(24*time.Hour/time.Millisecond)),
		Score: encodeScore(l.Day.Model), Baseline: encodeScore(l.Baseline),
	}
}

func decodeLiveDay(m *uplinkv1.LiveDay) (LiveDay, error) {
	l := LiveDay{Point: m.GetPoint(), Register: meter.Register(m.GetRegister()), Model: m.GetModel()}
	if err := meter.CheckName("live error: point", l.Point); err != nil {
		return LiveDay{}, invalid("%v", err)
	}
	if err := meter.CheckName("live error: model", l.Model); err != nil {
		return LiveDay{}, invalid("%v", err)
	}
	if _, err := meter.LookupRegister(string(l.Register)); err != nil {
		return LiveDay{}, invalid("live error: %v", err)
	}
	if m.GetDay() < 0 || m.GetDay() > lastDay {
		return LiveDay{}, invalid("live error: day %d: want 0 to %d days since 1970", m.GetDay(), lastDay)
	}
	l.Start = meter.Millis(m.GetDay()) * meter.Millis(24*time.Hour/time.Millisecond)
	var err error
	if l.Day.Model, err = decodeScore("model", m.GetScore()); err != nil {
		return LiveDay{}, err
	}
	if l.Baseline, err = decodeScore("baseline", m.GetBaseline()); err != nil {
		return LiveDay{}, err
	}
	if a, b := l.Day.Model, l.Baseline; a.Count != b.Count || a.Actual != b.Actual {
		return LiveDay{}, invalid("live error: %d intervals of %g Wh for the model, %d of %g Wh for the baseline: want the same ones", a.Count, a.Actual, b.Count, b.Actual)
	}
	return l, nil
}

func encodeScore(s forecast.Score) *uplinkv1.Score {
	return &uplinkv1.Score{
		Count: uint32(s.Count), Actual: s.Actual, AbsErr: s.AbsErr, SquErr: s.SquErr, Err: s.Err, Pinball: s.Pinball, Covered: uint32(s.Covered), Breadth: s.Breadth,
	}
}

func decodeScore(of string, m *uplinkv1.Score) (forecast.Score, error) {
	s := forecast.Score{
		Count: int(m.GetCount()), Actual: m.GetActual(), AbsErr: m.GetAbsErr(), SquErr: m.GetSquErr(), Err: m.GetErr(),
		Pinball: m.GetPinball(), Covered: int(m.GetCovered()), Breadth: m.GetBreadth(),
	}
	if s.Count < 1 || s.Count > mostPast || s.Covered < 0 || s.Covered > s.Count {
		return s, invalid("live error of the %s: %d intervals, %d of them covered: want 1 to %d a day, and no more covered", of, s.Count, s.Covered, mostPast)
	}
	for name, v := range map[string]float64{"actual": s.Actual, "error": s.Err} {
		if !(math.Abs(v) <= mostSum) {
			return s, invalid("live error of the %s: %s %g Wh: want a number of at most %g", of, name, v, float64(mostSum))
		}
	}
	for name, v := range map[string]float64{"absolute error": s.AbsErr, "pinball loss": s.Pinball, "breadth": s.Breadth, "squared error": math.Sqrt(s.SquErr)} {
		if !(v >= 0 && v <= mostSum) {
			return s, invalid("live error of the %s: %s %g Wh: want a number from 0 to %g", of, name, v, float64(mostSum))
		}
	}
	return s, nil
}
