package watch_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"
)

// weeks returns sketches of weeks of 168 values from a source.
func weeks(n int, value func(week, hour int) float64) []watch.Sketch {
	out := make([]watch.Sketch, n)
	for w := range out {
		for h := range 168 {
			out[w].Add(value(w, h))
		}
	}
	return out
}

// usual returns a source of values that follow the hours and differ from week to week.
func usual(seed uint64) func(week, hour int) float64 {
	rng := rand.New(rand.NewPCG(seed, 3))
	mood, of := 0.0, -1
	return func(week, hour int) float64 {
		if week != of {
			mood, of = 0.1*rng.NormFloat64(), week
		}
		return 1 + mood + 0.4*math.Sin(float64(hour)*math.Pi/12) + 0.2*rng.NormFloat64()
	}
}

func TestDriftIsFoundAndUsualWeeksAreNot(t *testing.T) {
	for _, m := range []watch.Measure{watch.MeasurePSI, watch.MeasureKS} {
		for name, change := range map[string]func(v float64, hour int) float64{
			"nothing":                nil,
			"the level rises":        func(v float64, _ int) float64 { return v + 0.7 },
			"the level falls":        func(v float64, _ int) float64 { return 0.4 * v },
			"the shape becomes flat": func(float64, int) float64 { return 1.1 },
			"two values only":        func(v float64, _ int) float64 { return math.Copysign(0.8, v-1) + 1 },
			"half goes missing": func(v float64, hour int) float64 {
				if hour%2 == 0 && m == watch.MeasurePSI {
					return math.NaN()
				}
				return v + 1
			},
		} {
			found := 0
			for seed := range uint64(10) {
				source := usual(seed)
				ws := weeks(66, func(w, h int) float64 {
					v := source(w, h)
					if w >= 60 && change != nil {
						v = change(v, h)
					}
					return v
				})
				ref, ok := watch.NewReference(m, ws[:52])
				if !ok {
					t.Fatal("52 weeks are no reference")
				}
				for end := 52; end <= len(ws); end++ {
					v := ref.Judge("values", ws[:end])
					if v.Drifted && end < 60+2 {
						t.Errorf("%s, %s: drifted in week %d, before anything changed: %s", m, name, end, v.Reason)
					}
					if v.Drifted {
						if found++; !strings.Contains(v.Reason, "values of the last 4 weeks") {
							t.Errorf("reason %q", v.Reason)
						}
						break
					}
				}
			}
			if want := 10; change != nil && found < want || change == nil && found > 0 {
				t.Errorf("%s, %s: found in %d of 10", m, name, found)
			}
		}
	}
}

func TestTooLittleIsNoReference(t *testing.T) {
	ws := weeks(30, usual(1))
	if _, ok := watch.NewReference(watch.MeasureKS, ws[:7]); ok {
		t.Error("seven weeks are a reference")
	}
	if _, ok := watch.NewReference(watch.MeasureKS, make([]watch.Sketch, 60)); ok {
		t.Error("sixty weeks without a value are a reference")
	}
	ref, _ := watch.NewReference(watch.MeasureKS, ws)
	for _, recent := range [][]watch.Sketch{nil, make([]watch.Sketch, 1), make([]watch.Sketch, 9)} {
		if v := ref.Judge("nothing", recent); v.Drifted || v.Distance == v.Distance {
			t.Errorf("%d weeks without a value: %+v", len(recent), v)
		}
	}
	young, _ := watch.NewReference(watch.MeasureKS, ws[:20])
	old, _ := watch.NewReference(watch.MeasureKS, append(append([]watch.Sketch{}, ws[:20]...), weeks(40, usual(2))...))
	if young.Weeks != 20 || old.Weeks != 60 {
		t.Errorf("%d and %d weeks", young.Weeks, old.Weeks)
	}
}

