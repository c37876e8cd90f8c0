package feature_test

import (
	"math"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

func TestNewHistoryKeepsOnlyWhatMayBeLearnt(t *testing.T) {
	from := at(t, "2024-06-12T10:00:00Z")
	slot := func(i int) meter.Millis { return from.Add(time.Duration(i) * 15 * time.Minute) }
	in := []interval.Interval{
		{Start: slot(2), Energy: 30},
		{Start: slot(0), Energy: 10},
		{Start: slot(1), Energy: 20, Recovered: true},
		{Start: slot(3), Energy: 40, Quality: meter.Suspect},
		{Start: slot(4), Energy: 50, Quality: meter.Edited},
		{Start: slot(5), Energy: 60, Quality: meter.Estimated},
		{Start: slot(-1), Energy: 70},
		{Start: slot(7), Energy: 80},
	}
	h, err := feature.NewHistory(in, from, slot(7), 15*time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	want := []float64{10, nan, 30, nan, 50, nan, nan}
	if len(h.Energy) != len(want) || h.End() != slot(7) {
		t.Fatalf("%d intervals to %s", len(h.Energy), h.End())
	}
	for i, w := range want {
		if g := h.Energy[i]; g != w && (g == g || w == w) {
			t.Errorf("interval %d: got %g, want %g", i, g, w)
		}
		if g := h.At(slot(i)); g != w && (g == g || w == w) {
			t.Errorf("At(%d): got %g, want %g", i, g, w)
		}
	}
	if v := h.At(slot(-1)); v == v {
		t.Error("a value before the start")
	}
	if _, err := feature.NewHistory([]interval.Interval{{Start: slot(1) + 1}}, from, slot(7), 15*time.Minute, nil); err == nil {
		t.Error("an interval off the grid was taken")
	}
	if _, err := feature.NewHistory(nil, from, slot(7), 0, nil); err == nil {
		t.Error("a resolution of 0 was taken")
	}
	if h, err := feature.NewHistory(in, slot(7), from, 15*time.Minute, nil); err != nil || len(h.Energy) != 0 {
		t.Errorf("an empty range: %d intervals, %v", len(h.Energy), err)
	}
}

func TestSinceAndBefore(t *testing.T) {
	from := at(t, "2024-06-12T10:00:00Z")
	h := feature.History{Start: from, Resolution: hour, Energy: []float64{0, 1, 2, 3}}
	for _, c := range []struct {
		since, before int
		want          []float64
	}{{0, 4, []float64{0, 1, 2, 3}}, {-5, 9, []float64{0, 1, 2, 3}}, {1, 3, []float64{1, 2}}, {4, 4, nil}, {9, 9, nil}, {0, -2, nil}, {3, 1, nil}} {
		g := h.Before(from.Add(time.Duration(c.before) * hour)).Since(from.Add(time.Duration(c.since) * hour))
		if len(g.Energy) != len(c.want) {
			t.Errorf("%+v: got %v", c, g.Energy)
			continue
		}
		for i, w := range c.want {
			if g.Energy[i] != w || h.At(g.Start.Add(time.Duration(i)*hour)) != w {
				t.Errorf("%+v: got %v from %s", c, g.Energy, g.Start)
			}
		}
	}
}
