package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The states of a trial.
const (
	Running = "running"
	Done    = "done"
	Pruned  = "pruned" // given up early
	Failed  = "failed" // could not be scored; its values are not tried again on purpose
)

// Trial is one set of values and how it did.
type Trial struct {
	Number int       // from 0
	Values Values    //
	State  string    //
	Folds  []float64 // score of each fold so far, in the order of folds
	Score  float64   // mean over the folds, when Done
	Reason string    // why it Failed
}

// counts reports whether the search can learn from t.
func (t Trial) counts() bool {
	v := t.Mean()
	return (t.State == Done || t.State == Pruned) && v == v
}

// Mean returns the mean score over the folds that were scored, NaN without any.
func (t Trial) Mean() float64 { return meanTo(t.Folds, len(t.Folds)) }

func meanTo(folds []float64, n int) float64 {
	if n == 0 || n > len(folds) {
		return math.NaN()
	}
	sum := 0.0
	for _, f := range folds[:n] {
		sum += f
	}
	return sum / float64(n)
}

// Best returns the trial with the lowest score among those that were done.
func Best(trials []Trial) (Trial, bool) {
	best, found := Trial{}, false
	for _, t := range trials {
		if t.State == Done && t.Score == t.Score && (!found || t.Score < best.Score) {
			best, found = t, true
		}
	}
	return best, found
}

const (
	unprunedTrials = 5 // must be done before any is given up
	surelyBad      = 1 // folds that a trial is scored on in any case
)

// Prune reports whether a trial should be given up after its folds so far.
func Prune(t Trial, others []Trial) bool {
	n := len(t.Folds)
	if n < surelyBad {
		return false
	}
	var at []float64
	done := 0
	for _, o := range others {
		if o.Number == t.Number || !o.counts() {
			continue
		}
		if o.State == Done {
			done++
		}
		if m := meanTo(o.Folds, n); m == m {
			at = append(at, m)
		}
	}
	if done < unprunedTrials || len(at) == 0 {
		return false
	}
	slices.Sort(at)
	median := at[len(at)/2]
	if len(at)%2 == 0 {
		median = (at[len(at)/2-1] + at[len(at)/2]) / 2
	}
	m := t.Mean()
	return m != m || m > median
}

// Keeper keeps the trials of one study. Several processes may work on one study through it.
type Keeper interface {
	// Begin stores a new running trial, whose values it asks next for, and returns it. next is given all trials so far and the
	// new trial's number, and must be called while no other process can begin one. A running trial whose process is dead is
	// handed out again instead, without its folds.
	Begin(ctx context.Context, next func(trials []Trial, number int) Values) (Trial, error)
	// Trials returns all trials, by number.
	Trials(ctx context.Context) ([]Trial, error)
	// Put stores how a trial stands.
	Put(ctx context.Context, t Trial) error
}

// Options are the settings of a search.
type Options struct {
	Space  Space
	Seed   uint64
	Trials int // in the study, those of earlier runs included
	Folds  int
	Watch  func(Trial) // called when a trial has ended; may be nil
}

// ErrHopeless says that not one trial could be scored.
var ErrHopeless = errors.New("no trial could be scored")

// Run works on a study until it has so many trials and returns the best. score fits and scores one fold, numbered from 0; an error
// fails the trial, not the study, unless ctx has ended.
func Run(ctx context.Context, k Keeper, o Options, score func(ctx context.Context, v Values, fold int) (float64, error)) (Trial, error) {
	if err := o.Space.Check(); err != nil {
		return Trial{}, err
	}
	if o.Folds < 1 || o.Trials < 1 {
		return Trial{}, fmt.Errorf("tune: %d trials of %d folds: want at least one of each", o.Trials, o.Folds)
	}
	space := o.Space.clone()
	for {
		trials, err := k.Trials(ctx)
		if err != nil {
			return Trial{}, fmt.Errorf("tune: %w", err)
		}
		if ended(trials) >= o.Trials {
			return best(trials)
		}
		t, err := k.Begin(ctx, func(trials []Trial, number int) Values { return Next(space, trials, number, o.Seed) })
		if err != nil {
			return Trial{}, fmt.Errorf("tune: %w", err)
		}
		if t, err = carryOut(ctx, k, t, o, score); err != nil {
			return Trial{}, err
		}
		if o.Watch != nil {
			o.Watch(t)
		}
	}
}

func ended(trials []Trial) int {
	n := 0
	for _, t := range trials {
		if t.State != Running {
			n++
		}
	}
	return n
}

func best(trials []Trial) (Trial, error) {
	t, ok := Best(trials)
	if !ok {
		why := ErrHopeless
		for _, t := range trials {
			if t.Reason != "" {
				why = fmt.Errorf("%w: trial %d: %s", ErrHopeless, t.Number, t.Reason)
			}
		}
		return t, why
	}
	return t, nil
}

// carryOut scores one trial fold by fold, and stores how it stands after each.
func carryOut(ctx context.Context, k Keeper, t Trial, o Options, score func(context.Context, Values, int) (float64, error)) (Trial, error) {
	for fold := range o.Folds {
		s, err := score(ctx, t.Values, fold)
		if ctx.Err() != nil {
			return t, context.Cause(ctx) // it stays running and is tried again
		}
		if err == nil && (s != s || math.IsInf(s, 0)) {
			err = fmt.Errorf("fold %d: its score is %g", fold, s)
		}
		if err != nil {
			t.State, t.Reason = Failed, err.Error()
			return t, k.Put(ctx, t)
		}
		t.Folds = append(t.Folds, s)
		if fold+1 < o.Folds {
			others, err := k.Trials(ctx)
			if err != nil {
				return t, fmt.Errorf("tune: %w", err)
			}
			if Prune(t, others) {
				t.State = Pruned
			}
		} else {
			t.State, t.Score = Done, t.Mean()
		}
		if err := k.Put(ctx, t); err != nil {
			return t, fmt.Errorf("tune: %w", err)
		}
		if t.State != Running {
			break
		}
	}
	return t, nil
}
