package forecast

import (
	"math"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Score adds up how forecasts compare with actuals, in Wh. The zero value is empty.
type Score struct {
	Count   int     // intervals compared
	Actual  float64 // sum of actuals
	AbsErr  float64 // sums over the errors of the middle level: absolute, squared and signed (forecast minus actual)
	SquErr  float64
	Err     float64
	Pinball float64 // sum of the mean pinball loss over the levels
	Covered int     // actuals between the lowest and the highest level, both included
	Breadth float64 // sum of the highest minus the lowest level
}

// Add compares one interval: its quantiles, ascending like the levels, with what happened. An unknown actual is ignored.
func (s *Score) Add(levels, values []float64, actual float64) {
	if actual != actual {
		return
	}
	middle := 0
	loss := 0.0
	for i, l := range levels {
		loss += Pinball(l, values[i], actual)
		if math.Abs(l-0.5) < math.Abs(levels[middle]-0.5) {
			middle = i
		}
	}
	e := values[middle] - actual
	low, high := values[0], values[len(levels)-1]
	s.Count++
	s.Actual += actual
	s.AbsErr += math.Abs(e)
	s.SquErr += e * e
	s.Err += e
	s.Pinball += loss / float64(len(levels))
	s.Breadth += high - low
	if low <= actual && actual <= high {
		s.Covered++
	}
}

// Merge adds o to s.
func (s *Score) Merge(o Score) {
	s.Count += o.Count
	s.Actual += o.Actual
	s.AbsErr += o.AbsErr
	s.SquErr += o.SquErr
	s.Err += o.Err
	s.Pinball += o.Pinball
	s.Covered += o.Covered
	s.Breadth += o.Breadth
}

// MAE returns the mean absolute error, NaN when nothing was compared. So do the methods below.
func (s Score) MAE() float64 { return s.AbsErr / float64(s.Count) }

// RMSE returns the root of the mean squared error.
func (s Score) RMSE() float64 { return math.Sqrt(s.SquErr / float64(s.Count)) }

// Bias returns the mean of forecast minus actual.
func (s Score) Bias() float64 { return s.Err / float64(s.Count) }

// Mean returns the mean actual.
func (s Score) Mean() float64 { return s.Actual / float64(s.Count) }

// MeanPinball returns the mean pinball loss.
func (s Score) MeanPinball() float64 { return s.Pinball / float64(s.Count) }

// Coverage returns the share of actuals within the outer levels.
func (s Score) Coverage() float64 { return float64(s.Covered) / float64(s.Count) }

// Nominal returns the coverage that the levels promise.
func Nominal(levels []float64) float64 { return levels[len(levels)-1] - levels[0] }

// Pinball returns the loss of a quantile at a level: its mean is least where the level says the quantile is.
func Pinball(level, value, actual float64) float64 {
	if actual >= value {
		return level * (actual - value)
	}
	return (1 - level) * (value - actual)
}

// WeeklyScale returns the mean absolute difference of h from itself a week before, over what ends before t: the error of
// the seasonal naive forecast, which MASE divides by (Hyndman and Koehler, 2006). It is NaN when nothing can be compared.
func WeeklyScale(h feature.History, t meter.Millis) float64 {
	h = h.Before(t)
	week := int(7 * 24 * time.Hour / h.Resolution)
	sum, n := 0.0, 0
	for i := week; i < len(h.Energy); i++ {
		if d := math.Abs(h.Energy[i] - h.Energy[i-week]); d == d {
			sum += d
			n++
		}
	}
	return sum / float64(n)
}
