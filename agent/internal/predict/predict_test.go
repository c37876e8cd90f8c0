package predict_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fluxora.dev/agent/internal/predict"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

const start = meter.Millis(1_704_067_200_000)

// memory is a history that is simply there.
type memory struct {
	h   feature.History
	err error
}

func (m memory) History(_ string, _ meter.Register, from, to meter.Millis) (feature.History, error) {
	return m.h.Since(from).Before(to), m.err
}

// cache is a pair of models.
type cache struct{ active, previous *model.Artifact }

func (c cache) Models(time.Duration) (active, previous *model.Artifact) { return c.active, c.previous }

// hours returns a history of so many hours.
func hours(n int) feature.History {
	rng := rand.New(rand.NewPCG(1, 1))
	h := feature.History{Start: start, Resolution: time.Hour, Energy: make([]float64, n)}
	for i := range h.Energy {
		h.Energy[i] = float64(1000 + 200*(i%24) + rng.IntN(300))
	}
	return h
}

// fitted returns an artifact around a model.
func fitted(id string, m model.Model) *model.Artifact {
	return &model.Artifact{ID: id, Spec: feature.Default(), Levels: m.Levels(), Resolution: time.Hour, Horizon: 48 * time.Hour, Model: m}
}

// sound is a model that works: quantiles around the same hours of earlier weeks or days.
func sound(t testing.TB) model.Model {
	t.Helper()
	spec := feature.Default()
	bands := model.Bands{Lead: spec.Column("lead"), Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-0.2, 0, 0.3}}
	m, err := model.NewSeasonal(spec.Len(), bands, []int{spec.Column("weeks mean 4"), spec.Column("days mean 7")})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// broken is a model that does what it is told to.
type broken func(out []float64)

func (b broken) Levels() []float64 { return []float64{0.1, 0.5, 0.9} }

func (b broken) Predict(_ []float32, _ int, out []float64) { b(out) }

func nothing() broken {
	return func(out []float64) {
		for i := range out {
			out[i] = math.NaN()
		}
	}
}

func panics() broken { return func([]float64) { panic("index out of range") } }

func TestLadder(t *testing.T) {
	good, nan, bad := fitted("good", sound(t)), fitted("nan", nothing()), fitted("bad", panics())
	other := fitted("other", sound(t))
	other.Resolution = 15 * time.Minute
	for _, c := range []struct {
		name   string
		hours  int
		models predict.Models
		rung   forecast.Rung
		model  string
		drops  []forecast.Rung
		err    error
	}{
		{"active", 1000, cache{good, nan}, forecast.Active, "good", nil, nil},
		{"active gives no number", 1000, cache{nan, good}, forecast.Previous, "good", []forecast.Rung{forecast.Active}, nil},
		{"active panics", 1000, cache{bad, good}, forecast.Previous, "good", []forecast.Rung{forecast.Active}, nil},
		{"active is for another resolution", 1000, cache{other, good}, forecast.Previous, "good", []forecast.Rung{forecast.Active}, nil},
		{"only the previous", 1000, cache{nil, good}, forecast.Previous, "good", nil, nil},
		{"both fail", 1000, cache{bad, nan}, forecast.Baseline, "", []forecast.Rung{forecast.Active, forecast.Previous}, nil},
		{"no models yet", 1000, cache{}, forecast.Baseline, "", nil, nil},
		{"no cache of models", 1000, nil, forecast.Baseline, "", nil, nil},
		{"eight days, no model", 8 * 24, cache{}, forecast.Baseline, "", nil, nil},
		{"a week, no model", 7 * 24, cache{}, forecast.Profile, "", []forecast.Rung{forecast.Baseline}, nil},
		{"a week", 7 * 24, cache{good, nil}, forecast.Active, "good", nil, nil},
		{"a day", 24, cache{good, nil}, forecast.Active, "good", nil, nil},
		{"a day, no model", 24, cache{}, forecast.Profile, "", []forecast.Rung{forecast.Baseline}, nil},
		{"an hour", 1, cache{good, nil}, forecast.Profile, "", []forecast.Rung{forecast.Active, forecast.Baseline}, nil},
		{"no history", 0, cache{good, nil}, "", "", []forecast.Rung{forecast.Active, forecast.Baseline, forecast.Profile}, forecast.ErrNoHistory},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hours(c.hours)
			p := predict.New(memory{h: h}, c.models, predict.Options{Now: func() time.Time { return time.UnixMilli(99) }})
			f, drops, err := p.Forecast(context.Background(), "p", meter.EnergyImport, h.End())
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if len(drops) != len(c.drops) {
				t.Fatalf("dropped %v, want %v", drops, c.drops)
			}
			for i, d := range drops {
				if d.Rung != c.drops[i] || d.Err == nil {
					t.Errorf("drop %d: %+v, want %s", i, d, c.drops[i])
				}
			}
			if c.err != nil {
				return
			}
			if err := f.Check(); err != nil {
				t.Error(err)
			}
			if f.Rung != c.rung || f.Model != c.model || f.Steps() != 48 || f.Origin != h.End() || f.Issued != 99 {
				t.Errorf("got rung %s, model %q, %d steps, origin %s, issued %d", f.Rung, f.Model, f.Steps(), f.Origin, f.Issued)
			}
		})
	}
}

