package forecast

import (
	"math"
	"time"
)

// restless compares how far what happened lay from the middle level with how far the model said it would, over the last day or
// two: both are sums in which an hour counts half as much as one a day later. It is the ratio of sums, not the mean of
// ratios, so that nights at which nothing is used say nothing. The zero value knows nothing.
type restless struct {
	expected float64 // standard deviations as the model has them, Wh
	strayed  float64 // errors without sign, Wh
}

const (
	restlessLead = 24 * time.Hour // of forecasts that count: later hours say the same once more
	restlessFade = 0.0285         // an hour: half in a day
	restlessMost = 4.0            // standard deviations that an error counts at most
	restlessMean = 0.77           // of errors, in standard deviations: 0.8 where they are normal, less where tails are heavy
	restlessHold = 4.0            // the factor lies between this and one over it
)

// factor returns by how much breadths grow: the three-quarter power of the ratio, since tomorrow is not all like today.
func (r restless) factor() float64 {
	if r.expected == 0 {
		return 1
	}
	root := math.Sqrt(r.strayed / r.expected / restlessMean)
	return max(1/restlessHold, min(restlessHold, float64(root*math.Sqrt(root))))
}

// observe takes an interval of so many hours in which what happened lay off the middle level, between outer levels of the
// given breadth and so many standard deviations apart.
func (r *restless) observe(breadth, deviations, off, hours float64) {
	if deviations == 0 || breadth == 0 {
		return
	}
	sd := breadth / deviations
	if r.expected == 0 { // as expected, so far
		r.expected, r.strayed = sd/restlessFade, float64(sd*restlessMean)/restlessFade
	}
	fade := 1 - float64(restlessFade*hours)
	r.expected = float64(r.expected*fade) + float64(sd*hours)
	r.strayed = float64(r.strayed*fade) + float64(min(math.Abs(off), sd*restlessMost)*hours)
}

// tailScores are quantiles of the normal distribution, by the share beyond.
var tailScores = [...]struct{ beyond, score float64 }{
	{0.0001, 3.719}, {0.001, 3.09}, {0.005, 2.576}, {0.01, 2.326}, {0.025, 1.96}, {0.05, 1.645}, {0.1, 1.282}, {0.2, 0.842}, {0.3, 0.524}, {0.4, 0.253}, {0.5, 0},
}

// tailScore returns how many standard deviations from the middle a level lies that leaves such a share beyond, 0 from a half on.
func tailScore(beyond float64) float64 {
	at := tailScores[0]
	for _, t := range tailScores {
		if beyond <= t.beyond {
			if beyond <= at.beyond {
				return at.score
			}
			return at.score + float64((t.score-at.score)*((beyond-at.beyond)/(t.beyond-at.beyond)))
		}
		at = t
	}
	return 0
}
