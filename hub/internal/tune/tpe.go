package tune

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	firstTrials = 10 // drawn blindly, before there is anything to learn from
	candidates  = 24 // of which the best odds win
	goodShare   = 0.15
	mostGood    = 25
)

// Next returns the values to try as the trial of the given number, from the trials that have ended.
func Next(s Space, trials []Trial, number int, seed uint64) Values {
	rng := rand.New(rand.NewPCG(seed, uint64(number)))
	var ended []Trial
	for _, t := range trials {
		if t.Number != number && t.counts() {
			ended = append(ended, t)
		}
	}
	out := make(Values, len(s))
	if len(ended) < firstTrials {
		for _, p := range s {
			out[p.Name] = p.draw(rng)
		}
		return out
	}
	slices.SortStableFunc(ended, func(a, b Trial) int { return cmp.Or(cmp.Compare(a.Mean(), b.Mean()), cmp.Compare(a.Number, b.Number)) })
	good := min(mostGood, int(math.Ceil(goodShare*float64(len(ended)))))
	for _, p := range s {
		in, rest := newDensity(p, ended[:good]), newDensity(p, ended[good:])
		best, odds := 0.0, math.Inf(-1)
		for range candidates {
			x := in.draw(rng)
			if o := math.Log(in.at(x)) - math.Log(rest.at(x)); o > odds {
				best, odds = x, o
			}
		}
		out[p.Name] = best
	}
	return out
}

// density is how likely each value of one setting is among some trials: a mixture of a normal curve around each, cut off at the
// ends, and of one as wide as the whole span, so that nothing is ever ruled out.
type density struct {
	p         Param
	low, high float64
	centre    []float64
	width     []float64
	share     []float64 // of choices
}

func newDensity(p Param, trials []Trial) density {
	d := density{p: p}
	if n := len(p.Choices); n > 0 {
		d.share = make([]float64, n)
		for i := range d.share {
			d.share[i] = 1 / (float64(len(trials)) + 1) / float64(n)
		}
		for _, t := range trials {
			d.share[int(t.Values[p.Name])] += 1 / (float64(len(trials)) + 1)
		}
		return d
	}
	d.low, d.high = p.span()
	for _, t := range trials {
		d.centre = append(d.centre, p.place(t.Values[p.Name]))
	}
	slices.Sort(d.centre)
	span := d.high - d.low
	least := span / min(100, float64(len(trials)+2))
	for i, c := range d.centre { // as wide as the way to the farther neighbour
		before, after := d.low, d.high
		if i > 0 {
			before = d.centre[i-1]
		}
		if i+1 < len(d.centre) {
			after = d.centre[i+1]
		}
		d.width = append(d.width, max(least, min(span, max(c-before, after-c))))
	}
	d.centre, d.width = append(d.centre, (d.low+d.high)/2), append(d.width, span)
	return d
}

// draw returns a value, as likely as d says.
func (d density) draw(rng *rand.Rand) float64 {
	if d.share != nil {
		u := rng.Float64()
		for i, s := range d.share {
			if u -= s; u < 0 {
				return float64(i)
			}
		}
		return float64(len(d.share) - 1)
	}
	i := rng.IntN(len(d.centre))
	for range 100 {
		if x := d.centre[i] + d.width[i]*rng.NormFloat64(); x >= d.low && x <= d.high {
			return d.p.value(x)
		}
	}
	return d.p.value(d.centre[i])
}

// at returns how likely a value is; only ratios have a meaning.
func (d density) at(v float64) float64 {
	if d.share != nil {
		return d.share[int(v)]
	}
	x, sum := d.p.place(v), 0.0
	for i, c := range d.centre {
		z := (x - c) / d.width[i]
		inside := normal((d.high-c)/d.width[i]) - normal((d.low-c)/d.width[i])
		sum += math.Exp(-z*z/2) / (d.width[i] * inside)
	}
	return sum / float64(len(d.centre))
}

// normal is the distribution function of the normal distribution.
func normal(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }
