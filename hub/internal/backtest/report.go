package backtest

import (
	"fmt"
	"strings"
	"time"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// Report is what a backtest found. It encodes as JSON: every number in it is finite.
type Report struct {
	From    meter.Millis  `json:"from_ms"` // first origin
	To      meter.Millis  `json:"to_ms"`   // actuals end before it
	Stride  time.Duration `json:"stride_ns"`
	Horizon time.Duration `json:"horizon_ns"`
	Levels  []float64     `json:"levels"`
	Points  int           `json:"points"` // scored
	Folds   int           `json:"folds"`  // origins scored, over all points
	Scores  []Score       `json:"scores"` // by contender, in the order given
}

// Score is how one contender did.
type Score struct {
	Name   string `json:"name"`
	Model  string `json:"model,omitempty"`
	Failed int    `json:"failed"` // origins it could not forecast from
	Metrics
	Bands []Band `json:"bands"`
}

// Band holds the metrics of leads in [From, To).
type Band struct {
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"`
	Metrics
}

// Metrics are means over points of each point's own figure, so that a kiosk counts as much as a school. A point whose
// figure has no meaning (MASE of one that never changes, shares of one that uses nothing) is left out of that mean.
type Metrics struct {
	MASE     float64 `json:"mase"`     // mean absolute error of the median over that of the weekly seasonal naive in-sample
	NMAE     float64 `json:"nmae"`     // mean absolute error over mean energy
	RMSE     float64 `json:"rmse"`     // root mean squared error, Wh
	NRMSE    float64 `json:"nrmse"`    // the same over mean energy
	NPinball float64 `json:"npinball"` // mean pinball loss over mean energy
	Coverage float64 `json:"coverage"` // share of actuals within the outer levels
	Nominal  float64 `json:"nominal"`  // what that should be
	Bias     float64 `json:"bias"`     // mean of forecast minus actual over mean energy
	Count    int     `json:"count"`    // intervals compared
}

// Of returns the score of a contender.
func (r Report) Of(name string) (Score, bool) {
	for _, s := range r.Scores {
		if s.Name == name {
			return s, true
		}
	}
	return Score{}, false
}

// String returns a table for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d points, %d origins from %s, %s ahead\n", r.Points, r.Folds, r.From, r.Horizon)
	fmt.Fprintf(&b, "%-16s %7s %7s %7s %9s %9s %7s %6s\n", "", "MASE", "nMAE %", "nRMSE %", "npinball %", "covers %", "bias %", "failed")
	for _, s := range r.Scores {
		fmt.Fprintf(&b, "%-16s %7.3f %7.1f %7.1f %9.2f %9.1f %7.1f %6d\n", s.Name, s.MASE, 100*s.NMAE, 100*s.NRMSE, 100*s.NPinball, 100*s.Coverage, 100*s.Bias, s.Failed)
	}
	return b.String()
}

// report sums up the tallies, by point and contender.
func report(contenders []Contender, tallies [][]tally, scales []float64, folds []int, o Options) Report {
	r := Report{From: o.From, To: o.To, Stride: o.Stride, Horizon: o.Horizon, Levels: o.Levels}
	for _, n := range folds {
		r.Folds += n
		if n > 0 {
			r.Points++
		}
	}
	for c, contender := range contenders {
		s := Score{Name: contender.Name, Model: contender.Model}
		whole := make([]forecast.Score, len(tallies))
		parts := make([][]forecast.Score, len(bandEdges)+1)
		for i, ts := range tallies {
			if ts == nil {
				continue
			}
			s.Failed += ts[c].failed
			for b, part := range ts[c].bands {
				whole[i].Merge(part)
				parts[b] = append(parts[b], part)
			}
		}
		s.Metrics = metrics(whole, scales, o.Levels)
		from := time.Duration(0)
		for b := range parts {
			to := o.Horizon
			if b < len(bandEdges) {
				to = min(to, bandEdges[b])
			}
			if from < to {
				s.Bands = append(s.Bands, Band{From: from, To: to, Metrics: metrics(parts[b], scales, o.Levels)})
			}
			from = to
		}
		r.Scores = append(r.Scores, s)
	}
	return r
}

// metrics returns the means over points.
func metrics(points []forecast.Score, scales []float64, levels []float64) Metrics {
	m := Metrics{Nominal: forecast.Nominal(levels)}
	var mase, nmae, rmse, nrmse, pinball, coverage, bias []float64
	for i, s := range points {
		if s.Count == 0 {
			continue
		}
		m.Count += s.Count
		rmse = append(rmse, s.RMSE())
		coverage = append(coverage, s.Coverage())
		if scales[i] > 0 {
			mase = append(mase, s.MAE()/scales[i])
		}
		if mean := s.Mean(); mean > 0 {
			nmae = append(nmae, s.MAE()/mean)
			nrmse = append(nrmse, s.RMSE()/mean)
			pinball = append(pinball, s.MeanPinball()/mean)
			bias = append(bias, s.Bias()/mean)
		}
	}
	m.MASE, m.NMAE, m.RMSE, m.NRMSE = meanOf(mase), meanOf(nmae), meanOf(rmse), meanOf(nrmse)
	m.NPinball, m.Coverage, m.Bias = meanOf(pinball), meanOf(coverage), meanOf(bias)
	return m
}

// meanOf returns the mean, 0 of nothing: reports are written as JSON, which has no NaN.
func meanOf(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	return stat.Mean(x, nil)
}
