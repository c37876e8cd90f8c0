package watch_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fluxora.dev/agent/internal/watch"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

const day = 24 * time.Hour

// office is a history of 120 days that begins on a Monday, the last of them with a night that is four times as usual.
func office() feature.History {
	rng := rand.New(rand.NewPCG(1, 2))
	h := feature.History{Start: meter.MillisOf(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)), Resolution: time.Hour, Energy: make([]float64, 120*24)}
	for i := range h.Energy {
		v := 1000.0
		if i%24 >= 8 && i%24 < 18 && i/24%7 < 5 {
			v = 3000
		}
		if i >= 119*24+2 && i < 119*24+6 {
			v *= 4
		}
		h.Energy[i] = math.Round(v * (1 + 0.1*rng.NormFloat64()))
	}
	return h
}

type histories struct {
	h   feature.History
	err error
}

func (m histories) History(_ string, _ meter.Register, from, to meter.Millis) (feature.History, error) {
	return m.h.Before(to).Since(from), m.err
}

type models struct{ active *model.Artifact }

func (m models) Models(time.Duration) (active, previous *model.Artifact) { return m.active, nil }

// panics is a model that does.
type panics struct{ model.Model }

func (panics) Predict([]float32, int, []float64) { panic("index out of range") }

// weekly forecasts the mean of the same hour in the last weeks plus an error.
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
	return &model.Artifact{ID: "m", Spec: spec, Levels: m.Levels(), Resolution: time.Hour, Horizon: 2 * day, TrainedTo: to, Model: m}
}

func TestADayIsExaminedOnce(t *testing.T) {
	h := office()
	var log bytes.Buffer
	w := watch.New(histories{h: h}, models{weekly(t, 0, h.End().Add(-20*day))}, slog.New(slog.NewTextHandler(&log, nil)))
	target := watch.Target{Point: "main", Register: meter.EnergyImport, Resolution: time.Hour, Closed: h.End()}
	found := w.Examine(target)
	if len(found) != 2 || !strings.Contains(found[0].Reason, "times what is usual on Mondays 02:00–06:00") || w.Findings() != 2 || !strings.Contains(log.String(), "02:00–06:00") {
		t.Errorf("%+v, %s", found, &log)
	}
	if p := w.Points(); len(p) != 1 || p[0].Point != "main" || p[0].Live.Days != 20 || math.Abs(p[0].Live.Skill()) > 0.1 {
		t.Errorf("%+v", p)
	}
	target.Closed = target.Closed.Add(5 * time.Hour) // no new day yet
	if again := w.Examine(target); len(again) != 0 || w.Findings() != 2 {
		t.Errorf("a second time: %+v", again)
	}
}

func TestAModelThatFailsIsTold(t *testing.T) {
	h := office()
	var log bytes.Buffer
	w := watch.New(histories{h: h}, models{weekly(t, 1, h.End().Add(-20*day))}, slog.New(slog.NewTextHandler(&log, nil)))
	w.Examine(watch.Target{Point: "main", Register: meter.EnergyImport, Resolution: time.Hour, Closed: h.End()})
	if !strings.Contains(log.String(), "worse than the baseline") || w.Points()[0].Live.Skill() > 0 {
		t.Errorf("%s", &log)
	}
}

func TestNothingTakesTheAgentDown(t *testing.T) {
	h := office()
	target := watch.Target{Point: "main", Register: meter.EnergyImport, Resolution: time.Hour, Closed: h.End()}
	bad := weekly(t, 0, h.Start)
	bad.Model = panics{bad.Model}
	for name, w := range map[string]*watch.Watch{
		"a model that panics": watch.New(histories{h: h}, models{bad}, slog.New(slog.DiscardHandler)),
		"no models":           watch.New(histories{h: h}, nil, slog.New(slog.DiscardHandler)),
		"no history":          watch.New(histories{err: errors.New("disk")}, nil, slog.New(slog.DiscardHandler)),
		"an empty history":    watch.New(histories{}, models{weekly(t, 0, 0)}, slog.New(slog.DiscardHandler)),
	} {
		w.Examine(target)
		for _, p := range w.Points() {
			if p.Live.Days != 0 {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if got := w.Untold(9); got != nil {
			t.Errorf("%s: to be told %+v", name, got)
		}
	}
	var none *watch.Watch
	if none.Points() != nil || none.Findings() != 0 {
		t.Error("no watch has found something")
	}
}

func TestTheHubIsToldOfEachDayOnce(t *testing.T) {
	h := office()
	end := h.End()
	past := &histories{h: h}
	w := watch.New(past, models{weekly(t, 0, end.Add(-20*day))}, slog.New(slog.DiscardHandler))
	examine := func(closed meter.Millis) {
		w.Examine(watch.Target{Point: "main", Register: meter.EnergyImport, Resolution: time.Hour, Closed: closed})
	}
	if got := w.Untold(100); got != nil {
		t.Errorf("before anything was examined: %+v", got)
	}
	examine(end.Add(-2 * day))
	first := w.Untold(5)
	if len(first) != 5 || first[0].Point != "main" || first[0].Day.Model.Count != 24 || first[0].Day.Baseline.Count != 24 || first[0].Start != end.Add(-20*day) {
		t.Fatalf("%+v", first)
	}
	w.Told(first)
	rest := w.Untold(100)
	if len(rest) != 13 || rest[0].Start != end.Add(-15*day) {
		t.Fatalf("%d days are left, from %s: want 13", len(rest), rest[0].Start)
	}
	w.Told(rest)
	if got := w.Untold(100); got != nil {
		t.Errorf("a second time: %+v", got)
	}
	past.h.Energy[len(past.h.Energy)-10*24] += 500 // a late correction, ten days back
	examine(end.Add(-day))
	got := w.Untold(100)
	if len(got) < 2 || len(got) > 12 || got[len(got)-1].Start != end.Add(-2*day) {
		t.Fatalf("after a correction and a new day: %+v", got)
	}
	if got[0].Start != end.Add(-10*day) {
		t.Errorf("the first day told again is %s, want the corrected one", got[0].Start)
	}
	old := got[0]
	old.Day.Model.AbsErr++
	w.Told([]watch.Day{old}) // as it is no longer
	if again := w.Untold(100); len(again) != len(got) {
		t.Errorf("%d days are left, want %d: an ack of old figures is none of the new", len(again), len(got))
	}
	var none *watch.Watch
	none.Told(got)
	if none.Untold(1) != nil {
		t.Error("no watch has something to tell")
	}
}
