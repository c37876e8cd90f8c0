package backtest

import (
	"context"
	"fmt"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Names of the models in a contest.
const (
	Candidate = "candidate"
	Active    = "active"
)

// Outcome is what a contest came to.
type Outcome struct {
	Artifact *model.Artifact // fitted on everything, to be used if Better
	Fit      train.Report    // of Artifact
	Report   Report          // of candidates with the same parameters, each fitted on what came before its fold
	Better   bool
	Reason   string
}

// Days a contest is decided on.
const (
	testDays      = 28
	foldDays      = 14 // a candidate is fitted anew for each
	leastTestDays = 3
	fitShare      = 0.95 // of the time; the backtest takes the rest
	day           = 24 * time.Hour

	// originStride is a day and an hour, so that origins fall on all hours of the day.
	originStride = 25 * time.Hour
)

// Contest fits a candidate on all but the last days, scores it on those beside the active model (nil for none) and the
// baselines, decides, and fits it once more on everything. The test days come in folds of two weeks, and for each the
// candidate is fitted on what came before: a model in service is trained again well before it is that old.
//
// The test days are those the active model has not learnt from, at most 28 and a quarter of the history. Where they are
// fewer than three, the last 28 are used although the active model has seen them, which is to its advantage: the candidate
// must win all the same.
//
// With p.Checkpoint a contest that was killed does no fit again (package train): of the same data and settings it comes to
// the same artifact and the same scores.
func Contest(ctx context.Context, d train.Dataset, p train.Params, active *model.Artifact, tell train.Progress) (Outcome, error) {
	part := func(from, to float64) train.Progress {
		if tell == nil {
			return nil
		}
		return func(stage string, share float64) { tell(stage, from+(to-from)*share) }
	}
	levels := p.Levels
	if len(levels) == 0 {
		levels = forecast.DefaultLevels()
	}
	from, to := testRange(d, active)
	folds := max(1, int((to.Sub(from)+foldDays*day/2)/(foldDays*day)))
	fits := float64(folds + 1) // each takes about as long
	var trials []*model.Artifact
	for i := range folds {
		at := from.Add(time.Duration(i) * foldDays * day)
		trial, _, err := train.Fit(ctx, d.Before(at), p, part(fitShare*float64(i)/fits, fitShare*float64(i+1)/fits))
		if err != nil {
			return Outcome{}, fmt.Errorf("contest: candidate: %w", err)
		}
		trials = append(trials, trial)
	}
	contenders := append([]Contender{Refitted(Candidate, trials, levels)}, Baselines(levels)...)
	if active != nil && active.Resolution == trials[0].Resolution {
		contenders = append(contenders, Artifact(Active, active, levels))
	}
	if tell != nil {
		tell("backtest", fitShare*float64(folds)/fits)
	}
	var out Outcome
	var err error
	out.Report, err = Run(ctx, d, contenders, Options{From: from, To: to, Stride: originStride, Horizon: p.Horizon, Levels: levels, Threads: p.Threads})
	if err != nil {
		return out, fmt.Errorf("contest: %w", err)
	}
	if out.Artifact, out.Fit, err = train.Fit(ctx, d, p, part(1-fitShare/fits, 1)); err != nil {
		return out, fmt.Errorf("contest: %w", err)
	}
	candidate, _ := out.Report.Of(Candidate)
	var incumbent *Score
	if s, ok := out.Report.Of(Active); ok {
		incumbent = &s
	}
	out.Better, out.Reason = Better(candidate, incumbent, out.Report.BestBaseline())
	return out, nil
}

// testRange returns when the test days begin and the data ends.
func testRange(d train.Dataset, active *model.Artifact) (from, to meter.Millis) {
	first, to := d.Range()
	days := min(testDays*day, to.Sub(first)/4)
	from = to.Add(-days)
	if active != nil && active.TrainedTo > from && to.Sub(active.TrainedTo) >= leastTestDays*day {
		from = active.TrainedTo
	}
	return from.Floor(time.Hour), to
}
