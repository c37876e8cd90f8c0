package train

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Fitted is what a study made of one family.
type Fitted struct {
	Artifact *model.Artifact // fitted to everything
	Trial    *model.Artifact // fitted to what lies before Study.Cut, and so honest about what came after
	Report   Report
	CPU      time.Duration // of the process while Artifact was fitted, rows included
}

// Study is what a fit of several families to the same rows found.
type Study struct {
	Cut    meter.Millis // the trials have learnt from nothing at or after it
	Points int          // with at least one row
	Fitted map[string]Fitted

	// What the trials came to on the days after Cut: mean absolute error over the weekly seasonal naive one, mean of points.
	// That of the ensemble is by weights learnt on the other half of those days.
	Loss     map[string]float64
	Selected string // the family, or ensemble, of least loss

	rows   []float32 // a few, to measure prediction with
	sample int
}

// Sample returns some rows of the table, laid end to end.
func (s Study) Sample() (rows []float32, n int) { return s.rows, s.sample }

// Families lists the names of the families that can be fitted, sorted: ensemble among them, which mixes the others.
func Families() []string {
	all := append(slices.Collect(maps.Keys(fitters())), model.FamilyEnsemble)
	slices.Sort(all)
	return all
}

// Selected names, in Params.Family, the family or ensemble that does best on the days after its trial had ended learning.
const Selected = "selected"

// QuickFamilies lists the families that are fitted within a minute or two, and leave little to the others.
func QuickFamilies() []string {
	return []string{model.FamilyBoosted, model.FamilyGBDT, model.FamilyLinear, model.FamilySeasonal}
}

// FitAll fits several families, QuickFamilies without any, to the rows of one table, and mixes them: each twice, to the history before its latest part, and to all of it.
func FitAll(ctx context.Context, d Dataset, p Params, families []string, tell Progress) (Study, error) {
	p = p.withDefaults()
	s := Study{Fitted: map[string]Fitted{}}
	if err := p.check(d); err != nil {
		return s, err
	}
	for _, f := range families {
		if !slices.Contains(Families(), f) {
			return s, fmt.Errorf("train: family %q: want one of %v", f, Families())
		}
	}
	members := slices.DeleteFunc(slices.Clone(families), func(name string) bool { return name == model.FamilyEnsemble })
	if len(members) == 0 {
		members = QuickFamilies()
	}
	if from, to := d.Range(); slices.Contains(members, model.FamilyAdditive) && to.Sub(from) >= yearNeeded {
		p.Spec = withYear(p.Spec)
	}
	p.Spec = withPast(p.Spec, members)
	if g := groupsOf(p); g.Count() > 1 && !p.Settled {
		p.young = youngOf(members)
	}
	tell.tell("rows", 0)
	began := ProcessCPU()
	t, err := newTable(ctx, d, p)
	if err != nil {
		return s, fmt.Errorf("train: %w", err)
	}
	forRows := ProcessCPU() - began
	past, err := t.before(t.trialCut(p), p)
	if err != nil {
		return s, fmt.Errorf("train: %w", err)
	}
	s.Cut, s.Points = past.to, t.points
	s.sample = min(t.len(), 2400)
	s.rows = slices.Clone(t.rows[:s.sample*t.width])
	done, all := 0.0, costOf(model.FamilyEnsemble)
	for _, name := range members {
		all += costOf(name)
	}
	for _, name := range members {
		q := p
		q.Family = name
		cost := costOf(name)
		stage := func(name string, from float64) Progress {
			return func(part string, share float64) {
				tell.tell(name+": "+part, (done+(from+share/2)*cost)/all)
			}
		}
		var f Fitted
		if f.Trial, _, err = fitOn(ctx, past, q, stage(name+", trial", 0)); err != nil {
			return s, err
		}
		began := ProcessCPU()
		if f.Artifact, f.Report, err = fitOn(ctx, t, q, stage(name, 0.5)); err != nil {
			return s, err
		}
		f.Artifact.Growth = f.Trial.Growth // as found on days that the trial has not learnt from
		f.CPU = ProcessCPU() - began + forRows
		s.Fitted[name] = f
		done += cost
	}
	tell.tell("ensemble", done/all)
	began = ProcessCPU()
	youngTrials, youngFinals, err := fitYoung(ctx, past, t, p, tell)
	if err != nil {
		return s, err
	}
	if err := s.mix(t, p, members, youngTrials, youngFinals); err != nil {
		return s, fmt.Errorf("train ensemble: %w", err)
	}
	if f, ok := s.Fitted[model.FamilyEnsemble]; ok {
		f.CPU = ProcessCPU() - began
		for _, m := range members {
			f.CPU += s.Fitted[m].CPU
		}
		s.Fitted[model.FamilyEnsemble] = f
	}
	return s, nil
}

// costOf returns about how long a family takes to fit, beside others, so that people can be told the time that is left: CPU
// seconds for 150,000 rows, to each of the two tables.
func costOf(family string) float64 {
	switch family {
	case model.FamilySeasonal:
		return 1
	case model.FamilyLinear, model.FamilyAdditive, model.FamilyBoosted, model.FamilyWeeks, model.FamilyEnsemble:
		return 5
	}
	return 20
}

// fitOn fits the family that p names to a table.
func fitOn(ctx context.Context, t *table, p Params, tell Progress) (*model.Artifact, Report, error) {
	name := fmt.Sprintf("%s-%d", p.Family, t.to)
	if t.ofYoung {
		name += "-young"
	}
	return p.kept(name, func() (*model.Artifact, Report, error) { return fitFamily(ctx, t, p, tell) })
}

// fitFamily does so, whether or not it was done before.
func fitFamily(ctx context.Context, t *table, p Params, tell Progress) (*model.Artifact, Report, error) {
	began := time.Now()
	r := Report{Family: p.Family, Points: t.points, Rows: len(t.fit) + len(t.held), HeldRows: len(t.held), Skipped: t.skipped, Preparation: t.met}
	fit := fitters()[p.Family]
	if p.Points == Own && !learnsFromAll(p.Family) {
		fit = apart(fit)
	}
	m, err := fit(ctx, t, p, tell, &r)
	if err != nil {
		return nil, r, fmt.Errorf("train %s: %w", p.Family, err)
	}
	a := t.artifact(p, m)
	tell.tell("done", 1)
	r.ElapsedMs = time.Since(began).Milliseconds()
	return a, r, nil
}

// trialCut returns when the part of a table begins that trials are judged on.
func (t *table) trialCut(p Params) meter.Millis {
	return t.to.Add(-min(trialDays, t.to.Sub(t.from)/4))
}

const trialDays = 56 * 24 * time.Hour

// artifact packs a model that was fitted to a table.
func (t *table) artifact(p Params, m model.Model) *model.Artifact {
	family := p.Family
	if _, ok := m.(*model.ByPoint); ok {
		family = model.FamilyByPoint
	}
	a := &model.Artifact{
		Family: family, Spec: p.Spec, Levels: p.Levels, Resolution: t.resolution, Horizon: p.Horizon,
		TrainedFrom: t.from, TrainedTo: t.to, Points: t.points, Rows: len(t.fit) + len(t.held), Model: m,
	}
	a.Growth = growthOf(a, t.aged)
	a.AddVectors(t.rows, t.len(), 32)
	return a
}
