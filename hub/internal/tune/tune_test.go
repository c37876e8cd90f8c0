package tune_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"

	"fluxora.dev/hub/internal/tune"
)

// memory is a Keeper for one process.
type memory struct {
	mu     sync.Mutex
	trials []tune.Trial
	dead   map[int]bool // running trials whose process is gone
}

func (m *memory) Trials(context.Context) ([]tune.Trial, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.trials), nil
}

func (m *memory) Put(_ context.Context, t tune.Trial) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t.Folds = slices.Clone(t.Folds)
	m.trials[t.Number] = t
	return nil
}

func (m *memory) Begin(_ context.Context, next func([]tune.Trial, int) tune.Values) (tune.Trial, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, t := range m.trials {
		if t.State == tune.Running && m.dead[i] {
			delete(m.dead, i)
			m.trials[i].Folds = nil
			return m.trials[i], nil
		}
	}
	t := tune.Trial{Number: len(m.trials), State: tune.Running, Values: next(slices.Clone(m.trials), len(m.trials))}
	m.trials = append(m.trials, t)
	return t, nil
}

func space() tune.Space {
	return tune.Space{
		{Name: "rate", Low: 1e-4, High: 1, Log: true},
		{Name: "leaves", Low: 2, High: 200, Whole: true, Log: true},
		{Name: "share", Low: 0, High: 1},
		{Name: "loss", Choices: []string{"squared", "absolute", "huber"}},
	}
}

// bowl is least, 0, at rate 0.03, 40 leaves, share 0.7 and the second loss.
func bowl(_ context.Context, v tune.Values, fold int) (float64, error) {
	sq := func(x float64) float64 { return x * x }
	s := sq(math.Log10(v["rate"]/0.03)) + sq(math.Log(v["leaves"]/40)) + 4*sq(v["share"]-0.7)
	if v["loss"] != 1 {
		s += 1
	}
	return s + 0.01*float64(fold), nil
}

func search(t *testing.T, seed uint64, trials int) ([]tune.Trial, tune.Trial) {
	t.Helper()
	m := &memory{}
	best, err := tune.Run(context.Background(), m, tune.Options{Space: space(), Seed: seed, Trials: trials, Folds: 3}, bowl)
	if err != nil {
		t.Fatal(err)
	}
	return m.trials, best
}

func TestFindsWhatBlindDrawsDoNot(t *testing.T) {
	wins := 0
	const seeds, trials = 15, 80
	for seed := range uint64(seeds) {
		all, best := search(t, seed, trials)
		blind := math.Inf(1)
		for n := range trials { // numbers without history: each is drawn blindly
			v := tune.Next(space(), nil, n, seed)
			if err := space().Holds(v); err != nil {
				t.Fatal(err)
			}
			s, _ := bowl(context.Background(), v, 1)
			blind = min(blind, s)
		}
		for _, a := range all {
			if err := space().Holds(a.Values); err != nil {
				t.Fatalf("seed %d trial %d: %v", seed, a.Number, err)
			}
		}
		if best.Score < blind {
			wins++
		}
	}
	if wins < 12 {
		t.Errorf("better than as many blind draws for %d of %d seeds: want at least 12", wins, seeds)
	}
}

func TestGoesOnAsIfNeverStopped(t *testing.T) {
	whole, _ := search(t, 7, 40)
	m := &memory{dead: map[int]bool{}}
	calls, died := 0, 0
	for {
		ctx, cancel := context.WithCancelCause(context.Background())
		gone := errors.New("killed")
		_, err := tune.Run(ctx, m, tune.Options{Space: space(), Seed: 7, Trials: 40, Folds: 3}, func(ctx context.Context, v tune.Values, fold int) (float64, error) {
			if calls++; calls%13 == 0 {
				cancel(gone)
			}
			return bowl(ctx, v, fold)
		})
		cancel(nil)
		if err == nil {
			break
		}
		if !errors.Is(err, gone) {
			t.Fatal(err)
		}
		died++
		for i, tr := range m.trials {
			m.dead[i] = tr.State == tune.Running
		}
	}
	if died == 0 || !reflect.DeepEqual(whole, m.trials) {
		t.Errorf("after %d stops the study differs from the one without", died)
	}
}