func TestErrorsOfTheHistoryAreTold(t *testing.T) {
	boom := errors.New("disk is gone")
	p := predict.New(memory{h: hours(100), err: boom}, nil, predict.Options{Now: time.Now})
	if _, _, err := p.Forecast(context.Background(), "p", meter.EnergyImport, start); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	p = predict.New(memory{}, nil, predict.Options{Now: time.Now})
	if _, _, err := p.Forecast(context.Background(), "p", meter.EnergyImport, start); err == nil {
		t.Error("a history without a resolution was taken")
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(boom)
	if _, _, err := p.Forecast(ctx, "p", meter.EnergyImport, start); !errors.Is(err, boom) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestAgentGivesTheBitsOfTheHub compares with what a backtest computes from everything a hub knows.
func TestAgentGivesTheBitsOfTheHub(t *testing.T) {
	h := hours(3000)
	art := fitted("m", sound(t))
	p := predict.New(memory{h: h}, cache{active: art}, predict.Options{Now: func() time.Time { return time.UnixMilli(7) }})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			point := string(rune('a' + g)) // the intervals of a point follow the order in which it is forecast
			var adapter forecast.Adapter
			for n := 30 + g; n < 3100; n += 53 {
				origin := h.Start.Add(time.Duration(n) * time.Hour)
				f, drops, err := p.Forecast(context.Background(), point, meter.EnergyImport, origin)
				if err != nil || len(drops) > 0 {
					t.Errorf("origin %s: %v %v", origin, drops, err)
					return
				}
				hub, err := forecast.Make(h, point, meter.EnergyImport, origin, 48, art, forecast.Active, nil, 7)
				if err != nil {
					t.Error(err)
					return
				}
				hub = adapter.Adapt(hub, h.Before(origin))
				for i := range f.Values {
					if math.Float64bits(f.Values[i]) != math.Float64bits(hub.Values[i]) {
						t.Errorf("origin %s, value %d: agent %v, hub %v", origin, i, f.Values[i], hub.Values[i])
						return
					}
				}
				if f.Completeness != hub.Completeness {
					t.Errorf("completeness %g and %g", f.Completeness, hub.Completeness)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkForecast20Points asks how long an agent of 20 points is busy at each hour: 300 trees of 31 leaves, 48 steps.
func BenchmarkForecast20Points(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	spec := feature.Default()
	ensemble := func(trees int) model.Ensemble {
		e := model.Ensemble{}
		for range trees {
			tree := model.Tree{{Feature: model.Leaf}}
			for i := 0; i < len(tree) && len(tree) < 61; i++ {
				tree[i] = model.Node{Feature: uint16(rng.IntN(spec.Len())), Left: uint16(len(tree)), Value: rng.Float32() * 2}
				tree = append(tree, model.Node{Feature: model.Leaf}, model.Node{Feature: model.Leaf})
			}
			e.Trees = append(e.Trees, tree)
		}
		return e
	}
	line := model.Anchor{Base: []int{1}, Terms: []int{2, 3, 4, 5, 6, 7, 8, 9}, Weights: make([]float64, 8)}
	m, err := model.NewGBDT(spec.Len(), model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 1}}, line, ensemble(300), line, 0.01)
	if err != nil {
		b.Fatal(err)
	}
	h := hours(1500)
	p := predict.New(memory{h: h}, cache{active: fitted("m", m)}, predict.Options{Now: time.Now})
	b.ReportAllocs()
	for b.Loop() {
		for range 20 {
			if f, _, err := p.Forecast(context.Background(), "p", meter.EnergyImport, h.End()); err != nil || f.Rung != forecast.Active {
				b.Fatal(err, f.Rung)
			}
		}
	}
}

// A hub trains over points of many sites, of which several may be called main: models know a point by its site too.
func TestAPointIsForecastByWhatItsModelKnowsOfIt(t *testing.T) {
	own := broken(func(out []float64) {
		for i := range out {
			out[i] = 5
		}
	})
	name := forecast.PointName(forecast.PointAt("oslo-1", "main"), meter.EnergyImport)
	m, err := model.NewByPoint(model.FamilySeasonal, sound(t), []model.OwnModel{{Point: model.HashPoint(name), Model: own}})
	if err != nil {
		t.Fatal(err)
	}
	h := hours(40 * 24)
	for _, c := range []struct {
		site, point string
		own         bool
	}{{"oslo-1", "main", true}, {"oslo-2", "main", false}, {"oslo-1", "boiler", false}} {
		p := predict.New(memory{h: h}, cache{active: fitted("m", m)}, predict.Options{Site: c.site, Horizon: 24 * time.Hour, Now: time.Now})
		f, _, err := p.Forecast(t.Context(), c.point, meter.EnergyImport, h.End())
		if err != nil {
			t.Fatal(err)
		}
		if got := f.At(3, 1) > 10_000; got != c.own || f.Point != c.point {
			t.Errorf("%s of %s: forecast at %.0f Wh by its own model: %v, want %v", f.Point, c.site, f.At(3, 1), got, c.own)
		}
	}
}
