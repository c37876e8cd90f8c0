package predict_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"fluxora.dev/agent/internal/predict"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// states keeps states in memory.
type states struct {
	kept map[string][]byte
	puts int
	err  error
}

func (s *states) State(point string, register meter.Register) ([]byte, error) {
	return s.kept[point+string(register)], s.err
}

func (s *states) PutState(point string, register meter.Register, state []byte) {
	s.kept[point+string(register)] = state
	s.puts++
}

// TestIntervalsOutliveARestart: an agent that is started again serves the bits of one that was never stopped, whatever model
// is in force, and writes what it learnt about once a day.
func TestIntervalsOutliveARestart(t *testing.T) {
	h := hours(2000)
	old, young := fitted("old", sound(t)), fitted("young", sound(t))
	kept := &states{kept: map[string][]byte{}}
	start := func(s predict.States, n int) *predict.Predictor {
		models := cache{active: old}
		if n > 1200 && n < 1500 {
			models = cache{active: young, previous: old}
		}
		return predict.New(memory{h: h}, models, predict.Options{States: s, Now: func() time.Time { return time.UnixMilli(7) }})
	}
	whole := start(&states{kept: map[string][]byte{}}, 0)
	one := start(kept, 0)
	for n := 800; n < 2000; n++ {
		origin := h.Start.Add(time.Duration(n) * time.Hour)
		if n%37 == 0 {
			one = start(kept, n)
		}
		a, _, err := whole.Forecast(context.Background(), "p", meter.EnergyImport, origin)
		b, _, err2 := one.Forecast(context.Background(), "p", meter.EnergyImport, origin)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		for i := range a.Values {
			if math.Float64bits(a.Values[i]) != math.Float64bits(b.Values[i]) {
				t.Fatalf("origin %s, value %d: %v and after a restart %v", origin, i, a.Values[i], b.Values[i])
			}
		}
	}
	if days := 1200 / 20; kept.puts > days+1 {
		t.Errorf("written %d times in %d spells of 20 hours", kept.puts, days)
	}
	seen := one.Coverage()
	if len(seen) != len(forecast.AdaptBandNames()) || seen[0].Point != "p" || math.Abs(seen[0].Nominal-0.8) > 1e-9 || !(seen[0].Tally.Coverage() > 0.5) {
		t.Errorf("coverage %+v", seen)
	}
}

// TestDamagedStatesCostNoForecast: what cannot be read is counted, and intervals are the model's own.
func TestDamagedStatesCostNoForecast(t *testing.T) {
	h := hours(1000)
	for name, s := range map[string]*states{
		"damaged": {kept: map[string][]byte{"p" + string(meter.EnergyImport): []byte("not a state")}},
		"empty":   {kept: map[string][]byte{"p" + string(meter.EnergyImport): {}}},
		"disk":    {kept: map[string][]byte{}, err: errors.New("disk is gone")},
	} {
		t.Run(name, func(t *testing.T) {
			p := predict.New(memory{h: h}, cache{active: fitted("m", sound(t))}, predict.Options{States: s, Now: time.Now})
			f, drops, err := p.Forecast(context.Background(), "p", meter.EnergyImport, h.End())
			if err != nil || len(drops) > 0 || f.Rung != forecast.Active {
				t.Fatal(f.Rung, drops, err)
			}
			if p.Forgotten() != 1 || s.puts != 1 {
				t.Errorf("forgotten %d, written %d", p.Forgotten(), s.puts)
			}
			own, err := forecast.Make(h, "p", meter.EnergyImport, h.End(), 48, fitted("m", sound(t)), forecast.Active, nil, f.Issued)
			if err != nil {
				t.Fatal(err)
			}
			for i := range own.Values {
				if own.Values[i] != f.Values[i] {
					t.Fatalf("value %d: %v, the model's own is %v", i, f.Values[i], own.Values[i])
				}
			}
		})
	}
}