func TestGivesUpWhatIsWorseThanTheMedian(t *testing.T) {
	all, _ := search(t, 3, 60)
	pruned, saved := 0, 0
	for _, tr := range all {
		if tr.State == tune.Pruned {
			pruned++
			saved += 3 - len(tr.Folds)
		}
	}
	if pruned < 10 || saved < pruned {
		t.Errorf("%d of 60 trials given up, %d folds saved: want a fair part", pruned, saved)
	}
	done := []tune.Trial{}
	for i := range 5 {
		done = append(done, tune.Trial{Number: i, State: tune.Done, Folds: []float64{float64(i), float64(i)}})
	}
	for _, c := range []struct {
		folds []float64
		want  bool
	}{{nil, false}, {[]float64{2}, false}, {[]float64{2.1}, true}, {[]float64{4, 0}, false}, {[]float64{math.NaN()}, true}} {
		if got := tune.Prune(tune.Trial{Number: 9, Folds: c.folds}, done); got != c.want {
			t.Errorf("folds %v: given up %v, want %v", c.folds, got, c.want)
		}
	}
	if tune.Prune(tune.Trial{Number: 9, Folds: []float64{9}}, done[:4]) {
		t.Error("given up against four trials")
	}
}

func TestFailedTrialsAreNoAnswer(t *testing.T) {
	boom := errors.New("out of range")
	_, err := tune.Run(context.Background(), &memory{}, tune.Options{Space: space(), Trials: 4, Folds: 2}, func(context.Context, tune.Values, int) (float64, error) {
		return 0, boom
	})
	if !errors.Is(err, tune.ErrHopeless) {
		t.Errorf("got %v", err)
	}
	n := 0
	best, err := tune.Run(context.Background(), &memory{}, tune.Options{Space: space(), Trials: 20, Folds: 2}, func(_ context.Context, v tune.Values, fold int) (float64, error) {
		n++
		switch n % 4 {
		case 1:
			return math.NaN(), nil
		case 2:
			return 0, boom
		}
		return bowl(context.Background(), v, fold)
	})
	if err != nil || best.Score != best.Score || best.State != tune.Done {
		t.Errorf("got %+v, %v", best, err)
	}
}

func TestSpacesThatCannotBeSearched(t *testing.T) {
	for name, s := range map[string]tune.Space{
		"empty":         {},
		"no name":       {{Low: 0, High: 1}},
		"twice":         {{Name: "a", Low: 0, High: 1}, {Name: "a", Low: 0, High: 1}},
		"turned round":  {{Name: "a", Low: 1, High: 0}},
		"not a number":  {{Name: "a", Low: math.NaN(), High: 1}},
		"endless":       {{Name: "a", Low: 0, High: math.Inf(1)}},
		"ratios from 0": {{Name: "a", Low: 0, High: 1, Log: true}},
		"half":          {{Name: "a", Low: 0.5, High: 3, Whole: true}},
		"one choice":    {{Name: "a", Choices: []string{"x"}}},
	} {
		if err := s.Check(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := tune.Run(context.Background(), &memory{}, tune.Options{Space: space()}, bowl); err == nil {
		t.Error("no trials: no error")
	}
}

// Two workers on one study begin different trials.
func TestTwoWorkersShareAStudy(t *testing.T) {
	m := &memory{}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := tune.Run(context.Background(), m, tune.Options{Space: space(), Seed: 1, Trials: 30, Folds: 2}, bowl); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, tr := range m.trials {
		if tr.Number != i || tr.State == tune.Running {
			t.Errorf("trial %d: %+v", i, tr)
		}
	}
	if n := len(m.trials); n < 30 || n > 31 {
		t.Errorf("%d trials: want 30, or 31 when both began one at the end", n)
	}
}
