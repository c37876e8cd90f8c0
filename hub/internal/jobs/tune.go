package jobs

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/backtest"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/tune"
	"fluxora.dev/shared/meter"
)

const (
	tuneFolds   = 3
	tuneFold    = 14 * 24 * time.Hour // that each fold is scored on
	trialSilent = 15 * time.Minute    // without a fold, after which a trial's process counts as dead
)

// Tuning is a search for settings.
type Tuning struct {
	Org        uuid.UUID
	Resolution time.Duration
	Family     string
	Trials     int // of the study, those of earlier calls included
	Seed       uint64
	Watch      func(tune.Trial) // when a trial has ended; may be nil
}

// Tune searches for settings of a family on folds at the end of the history that was there when the study began, goes on with the study that
// another call left unfinished, and may be called by several processes at once: they share the trials. What it found is used by all later
// trainings. The score is the mean pinball loss over mean energy, less being better; each fold is scored by a model that was fitted on
// what came before it.
func (e *Engine) Tune(ctx context.Context, t Tuning) (store.Study, tune.Trial, error) {
	fail := func(err error) (store.Study, tune.Trial, error) {
		return store.Study{}, tune.Trial{}, fmt.Errorf("tune %s: %w", t.Family, err)
	}
	space, err := train.Space(t.Family)
	if err != nil {
		return fail(err)
	}
	d, _, err := load(ctx, e.Store, t.Org, t.Resolution, e.History, func(string, float64) {})
	if err != nil {
		return fail(err)
	}
	if len(d.Points) == 0 {
		return fail(fmt.Errorf("%w: there are no intervals of resolution %s", ErrNothing, t.Resolution))
	}
	_, to := d.Range()
	study, err := e.Store.OpenStudy(ctx, t.Org, store.Study{
		Resolution: t.Resolution, Family: t.Family, Seed: t.Seed, Space: space, Trials: t.Trials, Folds: tuneFolds, TrainedTo: to.Time(),
	})
	if err != nil {
		return fail(err)
	}
	d = d.Before(meter.MillisOf(study.TrainedTo))
	best, err := tune.Run(ctx, e.Store.StudyTrials(t.Org, study.ID, trialSilent), tune.Options{
		Space: study.Space, Seed: study.Seed, Trials: study.Trials, Folds: study.Folds, Watch: t.Watch,
	}, func(ctx context.Context, v tune.Values, fold int) (float64, error) {
		return e.scoreFold(ctx, d, t.Family, v, study.Folds-fold)
	})
	if err != nil {
		return fail(err)
	}
	if err := e.Store.FinishStudy(ctx, t.Org, study.ID, best.Values); err != nil {
		return fail(err)
	}
	study.Best = best.Values
	return study, best, nil
}

// scoreFold fits with some values on what lies before the back-th fold from the end, and scores that fold.
func (e *Engine) scoreFold(ctx context.Context, d train.Dataset, family string, v tune.Values, back int) (float64, error) {
	p, err := train.Set(train.Params{Family: family, Threads: e.Threads}, family, v)
	if err != nil {
		return math.NaN(), err
	}
	_, end := d.Range()
	from := end.Add(-time.Duration(back) * tuneFold).Floor(time.Hour)
	art, _, err := train.Fit(ctx, d.Before(from), p, nil)
	if err != nil {
		return math.NaN(), err
	}
	r, err := backtest.Run(ctx, d, []backtest.Contender{backtest.Artifact(backtest.Candidate, art, nil)}, backtest.Options{
		From: from, To: from.Add(tuneFold), Stride: originStride, Threads: e.Threads,
	})
	if err != nil {
		return math.NaN(), err
	}
	s, _ := r.Of(backtest.Candidate)
	return s.NPinball, nil
}

// tuned returns p with the settings that the last searches found for the families. Settings of a space that this version does not know are
// passed over, with a word in the log.
func (e *Engine) tuned(ctx context.Context, org uuid.UUID, resolution time.Duration, p train.Params) (train.Params, error) {
	for _, family := range train.Tunable() {
		v, err := e.Store.TunedValues(ctx, org, resolution, family)
		if err != nil {
			return p, err
		}
		if v == nil {
			continue
		}
		if q, err := train.Set(p, family, v); err == nil {
			p = q
		} else if e.Log != nil {
			e.Log.WarnContext(ctx, "settings found by an older search are not used", "error", err)
		}
	}
	return p, nil
}
