package backtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/backtest"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

const start = meter.Millis(1_704_067_200_000)

// street returns points of so many days whose level drifts, which a model can follow and a weekly mean cannot.
func street(points, days int) train.Dataset {
	var d train.Dataset
	for p := range points {
		rng := rand.New(rand.NewPCG(uint64(p), 8))
		h := feature.History{Start: start, Resolution: time.Hour, Energy: make([]float64, days*24)}
		drift := 1.0
		for i := range h.Energy {
			if i%24 == 0 {
				drift = max(0.5, min(2, drift*(1+0.15*rng.NormFloat64())))
			}
			at := start.Add(time.Duration(i) * time.Hour).Time()
			v := 300.0
			if hr := at.Hour(); hr >= 7 && hr < 19 && at.Weekday() != time.Sunday {
				v = 900
			}
			h.Energy[i] = math.Round(drift * v * (1 + 0.05*rng.NormFloat64()))
		}
		d.Points = append(d.Points, train.Point{ID: "p" + strconv.Itoa(p), Register: meter.EnergyImport, History: h})
	}
	return d
}

// constant forecasts an actual it knows plus an error.
func constant(name string, d train.Dataset, err float64) backtest.Contender {
	return backtest.Contender{Name: name, New: func() backtest.Make {
		return func(_ feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error) {
			f := forecast.Forecast{Point: p.ID, Origin: origin, Resolution: p.History.Resolution, Levels: forecast.DefaultLevels()}
			for s := range horizon {
				v := p.History.At(origin.Add(time.Duration(s)*p.History.Resolution)) + err
				f.Values = append(f.Values, v-10, v, v+10)
			}
			return f, nil
		}
	}}
}

func TestScoresAreWhatTheyShouldBe(t *testing.T) {
	d := street(3, 40)
	from := start.Add(30 * 24 * time.Hour)
	r, err := backtest.Run(context.Background(), d, []backtest.Contender{constant("right", d, 0), constant("off", d, 50)}, backtest.Options{From: from})
	if err != nil {
		t.Fatal(err)
	}
	if r.Folds != 30 || r.Points != 3 {
		t.Errorf("%d folds of %d points, want 30 of 3", r.Folds, r.Points)
	}
	right, _ := r.Of("right")
	if right.MASE != 0 || right.NMAE != 0 || right.Coverage != 1 || right.Bias != 0 || right.Nominal != 0.8 || right.Count != 3*(9*48+24) {
		t.Errorf("a perfect forecast scores %+v", right)
	}
	off, _ := r.Of("off")
	want := 0.0
	for _, p := range d.Points {
		want += 50 / forecast.WeeklyScale(p.History, from) / 3
	}
	if math.Abs(off.MASE-want) > 1e-9 || math.Abs(off.RMSE-50) > 1e-9 || off.Coverage != 0 || off.Bias <= 0 {
		t.Errorf("a forecast 50 Wh off scores %+v, want a MASE of %g", off, want)
	}
	if n := len(off.Bands); n != 3 || off.Bands[0].To != 6*time.Hour || off.Bands[0].Count != 3*10*6 || off.Bands[2].Count != 3*9*24 {
		t.Errorf("bands: %+v", off.Bands)
	}
	if _, ok := r.Of("nobody"); ok {
		t.Error("a score of nobody")
	}
	if !strings.Contains(r.String(), "right") {
		t.Error("the table lacks a contender")
	}
}

