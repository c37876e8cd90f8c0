package backtest

import (
	"fmt"
	"math"
)

// How much better a candidate must be. Backtests of a few weeks tell models apart to about a percent.
const (
	baselineMargin = 0.01  // of the best baseline's MASE
	activeMargin   = 0.005 // of the active model's pinball loss
	coverageSlack  = 0.10  // how far coverage may lie from nominal
)

// Better decides whether a candidate earns its place, and says why. It does when, on the same intervals,
//
//   - it forecasts from every origin that the baseline can forecast from,
//   - its median errs clearly less than the better baseline's (MASE), and its quantiles no more (pinball),
//   - its intervals are honest: coverage within ten points of nominal, or nearer to it than the baseline's,
//   - its quantiles err clearly less than the active model's, and its median not clearly more.
//
// The active score is nil when there is no active model. A figure that is no number never wins.
func Better(candidate Score, active, baseline *Score) (bool, string) {
	if candidate.Count == 0 {
		return false, "the candidate was scored on nothing"
	}
	if baseline != nil {
		b := *baseline
		off := math.Abs(candidate.Coverage - candidate.Nominal)
		switch {
		case candidate.Failed > b.Failed:
			return false, fmt.Sprintf("it cannot forecast from %d origins, %s only from %d", candidate.Failed, b.Name, b.Failed)
		case !(candidate.MASE < b.MASE*(1-baselineMargin)):
			return false, fmt.Sprintf("MASE %.3f does not beat %.3f of %s by %g %%", candidate.MASE, b.MASE, b.Name, 100*baselineMargin)
		case !(candidate.NPinball <= b.NPinball):
			return false, fmt.Sprintf("pinball loss %.2f %% is above %.2f %% of %s", 100*candidate.NPinball, 100*b.NPinball, b.Name)
		case !(off <= coverageSlack || off <= math.Abs(b.Coverage-b.Nominal)):
			return false, fmt.Sprintf("intervals cover %.0f %%, nominal are %.0f %%", 100*candidate.Coverage, 100*candidate.Nominal)
		}
	}
	if active != nil && active.Count > 0 {
		switch {
		case !(candidate.NPinball < active.NPinball*(1-activeMargin)):
			return false, fmt.Sprintf("pinball loss %.2f %% does not beat %.2f %% of the active model by %g %%", 100*candidate.NPinball, 100*active.NPinball, 100*activeMargin)
		case !(candidate.MASE <= active.MASE*(1+activeMargin)):
			return false, fmt.Sprintf("MASE %.3f is above %.3f of the active model", candidate.MASE, active.MASE)
		}
	}
	reason := fmt.Sprintf("MASE %.3f", candidate.MASE)
	if baseline != nil {
		reason += fmt.Sprintf(" beats %.3f of %s", baseline.MASE, baseline.Name)
	}
	if active != nil && active.Count > 0 {
		reason += fmt.Sprintf("; pinball loss %.2f %% beats %.2f %% of the active model", 100*candidate.NPinball, 100*active.NPinball)
	}
	return true, reason + fmt.Sprintf("; intervals cover %.0f %%", 100*candidate.Coverage)
}

// BestBaseline returns the baseline with the lower MASE, nil when the report has none.
func (r Report) BestBaseline() *Score {
	var best *Score
	for _, name := range []string{Naive, FourWeek, DayNaive, Similar} {
		if s, ok := r.Of(name); ok && s.Count > 0 && (best == nil || s.MASE < best.MASE) {
			best = &s
		}
	}
	return best
}
