package interval_test

import (
	"testing"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
	"pgregory.net/rapid"
)

// life is a meter with the energy that really flowed, and what befell it.
type life struct {
	t       *rapid.T
	samples []interval.Sample
	now     meter.Millis
	truth   int64 // energy since the start, mWh
	shown   int64 // by the counter
	id      uint32
	hidden  int64 // the most that can be missing of the energy, or too much, mWh
}

const (
	lifeWatts = 10_000 // the most that is used
	lifeLimit = 20_000 // what the site said is the most
	lifeWrap  = 1_000_000 * kWh
)

func watts(w, ms int64) int64 { return w * ms / 3600 }

// step lets time pass and energy flow.
func (l *life) step() (took int64) {
	took = rapid.Int64Range(30_000, 900_000).Draw(l.t, "step")
	used := rapid.Int64Range(0, watts(lifeWatts, took)).Draw(l.t, "used")
	l.now += meter.Millis(took)
	l.truth += used
	l.shown += used
	return took
}

func (l *life) show(v int64) {
	l.samples = append(l.samples, interval.Sample{At: l.now, Value: v, Kind: meter.Counter, Meter: l.id})
}

func (l *life) normal(n int) {
	for range n {
		l.step()
		l.show(l.shown)
	}
}

// befall lets one thing happen: a legitimate event of a meter's life, or a glitch of up to three readings. What it may hide is
// what could flow, at ten times the site's limit (below that a confirmed jump is counted), from the last good reading before it to the first
// one after, and a digit for each reading.
func (l *life) befall() string {
	began := l.now
	what := rapid.SampledFrom([]string{
		"nothing", "reset", "rollover", "exchange", "set forward", "dip", "zeros", "garbage", "agreeing garbage", "word tear", "sentinel", "minus one",
		"sign flip", "smaller unit", "larger unit", "duplicate", "suspect",
	}).Draw(l.t, "what")
	readings := rapid.IntRange(1, 3).Draw(l.t, "readings")
	end := func() { l.hidden += watts(10*lifeLimit, int64(l.now-began)) + int64(readings+1)*kWh + 2000 } // and what is rounded where the register starts anew
	glitch := func(show func(v int64) int64) {
		for range readings {
			l.step()
			l.show(show(l.shown))
		}
		l.step()
		l.show(l.shown)
		end()
	}
	switch what {
	case "reset":
		l.step()
		l.shown = 0
		l.step()
		l.show(l.shown)
		end()
	case "rollover": // the meter is taken to just before it, by an exchange
		l.id++
		l.shown = lifeWrap - rapid.Int64Range(1, 20*kWh).Draw(l.t, "before")
		l.step()
		l.show(l.shown)
		end()
		for l.shown < lifeWrap {
			l.step()
			if l.shown < lifeWrap {
				l.show(l.shown)
			}
		}
		l.shown -= lifeWrap
		l.show(l.shown)
	case "exchange":
		l.id++
		l.shown = rapid.Int64Range(0, 90_000*kWh).Draw(l.t, "new meter")
		l.step()
		l.show(l.shown)
		end()
	case "set forward":
		l.shown += rapid.Int64Range(1000, 50_000).Draw(l.t, "by") * kWh
		l.step()
		l.show(l.shown)
		end()
	case "dip":
		d := rapid.Int64Range(1, kWh).Draw(l.t, "by")
		for range readings {
			l.step()
			l.show(max(l.shown-d, 0))
		}
		end() // a value that falls below half is no dip
	case "zeros":
		glitch(func(int64) int64 { return 0 })
	case "garbage":
		glitch(func(int64) int64 { return rapid.Int64Range(0, 1<<50).Draw(l.t, "garbage") })
	case "agreeing garbage":
		g := rapid.Int64Range(0, 1<<50).Draw(l.t, "garbage")
		glitch(func(int64) int64 { return g })
		end()
	case "word tear":
		glitch(func(v int64) int64 { return min(v*65536, 1<<50) })
	case "sentinel":
		s := rapid.SampledFrom([]int64{0xffff_ffff, 0x7fff_ffff}).Draw(l.t, "ones") * rapid.SampledFrom([]int64{1, 1000, 100_000}).Draw(l.t, "unit")
		glitch(func(int64) int64 { return s })
	case "minus one":
		glitch(func(int64) int64 { return -1000 })
	case "sign flip":
		glitch(func(v int64) int64 { return -v })
	case "smaller unit":
		glitch(func(v int64) int64 { return v * 1000 })
	case "larger unit":
		glitch(func(v int64) int64 { return v / 1000 })
	case "duplicate":
		l.show(rapid.Int64Range(0, 1<<50).Draw(l.t, "garbage"))
	case "suspect":
		l.step()
		l.show(l.shown)
		l.samples[len(l.samples)-1].Quality = meter.Suspect
	}
	return what
}

// TestTotalIsContinuousOverAMetersLife is the promise of the package comment: whatever befalls a meter, the sum of the intervals is
// the energy that flowed, within what was hidden.
func TestTotalIsContinuousOverAMetersLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &life{t: t, now: at(0), id: 1, shown: rapid.Int64Range(0, 90_000*kWh).Draw(t, "first")}
		l.show(l.shown)
		l.normal(4)
		var what []string
		for range rapid.IntRange(0, 12).Draw(t, "events") {
			what = append(what, l.befall())
			l.normal(rapid.IntRange(4, 8).Draw(t, "normal"))
		}
		o := interval.Options{Resolution: 15 * time.Minute, MaxWatts: lifeLimit}
		l.now = l.now.Floor(o.Resolution).Add(o.Resolution)
		l.show(l.shown)
		var sum meter.WattHours
		for _, v := range rebuild(t, l.samples, o) {
			sum += v.Energy
		}
		if off := int64(sum)*1000 - l.truth; off > l.hidden+2000 || off < -l.hidden-2000 {
			t.Fatalf("sum is %d kWh, the truth %d kWh: off by %g kWh, at most %g was hidden by %q",
				sum/1000, l.truth/kWh, float64(off)/kWh, float64(l.hidden)/kWh, what)
		}
		// And nothing sticks: once the counter has passed what a glitch made of the register, energy is counted to the watt-hour.
		for range 20 {
			l.now += 900_000
			l.truth, l.shown = l.truth+2*kWh, l.shown+2*kWh
			l.show(l.shown)
		}
		before := l.truth
		from := l.now
		if from > from.Floor(o.Resolution) {
			l.now = from.Floor(o.Resolution).Add(o.Resolution)
		}
		l.show(l.shown)
		from = l.now
		l.normal(40)
		l.now = l.now.Floor(o.Resolution).Add(o.Resolution)
		l.show(l.shown)
		sum = 0
		for _, v := range rebuild(t, l.samples, o) {
			if v.Start >= from {
				sum += v.Energy
			}
		}
		if off := int64(sum)*1000 - (l.truth - before); off > 2000 || off < -2000 {
			t.Fatalf("after %q: sum is %d Wh, the truth %d Wh", what, sum, (l.truth-before)/1000)
		}
	})
}
