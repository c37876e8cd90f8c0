package watch_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/watch"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

const hour = meter.Millis(3_600_000)

var start = meter.MillisOf(time.Date(2023, 1, 2, 0, 0, 0, 0, time.UTC))

// town returns points of so many weeks, whose use follows hours and weekdays.
func town(points, weeks int) train.Dataset {
	var d train.Dataset
	for p := range points {
		rng := rand.New(rand.NewPCG(uint64(p), 4))
		h := feature.History{Start: start, Resolution: time.Hour, Energy: make([]float64, weeks*168)}
		for i := range h.Energy {
			v := 1000.0
			if i%24 >= 8 && i%24 < 18 && i/24%7 < 5 {
				v = 3000
			}
			h.Energy[i] = math.Round(v * (1 + 0.1*rng.NormFloat64()))
		}
		d.Points = append(d.Points, train.Point{ID: "p" + strconv.Itoa(p), Register: meter.EnergyImport, History: h})
	}
	return d
}

// weekly returns a model that forecasts the mean of the same hour in the last weeks plus an error, and ended learning at an
// instant.
func weekly(t testing.TB, by float64, to meter.Millis) *model.Artifact {
	t.Helper()
	spec, err := feature.ParseSpec("fluxora-features 1\nlead\nweeks mean 4\n")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.NewSeasonal(2, model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{by - 0.2, by, by + 0.2}}, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	return &model.Artifact{ID: "m", Family: model.FamilySeasonal, Spec: spec, Levels: m.Levels(), Resolution: time.Hour, Horizon: 48 * time.Hour, TrainedTo: to, Model: m}
}

func examine(t testing.TB, d train.Dataset, active *model.Artifact) watch.Report {
	t.Helper()
	r, err := watch.Examine(context.Background(), d, active, 2)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAllIsWell(t *testing.T) {
	d := town(3, 60)
	_, end := d.Range()
	r := examine(t, d, weekly(t, 0, end-20*24*hour))
	if why, yes := r.Retrain(); yes {
		t.Errorf("a training is called for: %s", why)
	}
	if r.Model != "m" || r.To != end || len(r.Points) != 3 || r.Live.Days != 20 || r.Live.Intervals != 3*20*24 || math.Abs(r.Live.Skill()) > 0.05 {
		t.Errorf("%+v", r.Live)
	}
	for _, p := range r.Points {
		if p.Live.Days != 20 || p.Residuals.Drifted || !(p.Residuals.Limit > 0) || len(p.Odd) > 0 || len(p.Features) != len(watch.Watched) {
			t.Errorf("%+v", p)
		}
	}
}

func TestAModelThatFailsIsLearntAnew(t *testing.T) {
	d := town(3, 60)
	_, end := d.Range()
	r := examine(t, d, weekly(t, 0.5, end-20*24*hour))
	if why, yes := r.Retrain(); !yes || !strings.Contains(why, "times that of the baseline") {
		t.Errorf("%v %q, live %+v", yes, why, r.Live)
	}
	if r = examine(t, d, weekly(t, 0.5, end-3*24*hour)); r.Live.Days != 3 {
		t.Errorf("%d days are live three days after learning ended", r.Live.Days)
	}
	if _, yes := r.Retrain(); yes {
		t.Error("three days are enough to judge a model by")
	}
}

func TestDriftCallsForATraining(t *testing.T) {
	d := town(4, 60)
	rng := rand.New(rand.NewPCG(1, 1))
	for p := range 2 { // half of the points lose their habits four weeks before the end
		e := d.Points[p].History.Energy
		for i := len(e) - 4*168; i < len(e); i++ {
			e[i] = 4000 * rng.Float64()
		}
	}
	r := examine(t, d, nil)
	why, yes := r.Retrain()
	if !yes || !strings.Contains(why, "weeks") || !r.Points[0].Residuals.Drifted || r.Points[3].Residuals.Drifted {
		t.Errorf("%v %q; %+v, %+v", yes, why, r.Points[0].Residuals, r.Points[3].Residuals)
	}
	if r.Live.Days != 0 {
		t.Errorf("without a model: %+v", r.Live)
	}
}

func TestAnOddDayIsTold(t *testing.T) {
	d := town(2, 60)
	e := d.Points[1].History.Energy
	for i := len(e) - 24 + 2; i < len(e)-24+6; i++ {
		e[i] *= 4
	}
	_, end := d.Range()
	for name, active := range map[string]*model.Artifact{"with a model": weekly(t, 0, end-60*24*hour), "without": nil} {
		r := examine(t, d, active)
		if len(r.Points[0].Odd) != 0 || len(r.Points[1].Odd) != 2 {
			t.Fatalf("%s: %+v and %+v", name, r.Points[0].Odd, r.Points[1].Odd)
		}
		if f := r.Points[1].Odd[0]; !strings.Contains(f.Reason, "times what is usual on Sundays 02:00–06:00") || f.Start != end-22*hour {
			t.Errorf("%s: %+v", name, f)
		}
		if f := r.Points[1].Odd[1]; !strings.Contains(f.Reason, "times the most that was forecast, 02:00–06:00") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestHistoriesThatSayNothing(t *testing.T) {
	d := town(1, 60)
	_, end := d.Range()
	nan := make([]float64, 60*168)
	for i := range nan {
		nan[i] = math.NaN()
	}
	for _, h := range []feature.History{
		{},
		{Start: start, Resolution: time.Hour},
		{Start: start, Resolution: time.Hour, Energy: nan},
		{Start: start, Resolution: time.Hour, Energy: make([]float64, 60*168)},
		{Start: end - 24*hour, Resolution: time.Hour, Energy: []float64{1, 2, 3}},
		{Start: start, Resolution: 15 * time.Minute, Energy: make([]float64, 4*168*60)},
		{Start: start, Resolution: 7 * time.Minute, Energy: make([]float64, 9)},
	} {
		d.Points = append(d.Points, train.Point{ID: "odd", Register: meter.EnergyImport, History: h})
	}
	r := examine(t, d, weekly(t, 0, end-20*24*hour))
	if why, yes := r.Retrain(); yes {
		t.Error(why)
	}
	if _, yes := examine(t, train.Dataset{}, nil).Retrain(); yes {
		t.Error("no points call for a training")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := watch.Examine(ctx, d, nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
