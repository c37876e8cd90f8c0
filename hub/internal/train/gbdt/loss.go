package gbdt

import (
	"fmt"
	"math"
	"slices"
)

// Loss says what trees are fitted to lessen.
type Loss uint8

// The losses.
const (
	Squared  Loss = iota // the mean; residuals count at most Clip (Huber's loss) where that is not 0
	Absolute             // the median
	Quantile             // the quantile at Level
	Tweedie              // the mean of targets ≥ 0 that are often 0, on a logarithmic scale; the variance grows with power Power of the mean
)

// String returns the name of a loss.
func (l Loss) String() string {
	if names := [...]string{"squared", "absolute", "quantile", "tweedie"}; int(l) < len(names) {
		return names[l]
	}
	return fmt.Sprintf("loss %d", uint8(l))
}

// objective is a loss with its settings.
type objective struct {
	loss         Loss
	level, power float64
	clip         float64
}

func (p Params) objective() objective {
	o := objective{loss: p.Loss, level: p.Level, power: p.Power, clip: p.Clip}
	if p.Loss == Absolute {
		o.level = 0.5
	}
	return o
}

// check returns an error that names a target that the loss cannot be fitted to.
func (o objective) check(target []float64, rows []int32) error {
	sum := 0.0
	for _, r := range rows {
		y := target[r]
		if math.IsNaN(y) || math.IsInf(y, 0) || o.loss == Tweedie && y < 0 {
			return fmt.Errorf("target of row %d is %g: want a finite number, with Tweedie's loss one ≥ 0", r, y)
		}
		sum += y
	}
	if o.loss == Tweedie && !(sum > 0) {
		return fmt.Errorf("all %d targets are 0: Tweedie's loss wants one that is not", len(rows))
	}
	return nil
}

// start returns the best constant. For a median or quantile that many targets equal it is the mean instead: from the
// quantile of a meter that reads zero half of the time, trees would see no error to lessen.
func (o objective) start(target []float64, rows []int32) float64 {
	sum := 0.0
	for _, r := range rows {
		sum += target[r]
	}
	mean := sum / float64(len(rows))
	switch o.loss {
	case Tweedie:
		return math.Log(mean)
	case Absolute, Quantile:
		values := make([]float64, len(rows))
		for i, r := range rows {
			values[i] = target[r]
		}
		q, tied := quantile(values, o.level), 0
		for _, v := range values {
			if v == q {
				tied++
			}
		}
		if 10*tied <= len(values) {
			return q
		}
	}
	return mean
}

// slope returns the negative gradient at a prediction: the direction in which the loss of a row with target y falls.
func (o objective) slope(y, at float64) float64 {
	switch o.loss {
	case Absolute, Quantile:
		switch { // a row that is met has no direction; were it to count as one side, a leaf of zeros and one of much would look the same
		case y > at:
			return o.level
		case y < at:
			return o.level - 1
		}
		return 0
	case Tweedie:
		return float64(y*math.Exp((1-o.power)*at)) - math.Exp((2-o.power)*at)
	}
	d := y - at
	if o.clip > 0 {
		d = max(-o.clip, min(o.clip, d))
	}
	return d
}

// of returns the loss of a row, with squared loss the absolute error: what a reader can compare.
func (o objective) of(y, at float64) float64 {
	switch d := y - at; o.loss {
	case Quantile:
		return max(o.level*d, (o.level-1)*d)
	case Tweedie:
		return math.Exp((2-o.power)*at)/(2-o.power) - float64(y*math.Exp((1-o.power)*at)/(1-o.power))
	default:
		return math.Abs(d)
	}
}

// quantile returns the value at a level between order statistics, and leaves values in another order.
func quantile(values []float64, level float64) float64 {
	at := level * float64(len(values)-1)
	k := int(at)
	low := selectAt(values, k)
	if k+1 == len(values) || at == float64(k) {
		return low
	}
	return low + float64((at-float64(k))*(slices.Min(values[k+1:])-low))
}

// selectAt returns the k-th smallest value and moves those below it before it, the others behind (Hoare's quickselect).
func selectAt(v []float64, k int) float64 {
	lo, hi := 0, len(v)-1
	for lo < hi {
		mid := lo + (hi-lo)/2
		pivot := max(min(v[lo], v[mid]), min(max(v[lo], v[mid]), v[hi])) // the middle one of three
		i, j := lo, hi
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return v[k]
		}
	}
	return v[k]
}
