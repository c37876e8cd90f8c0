package train_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

const start = meter.Millis(1_704_067_200_000)

// town returns points of so many days that follow hours and weekdays, each in its own size.
func town(points, days int, resolution time.Duration) train.Dataset {
	var d train.Dataset
	for p := range points {
		rng := rand.New(rand.NewPCG(uint64(p), 8))
		h := feature.History{Start: start, Resolution: resolution, Energy: make([]float64, days*int(24*time.Hour/resolution))}
		size := float64(100 + 900*p)
		for i := range h.Energy {
			at := start.Add(time.Duration(i) * resolution).Time()
			v := 1.0
			if hr := at.Hour(); hr >= 7 && hr < 19 && at.Weekday() != time.Sunday {
				v = 3
			}
			h.Energy[i] = math.Round(size * v * (1 + 0.2*rng.NormFloat64()*rng.Float64()))
			if rng.IntN(200) == 0 {
				h.Energy[i] = math.NaN()
			}
		}
		d.Points = append(d.Points, train.Point{ID: "p" + strconv.Itoa(p), Register: meter.EnergyImport, History: h})
	}
	return d
}

// quick returns parameters that keep tests short.
func quick() train.Params {
	p := train.Params{Threads: 2, Trees: gbdt.Defaults()}
	p.Trees.Trees = 30
	return p
}

func fit(t testing.TB, d train.Dataset, p train.Params) (*model.Artifact, train.Report) {
	t.Helper()
	a, r, err := train.Fit(context.Background(), d, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a, r
}

func encoded(t testing.TB, a *model.Artifact) []byte {
	t.Helper()
	b, err := model.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFitGivesASoundArtifact(t *testing.T) {
	for _, family := range []string{model.FamilyGBDT, model.FamilySeasonal, model.FamilyLinear, model.FamilyForest, model.FamilyAdditive} {
		for _, resolution := range []time.Duration{15 * time.Minute, time.Hour} {
			t.Run(family+" "+resolution.String(), func(t *testing.T) {
				d := town(3, 60, resolution)
				p := quick()
				p.Family = family
				a, r := fit(t, d, p)
				back, err := model.Decode(encoded(t, a))
				if err != nil {
					t.Fatal(err)
				}
				if err := back.SelfTest(); err != nil {
					t.Error(err)
				}
				if back.TrainedTo != start.Add(60*24*time.Hour) || back.Points != 3 || back.Resolution != resolution || r.Rows == 0 || r.HeldRows == 0 {
					t.Errorf("artifact to %s of %d points, report %+v", back.TrainedTo, back.Points, r)
				}
				// A point it has never seen, a day old.
				h := town(5, 1, resolution).Points[4].History
				f, err := forecast.Make(h, "new", meter.EnergyImport, h.End(), int(48*time.Hour/resolution), back, forecast.Active, nil, 0)
				if err != nil {
					t.Fatal(err)
				}
				day := int(24 * time.Hour / resolution)
				var s forecast.Score
				for step := 1; step <= day; step++ {
					s.Add(f.Levels, f.Values[3*(step-1):3*step], h.Energy[step-1])
				}
				if e := s.MAE() / s.Mean(); e > 0.5 {
					t.Errorf("a day-old point is forecast with an error of %.0f %% of the day before", 100*e)
				}
			})
		}
	}
}

func TestSameBytesForAnyNumberOfThreads(t *testing.T) {
	d := town(3, 40, time.Hour)
	p := quick()
	one, _ := sameForAnyNumberOfThreads(t, d, p)
	p.Seed = 7
	other, _ := fit(t, d, p)
	if bytes.Equal(encoded(t, one), encoded(t, other)) {
		t.Error("another seed fits the same model")
	}
}

func TestNothingAfterTheEndIsLearnt(t *testing.T) {
	d := town(3, 50, time.Hour)
	cut := start.Add(40 * 24 * time.Hour)
	want, _ := fit(t, d.Before(cut), quick())
	for i := range d.Points {
		e := append([]float64(nil), d.Points[i].History.Energy...)
		for k := d.Points[i].History.Index(cut); k < len(e); k++ {
			e[k] = 1e7
		}
		d.Points[i].History.Energy = e
	}
	got, _ := fit(t, d.Before(cut), quick())
	if !bytes.Equal(encoded(t, want), encoded(t, got)) {
		t.Error("the model changed with what came after the cut")
	}
	if got.TrainedTo != cut {
		t.Errorf("trained to %s, want %s", got.TrainedTo, cut)
	}
}

func TestOddPointsDoNotSpoilAFit(t *testing.T) {
	d := town(3, 40, time.Hour)
	dead := append([]float64(nil), d.Points[0].History.Energy...)
	silent := append([]float64(nil), dead...)
	woken := append([]float64(nil), dead...)
	for i := range dead {
		dead[i], silent[i] = 0, math.NaN()
		if i < len(woken)/2 {
			woken[i] = 0
		}
	}
	for _, e := range [][]float64{dead, silent, woken, nil} {
		p := d.Points[0]
		p.History.Energy = e
		d.Points = append(d.Points, p)
	}
	a, r := fit(t, d, quick())
	if r.Skipped != 2 || a.Points != 5 {
		t.Errorf("%d points skipped, %d learnt from: want 2 and 5", r.Skipped, a.Points)
	}
	h := d.Points[1].History
	f, err := forecast.Make(h, "p", meter.EnergyImport, h.End(), 24, a, forecast.Active, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if v := f.At(12, 1); !(v > 500 && v < 10_000) {
		t.Errorf("an ordinary point of 1 kW to 3 kW is forecast at %g Wh", v)
	}
}

func TestWhatCannotBeFitted(t *testing.T) {
	good := town(2, 40, time.Hour)
	mixed := town(2, 40, time.Hour)
	mixed.Points[1] = town(1, 40, 15*time.Minute).Points[0]
	noLead, err := feature.ParseSpec("fluxora-features 1\nday 1\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		d    train.Dataset
		p    train.Params
		want error
	}{
		{"no points", train.Dataset{}, train.Params{}, train.ErrTooLittle},
		{"two days", town(2, 2, time.Hour), train.Params{}, train.ErrTooLittle},
		{"two resolutions", mixed, train.Params{}, nil},
		{"no such family", good, train.Params{Family: "oracle"}, nil},
		{"levels crossing", good, train.Params{Levels: []float64{0.9, 0.1}}, nil},
		{"no lead among the features", good, train.Params{Spec: noLead}, nil},
		{"a month ahead", good, train.Params{Horizon: 30 * 24 * time.Hour}, nil},
		{"bad trees", good, train.Params{Trees: gbdt.Params{Trees: -1}}, nil},
	} {
		if _, _, err := train.Fit(context.Background(), c.d, c.p, nil); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	if _, _, err := train.Fit(ctx, good, quick(), func(string, float64) { cancel(why) }); !errors.Is(err, why) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestProgressRises(t *testing.T) {
	last, told := -1.0, 0
	if _, _, err := train.Fit(context.Background(), town(2, 40, time.Hour), quick(), func(stage string, share float64) {
		if share < last || share > 1 || stage == "" {
			t.Errorf("%q at %g after %g", stage, share, last)
		}
		last, told = share, told+1
	}); err != nil {
		t.Fatal(err)
	}
	if last != 1 || told < 3 {
		t.Errorf("told %d times, last at %g", told, last)
	}
}