func TestContendersSeeOnlyThePast(t *testing.T) {
	d := street(2, 40)
	spy := backtest.Contender{Name: "spy", New: func() backtest.Make {
		return func(h feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error) {
			if h.End() > origin {
				t.Errorf("a history to %s was given for origin %s", h.End(), origin)
			}
			return forecast.MakeNaive(h, p.ID, p.Register, origin, horizon, nil, origin)
		}
	}}
	if _, err := backtest.Run(context.Background(), d, []backtest.Contender{spy}, backtest.Options{From: start.Add(20 * 24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
}

func TestFailuresAreCountedAndScoredForNone(t *testing.T) {
	d := street(2, 40)
	boom := errors.New("boom")
	flaky := backtest.Contender{Name: "flaky", New: func() backtest.Make {
		n := 0
		good := constant("", d, 0).New()
		return func(h feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error) {
			if n++; n%2 == 0 {
				return forecast.Forecast{}, boom
			}
			return good(h, p, origin, horizon)
		}
	}}
	r, err := backtest.Run(context.Background(), d, []backtest.Contender{flaky, constant("right", d, 0)}, backtest.Options{From: start.Add(30 * 24 * time.Hour), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := r.Of("flaky")
	o, _ := r.Of("right")
	if f.Failed != 10 || o.Failed != 0 || f.Count != o.Count || r.Folds != 10 {
		t.Errorf("failed %d and %d, counted %d and %d in %d folds", f.Failed, o.Failed, f.Count, o.Count, r.Folds)
	}
	never := backtest.Contender{Name: "never", New: func() backtest.Make {
		return func(feature.History, train.Point, meter.Millis, int) (forecast.Forecast, error) {
			return forecast.Forecast{}, boom
		}
	}}
	if _, err := backtest.Run(context.Background(), d, []backtest.Contender{never}, backtest.Options{From: start}); !errors.Is(err, backtest.ErrNothing) || !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if _, err := backtest.Run(context.Background(), train.Dataset{}, []backtest.Contender{never}, backtest.Options{}); !errors.Is(err, backtest.ErrNothing) {
		t.Errorf("no points: got %v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(boom)
	if _, err := backtest.Run(ctx, d, []backtest.Contender{constant("right", d, 0)}, backtest.Options{From: start}); !errors.Is(err, boom) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestReportOfDeadMetersIsJSON(t *testing.T) {
	d := street(1, 40)
	for i := range d.Points[0].History.Energy {
		d.Points[0].History.Energy[i] = 0
	}
	r, err := backtest.Run(context.Background(), d, backtest.Baselines(forecast.DefaultLevels()), backtest.Options{From: start.Add(30 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if s, _ := r.Of(backtest.Naive); s.MASE != 0 || s.Coverage != 1 {
		t.Errorf("%+v", s)
	}
}

func TestBetter(t *testing.T) {
	score := func(name string, mase, pinball, coverage float64, failed int) *backtest.Score {
		return &backtest.Score{Name: name, Failed: failed, Metrics: backtest.Metrics{MASE: mase, NPinball: pinball, Coverage: coverage, Nominal: 0.8, Count: 1000}}
	}
	base := score("four-week-mean", 1, 0.05, 0.78, 2)
	nan := math.NaN()
	for _, c := range []struct {
		name              string
		candidate, active *backtest.Score
		baseline          *backtest.Score
		want              bool
		why               string
	}{
		{"first and better", score("c", 0.8, 0.04, 0.8, 0), nil, base, true, "beats 1.000 of four-week-mean"},
		{"first of all, no baseline", score("c", 0.8, 0.04, 0.8, 0), nil, nil, true, "MASE"},
		{"as good as the baseline", score("c", 0.995, 0.05, 0.8, 0), nil, base, false, "does not beat"},
		{"worse than the baseline", score("c", 1.2, 0.06, 0.8, 0), nil, base, false, "does not beat"},
		{"better median, worse quantiles", score("c", 0.9, 0.051, 0.8, 0), nil, base, false, "pinball"},
		{"fails more often", score("c", 0.8, 0.04, 0.8, 3), nil, base, false, "cannot forecast"},
		{"intervals too narrow", score("c", 0.8, 0.04, 0.6, 0), nil, base, false, "cover 60 %"},
		{"intervals too wide", score("c", 0.8, 0.04, 0.95, 0), nil, base, false, "cover 95 %"},
		{"better than the active", score("c", 0.8, 0.04, 0.8, 0), score("a", 0.85, 0.043, 0.8, 0), base, true, "of the active model"},
		{"no better than the active", score("c", 0.8, 0.04, 0.8, 0), score("a", 0.8, 0.04, 0.8, 0), base, false, "active"},
		{"better quantiles, worse median than the active", score("c", 0.85, 0.039, 0.8, 0), score("a", 0.8, 0.04, 0.8, 0), base, false, "active"},
		{"beats the active but not the baseline", score("c", 1.1, 0.06, 0.8, 0), score("a", 1.3, 0.08, 0.8, 0), base, false, "four-week-mean"},
		{"active could not be scored", score("c", 0.8, 0.04, 0.8, 0), &backtest.Score{}, base, true, "beats"},
		{"no numbers", score("c", nan, nan, nan, 0), nil, base, false, ""},
		{"no numbers against the active", score("c", nan, nan, 0.8, 0), score("a", 0.8, 0.04, 0.8, 0), nil, false, ""},
		{"scored on nothing", &backtest.Score{}, nil, base, false, "nothing"},
	} {
		got, why := backtest.Better(*c.candidate, c.active, c.baseline)
		if got != c.want || !strings.Contains(why, c.why) {
			t.Errorf("%s: got %v, %q", c.name, got, why)
		}
	}
}

func TestContest(t *testing.T) {
	d := street(4, 80)
	p := train.Params{Threads: 2, Trees: gbdt.Defaults(), MaxRows: 8000}
	p.Trees.Trees, p.Trees.Leaves = 30, 8
	first, err := backtest.Contest(context.Background(), d.Before(start.Add(75*24*time.Hour)), p, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\n%s", first.Reason, first.Report)
	if !first.Better {
		t.Errorf("a model that can follow the level is not promoted: %s", first.Reason)
	}
	if first.Artifact.TrainedTo != start.Add(75*24*time.Hour) {
		t.Errorf("trained to %s", first.Artifact.TrainedTo)
	}
	last := -1.0
	again, err := backtest.Contest(context.Background(), d, p, first.Artifact, func(_ string, share float64) {
		if share < last {
			t.Errorf("progress fell from %g to %g", last, share)
		}
		last = share
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\n%s", again.Reason, again.Report)
	if again.Report.From != first.Artifact.TrainedTo {
		t.Errorf("tested from %s, want from the end of what the active model has learnt from, %s", again.Report.From, first.Artifact.TrainedTo)
	}
	if _, ok := again.Report.Of(backtest.Active); !ok || last != 1 {
		t.Errorf("the active model was not scored, or progress ended at %g", last)
	}
	if _, err := backtest.Contest(context.Background(), street(1, 2), p, nil, nil); !errors.Is(err, train.ErrTooLittle) {
		t.Errorf("two days: got %v", err)
	}
}