func TestDistancesByHand(t *testing.T) {
	var a, b, empty watch.Sketch
	for i := range 100 {
		a.Add(float64(i % 10))
		b.Add(float64(i%10) + 5)
	}
	if d := watch.KS(a, a); d != 0 {
		t.Errorf("a sketch lies %g from itself", d)
	}
	if d := watch.KS(a, b); math.Abs(d-0.5) > 1e-9 {
		t.Errorf("half of the values lie apart: KS %g", d)
	}
	if d := watch.KS(a, empty); d == d {
		t.Errorf("KS to nothing is %g", d)
	}
	if d := watch.PSI(empty, a); d == d {
		t.Errorf("PSI from nothing is %g", d)
	}
	if d := watch.PSI(a, a); math.Abs(d) > 1e-12 {
		t.Errorf("PSI to itself is %g", d)
	}
	// Two groups of one half, of which one now has three quarters: (0.25)·ln 1.5 + (-0.25)·ln 0.5, but for the priors.
	var half, three watch.Sketch
	for i := range 4000 {
		half.Add(float64(i % 2))
		three.Add(float64(min(1, i%4)))
	}
	if d, want := watch.PSI(half, three), 0.25*math.Log(1.5)-0.25*math.Log(0.5); math.Abs(d-want) > 0.01 {
		t.Errorf("PSI %g, want %g", d, want)
	}
	var far watch.Sketch
	for _, x := range []float64{math.Inf(1), math.Inf(-1), 1e300, -1e300, 0, math.NaN()} {
		far.Add(x)
	}
	if far.Known() != 5 || far.Missing != 1 || far.Bins[0] != 2 || far.Bins[127] != 2 {
		t.Errorf("the ends hold %d and %d", far.Bins[0], far.Bins[127])
	}
}

func TestSketchesMergeInAnyOrder(t *testing.T) {
	ws := weeks(9, usual(4))
	var forth, back watch.Sketch
	for i := range ws {
		forth.Merge(ws[i])
		back.Merge(ws[len(ws)-1-i])
	}
	if forth != back || forth.Known() != 9*168 {
		t.Error("the order of merging matters")
	}
}

const day = 24 * time.Hour

// days returns how a model with a given error did beside a baseline with an error of one.
func days(n int, errors func(day int) float64) []watch.Day {
	out := make([]watch.Day, n)
	for i := range out {
		out[i].Start = meter.Millis(0).Add(time.Duration(i) * day)
		for range 24 {
			e := errors(i)
			out[i].Model.Add([]float64{0.1, 0.5, 0.9}, []float64{9 + e, 10 + e, 11 + e}, 10)
			out[i].Baseline.Add([]float64{0.5}, []float64{11}, 10)
		}
	}
	return out
}

func TestLiveErrorForgets(t *testing.T) {
	until := meter.Millis(0).Add(40 * day)
	good := watch.LiveOf(days(40, func(int) float64 { return 0.5 }), until)
	if math.Abs(good.Error-0.5) > 1e-9 || math.Abs(good.Baseline-1) > 1e-9 || math.Abs(good.Skill()-0.5) > 1e-9 || good.Coverage != 1 || good.Days != 40 || good.Intervals != 960 || math.Abs(good.Mean-10) > 1e-9 {
		t.Errorf("%+v", good)
	}
	if why, bad := good.Failing(); bad {
		t.Errorf("a good model fails: %s", why)
	}
	// Half of the weight lies in the last seven days.
	turned := watch.LiveOf(days(40, func(d int) float64 {
		if d >= 33 {
			return 2
		}
		return 0.5
	}), until)
	if math.Abs(turned.Error-1.25) > 0.05 {
		t.Errorf("seven bad days of forty: %.3f, want about 1.25", turned.Error)
	}
	if why, bad := turned.Failing(); !bad || !strings.Contains(why, "times that of the baseline") {
		t.Errorf("failing %v: %q", bad, why)
	}
	if _, bad := watch.LiveOf(days(3, func(int) float64 { return 9 }), until).Failing(); bad {
		t.Error("three days are enough to fail")
	}
	if l := watch.LiveOf(nil, until); l.Error == l.Error || l.Skill() == l.Skill() {
		t.Errorf("nothing known: %+v", l)
	}
	if l := watch.LiveOf(days(40, func(int) float64 { return 1 }), meter.Millis(0).Add(10*day)); l.Days != 10 {
		t.Errorf("days to come count: %+v", l)
	}
}

func TestDaysOfPointsMerge(t *testing.T) {
	a, b := days(1, func(int) float64 { return 1 })[0], days(1, func(int) float64 { return 3 })[0]
	want := a
	want.Merge(b)
	if want.Model.Count != 48 || want.Model.AbsErr != 24*4 || want.Baseline.Count != 48 {
		t.Errorf("%+v", want)
	}
	b.Merge(a)
	if b != want {
		t.Error("the order of merging matters")
	}
	if watch.DayOf(meter.Millis(0).Add(3*day+5*time.Hour)) != meter.Millis(0).Add(3*day) {
		t.Error("day of a target")
	}
	var s forecast.Score
	if a.Model == s {
		t.Error("nothing was counted")
	}
}
