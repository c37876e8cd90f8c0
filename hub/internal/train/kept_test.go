package train_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// keeper is a Checkpoint in memory that may die at a Save.
type keeper struct {
	bodies map[string][]byte
	saved  []string
	dieAt  int // the Save, from 1 on, at which the process is killed; 0: none
}

var errKilled = errors.New("killed")

func (s *keeper) Load(key string) ([]byte, error) { return s.bodies[key], nil }

func (s *keeper) Save(key string, body []byte) error {
	if s.saved = append(s.saved, key); len(s.saved) == s.dieAt {
		return errKilled
	}
	s.bodies[key] = bytes.Clone(body)
	return nil
}

func TestAKilledFitGoesOn(t *testing.T) {
	d := town(2, 60, time.Hour)
	p := train.Params{Family: train.Selected, Members: []string{model.FamilySeasonal, model.FamilyLinear}, Threads: 2, MaxRows: 4000}
	encode := func(a *model.Artifact, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b, err := model.Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	fit := func(d train.Dataset, p train.Params, s *keeper) (*model.Artifact, train.Report, error) {
		p.Checkpoint = s
		return train.Fit(context.Background(), d, p, nil)
	}
	plain, report, err := train.Fit(t.Context(), d, p, nil)
	want := encode(plain, err)
	s := &keeper{bodies: map[string][]byte{}}
	for attempt := 1; ; attempt++ { // each saves one fit and dies at the next
		s.dieAt = len(s.saved) + 2
		a, r, err := fit(d, p, s)
		if errors.Is(err, errKilled) && attempt < 10 {
			continue
		}
		if got := encode(a, err); !bytes.Equal(got, want) || a.ID != plain.ID || r.HeldLoss != report.HeldLoss || r.Preparation != report.Preparation {
			t.Errorf("fitted in %d attempts: another artifact or report: %+v, want %+v", attempt, r, report)
		}
		break
	}
	if len(s.bodies) != 7 || len(s.saved) > 14 { // two families, each twice, one of them to young points too, and the whole
		t.Errorf("kept %v, saved %v", len(s.bodies), s.saved)
	}
	s.saved, s.dieAt = nil, 0
	if got := encode(first(fit(d, p, s))); !bytes.Equal(got, want) || s.saved != nil {
		t.Errorf("asked again, it fitted %v", s.saved)
	}
	p.Threads = 1
	if got := encode(first(fit(d, p, s))); !bytes.Equal(got, want) || s.saved != nil {
		t.Errorf("with another number of threads it fitted %v", s.saved)
	}

	for name, change := range map[string]func(*train.Dataset, *train.Params){
		"one energy":  func(d *train.Dataset, _ *train.Params) { d.Points[1].History.Energy[100]++ },
		"a hole":      func(d *train.Dataset, _ *train.Params) { d.Points[1].History.Energy[100] = math.NaN() },
		"a vacation":  func(d *train.Dataset, _ *train.Params) { d.Points[0].History.Site = &feature.Site{Country: "NO"} },
		"the seed":    func(_ *train.Dataset, p *train.Params) { p.Seed = 9 },
		"a penalty":   func(_ *train.Dataset, p *train.Params) { p.Linear.Penalty = 7 },
		"the members": func(_ *train.Dataset, p *train.Params) { p.Members = p.Members[:1] },
	} {
		d, p := train.Dataset{Points: slices.Clone(d.Points)}, p
		for i := range d.Points {
			d.Points[i].History.Energy = slices.Clone(d.Points[i].History.Energy)
		}
		change(&d, &p)
		s.saved = nil
		if _, _, err := fit(d, p, s); err != nil || len(s.saved) == 0 {
			t.Errorf("%s is another: taken as kept, %v", name, err)
		}
	}
	for key := range s.bodies {
		s.bodies[key] = s.bodies[key][:len(s.bodies[key])/2]
	}
	s.saved = nil
	if got := encode(first(fit(d, p, s))); !bytes.Equal(got, want) || len(s.saved) != 7 {
		t.Errorf("what is damaged: fitted %v", s.saved)
	}
	for _, key := range s.saved {
		if !strings.HasPrefix(key, "fit-") || len(key) > 100 {
			t.Errorf("key %q", key)
		}
	}
}

func first(a *model.Artifact, _ train.Report, err error) (*model.Artifact, error) { return a, err }
