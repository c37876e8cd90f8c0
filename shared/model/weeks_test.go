package model_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// weeksOf returns lines of random weights over the first columns after the lead.
func weeksOf(rng *rand.Rand, features int, bands model.Bands) (*model.Weeks, error) {
	s := model.Scatter{Bands: bands, Spread: anchor(rng, bands, 1, 0), LeastSpread: 0.01}
	var lines []model.PastLine
	for _, hours := range []int{30, 8} {
		l := model.PastLine{Hours: hours, Steps: 48}
		for range l.Steps * (hours + 1) {
			l.Weights = append(l.Weights, (rng.Float32()-0.5)/8)
		}
		lines = append(lines, l)
	}
	past := make([]int, 30)
	for i := range past {
		past[i] = i + 1
	}
	return model.NewWeeks(features, s, past, 1, lines)
}

// echo returns a model of two stretches that repeats what was a day before, over a lead and so many hours.
func echo(t *testing.T, hours ...int) *model.Weeks {
	t.Helper()
	past := make([]int, hours[0])
	for i := range past {
		past[i] = 1 + i
	}
	var lines []model.PastLine
	for _, n := range hours {
		l := model.PastLine{Hours: n, Steps: 48, Weights: make([]float32, 48*(n+1))}
		for s := range l.Steps {
			l.Weights[s*(n+1)+n-24+s%24] = 1
		}
		lines = append(lines, l)
	}
	m, err := model.NewWeeks(hours[0]+1, model.Scatter{Bands: model.Bands{Levels: []float64{0.5}, Z: []float64{0}}}, past, 1, lines)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWeeksRepeatsADay(t *testing.T) {
	m := echo(t, 72, 24)
	for _, known := range []int{72, 60, 30, 24, 13} {
		rows := make([]float32, 73*60)
		for r := range 60 {
			row := rows[r*73 : (r+1)*73]
			row[0] = float32(r)
			for i := range 72 {
				row[1+i] = feature.Missing
				if i >= 72-known {
					row[1+i] = 5 + float32(i%24)
				}
			}
		}
		out := make([]float64, 60)
		m.Predict(rows, 60, out)
		for r, v := range out {
			if hour := r % 24; known >= 24 && math.Abs(v-5-float64(hour)) > 1e-4 {
				t.Fatalf("%d hours known, lead %d: %g, want %d", known, r, v, 5+hour)
			}
			if !(v > 0 && v < 40) {
				t.Fatalf("%d hours known, lead %d: %g", known, r, v)
			}
		}
	}
}

func TestWeeksWithoutAPastSaysTheMean(t *testing.T) {
	m := echo(t, 24)
	row, out := make([]float32, 25), make([]float64, 1)
	for i := range row {
		row[i] = feature.Missing
	}
	row[0] = 3
	if m.Predict(row, 1, out); out[0] != 1 {
		t.Errorf("nothing known: %g, want 1", out[0])
	}
	for i := range 24 {
		row[1+i] = 0
	}
	if m.Predict(row, 1, out); out[0] > 1e-6 {
		t.Errorf("a point that reads zero: %g", out[0])
	}
}

func TestWeeksRefusesWhatDoesNotFit(t *testing.T) {
	s := model.Scatter{Bands: model.Bands{Levels: []float64{0.5}, Z: []float64{0}}}
	good := []model.PastLine{{Hours: 2, Steps: 1, Weights: make([]float32, 3)}}
	for name, tc := range map[string]struct {
		past    []int
		perHour int
		lines   []model.PastLine
	}{
		"no hours":         {nil, 1, good},
		"column outside":   {[]int{1, 3}, 1, good},
		"no lines":         {[]int{1, 2}, 1, nil},
		"no steps an hour": {[]int{1, 2}, 0, good},
		"too few weights":  {[]int{1, 2}, 1, []model.PastLine{{Hours: 2, Steps: 2, Weights: make([]float32, 3)}}},
		"hours not known":  {[]int{1}, 1, good},
		"not descending":   {[]int{1, 2}, 1, []model.PastLine{good[0], good[0]}},
		"weight NaN":       {[]int{1, 2}, 1, []model.PastLine{{Hours: 1, Steps: 1, Weights: []float32{0, float32(math.NaN())}}}},
	} {
		if _, err := model.NewWeeks(3, s, tc.past, tc.perHour, tc.lines); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
