package forecast_test

import (
	"math"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
)

func TestScore(t *testing.T) {
	levels := []float64{0.1, 0.5, 0.9}
	var s, other forecast.Score
	s.Add(levels, []float64{8, 10, 12}, 12)
	s.Add(levels, []float64{8, 10, 12}, math.NaN())
	other.Add(levels, []float64{8, 10, 12}, 4)
	s.Merge(other)
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"count", float64(s.Count), 2},
		{"mean absolute error", s.MAE(), 4},
		{"root mean squared error", s.RMSE(), math.Sqrt(20)},
		{"bias", s.Bias(), 2},
		{"mean actual", s.Mean(), 8},
		{"coverage", s.Coverage(), 0.5},
		{"breadth", s.Breadth, 8},
		// 12: 0.1·4, 0.5·2, 0; 4: 0.9·4, 0.5·6, 0.1·8
		{"pinball", s.MeanPinball(), ((0.4+1)/3 + (3.6+3+0.8)/3) / 2},
		{"nominal", forecast.Nominal(levels), 0.8},
	} {
		if math.Abs(c.got-c.want) > 1e-12 {
			t.Errorf("%s: got %g, want %g", c.name, c.got, c.want)
		}
	}
	if v := (forecast.Score{}).MAE(); v == v {
		t.Errorf("mean error of nothing: got %g, want NaN", v)
	}
}

func TestPinballIsLeastAtTheQuantile(t *testing.T) {
	loss := func(v float64) float64 {
		sum := 0.0
		for a := 0; a < 100; a++ {
			sum += forecast.Pinball(0.9, v, float64(a))
		}
		return sum
	}
	if !(loss(89.5) < loss(85) && loss(89.5) < loss(95)) {
		t.Errorf("losses %g, %g, %g", loss(85), loss(89.5), loss(95))
	}
}

func TestWeeklyScale(t *testing.T) {
	h := feature.History{Start: start, Resolution: time.Hour, Energy: make([]float64, 3*168)}
	for i := range h.Energy {
		h.Energy[i] = float64(100 * (i / 168))
	}
	h.Energy[170] = math.NaN()
	if got := forecast.WeeklyScale(h, h.End()); got != 100 {
		t.Errorf("got %g, want 100", got)
	}
	if got := forecast.WeeklyScale(h, start.Add(168*time.Hour)); got == got {
		t.Errorf("a single week: got %g, want NaN", got)
	}
}
