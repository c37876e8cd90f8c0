package forecast_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// straying returns a forecast and a history that goes on for weeks, of a point that strays far from what is forecast.
func straying(seed uint64, hours int) (func(origin meter.Millis, levels ...float64) forecast.Forecast, feature.History) {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := feature.History{Resolution: time.Hour}
	for i := range hours {
		v := 1000 + 300*math.Sin(float64(i)/4) + 200*rng.NormFloat64()
		if rng.IntN(20) == 0 {
			v = math.NaN()
		}
		h.Energy = append(h.Energy, v)
	}
	return func(origin meter.Millis, levels ...float64) forecast.Forecast {
		if len(levels) == 0 {
			levels = []float64{0.1, 0.5, 0.9}
		}
		f := forecast.Forecast{Point: "p", Origin: origin, Resolution: time.Hour, Rung: forecast.Active, Levels: levels}
		for s := range 48 {
			for _, l := range levels {
				f.Values = append(f.Values, 1000+100*l+float64(s)/3)
			}
		}
		return f
	}, h
}

func same(t *testing.T, what string, a, b forecast.Forecast) {
	t.Helper()
	for i := range a.Values {
		if math.Float64bits(a.Values[i]) != math.Float64bits(b.Values[i]) {
			t.Fatalf("%s: origin %s, value %d: %v and %v", what, a.Origin, i, a.Values[i], b.Values[i])
		}
	}
}

// TestAdapterOutlivesRestarts: one that is stopped at any time, and begins again from what was saved when a forecast was kept,
// serves the bits of one that was never stopped.
func TestAdapterOutlivesRestarts(t *testing.T) {
	forecastAt, h := straying(1, 1500)
	rng := rand.New(rand.NewPCG(7, 7))
	var whole forecast.Adapter
	stopped, saved, saves := new(forecast.Adapter), []byte(nil), 0
	for n := 24; n < 1500; n++ {
		origin := h.Start.Add(time.Duration(n) * time.Hour)
		if rng.IntN(5) == 0 && saved != nil {
			var err error
			if stopped, err = forecast.DecodeAdapter(saved); err != nil {
				t.Fatal(err)
			}
		}
		f := forecastAt(origin)
		same(t, "restarted", whole.Adapt(f, h.Before(origin)), stopped.Adapt(f, h.Before(origin)))
		if stopped.Unsaved() {
			saved = stopped.Encode()
			saves++
		}
	}
	if days := (1500 - 24) / 20; saves > days+1 {
		t.Errorf("saved %d times in %d spells of 20 hours", saves, days)
	}
	if whole.Coverage()[0].Hours() == 0 || len(saved) > 8<<10 {
		t.Errorf("%+v, state of %d bytes", whole.Coverage(), len(saved))
	}
}

// TestAdapterIsAskedAsOftenAsOneLikes: one that is asked each hour knows what one knows that is asked when a forecast is kept.
func TestAdapterIsAskedAsOftenAsOneLikes(t *testing.T) {
	forecastAt, h := straying(2, 1000)
	var often, seldom forecast.Adapter
	for n := 20; n < 1000; n++ {
		origin := h.Start.Add(time.Duration(n) * time.Hour)
		f := often.Adapt(forecastAt(origin), h.Before(origin))
		if n%20 == 0 {
			same(t, "seldom", f, seldom.Adapt(forecastAt(origin), h.Before(origin)))
		}
	}
}

// TestAdapterMeetsOtherTimes: neither other levels nor a clock that was wrong for a while keep it from learning, and what it
// learnt of the breadth stays.
func TestAdapterMeetsOtherTimes(t *testing.T) {
	forecastAt, h := straying(3, 4000)
	var a forecast.Adapter
	breadth := func(f forecast.Forecast) float64 { return f.Values[len(f.Levels)-1] - f.Values[0] }
	run := func(from, to int, levels ...float64) (f forecast.Forecast) {
		for n := from; n < to; n += 24 {
			origin := h.Start.Add(time.Duration(n) * time.Hour)
			f = a.Adapt(forecastAt(origin, levels...), h.Before(origin))
			if err := f.Check(); err != nil {
				t.Fatal(err)
			}
		}
		return f
	}
	f := run(0, 1000)
	wide := breadth(f) / 80
	if wide < 2 {
		t.Fatalf("breadth grew by %g", wide)
	}
	far := h.Start.Add(100_000 * time.Hour) // and nothing is known there
	a.Adapt(forecastAt(far), h)
	if !a.Unsaved() {
		t.Fatal("not kept")
	}
	a.Encode()
	if f = run(1000, 1048); breadth(f) < 80*wide*0.8 || !a.Unsaved() {
		t.Errorf("after the clock was put right: breadth %g, kept %v", breadth(f), a.Unsaved())
	}
	f = run(1048, 1072, 0.05, 0.2, 0.5, 0.95)
	if got := breadth(f) / 90; got < wide*0.8 || a.Coverage()[0].Hours() != 0 || math.Abs(a.Nominal()-0.9) > 1e-12 {
		t.Errorf("with other levels: %g times the breadth, was %g; counted %v, nominal %g", got, wide, a.Coverage(), a.Nominal())
	}
	if run(1072, 2000, 0.5); a.Coverage()[0].Hours() == 0 {
		t.Error("a middle level alone is not watched")
	}
}

func TestDamagedStatesOfAdaptersAreRefused(t *testing.T) {
	forecastAt, h := straying(4, 200)
	var a forecast.Adapter
	for n := 24; n < 200; n += 24 {
		origin := h.Start.Add(time.Duration(n) * time.Hour)
		a.Adapt(forecastAt(origin), h.Before(origin))
	}
	b := a.Encode()
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		if _, err := forecast.DecodeAdapter(bad); !errors.Is(err, forecast.ErrAdapterState) {
			t.Fatalf("bit of byte %d: %v", i, err)
		}
		if _, err := forecast.DecodeAdapter(b[:i]); !errors.Is(err, forecast.ErrAdapterState) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func FuzzDecodeAdapter(f *testing.F) {
	forecastAt, h := straying(5, 100)
	a := new(forecast.Adapter)
	f.Add(a.Encode())
	a.Adapt(forecastAt(h.End()), h)
	f.Add(a.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		b = forecast.WithChecksum(b)
		a, err := forecast.DecodeAdapter(b)
		if err != nil {
			if !errors.Is(err, forecast.ErrAdapterState) {
				t.Fatal(err)
			}
			return
		}
		if got := a.Encode(); !bytes.Equal(got, b) {
			t.Fatalf("%x became %x", b, got)
		}
		if err := a.Adapt(forecastAt(h.End()), h).Check(); err != nil {
			t.Fatal(err)
		}
	})
}
