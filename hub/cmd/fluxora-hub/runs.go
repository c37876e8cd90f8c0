package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/app"
)

type runListCmd struct {
	Limit int `default:"20" help:"How many at most."`
}

func (c runListCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		runs, err := a.TrainingRuns(i.ctx, c.Limit)
		if err != nil {
			return err
		}
		return i.print(runs, func(w io.Writer) {
			fmt.Fprintln(w, "RUN\tREQUESTED\tRESOLUTION\tCAUSE\tSTATE\tOUTCOME\tMASE\t")
			for _, r := range runs {
				state := r.State
				if r.State == "running" {
					state = fmt.Sprintf("%s %.0f %%%s", r.Stage, r.Percent, left(r.Left))
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Run, r.Requested.Format(time.RFC3339), r.Resolution, r.Cause, state, r.Outcome, firstMASE(r.Scores))
			}
		})
	})
}

func firstMASE(ss []app.Score) string {
	if len(ss) == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", ss[0].MASE)
}

type runShowCmd struct {
	ID uuid.UUID `arg:"" name:"run" help:"Id of the training, as in run list."`
}

func (c runShowCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		r, err := a.TrainingRun(i.ctx, c.ID)
		if err != nil {
			return err
		}
		return i.print(r, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s %s, attempt %d, asked for %s (%s)\n", r.Run, r.State, r.Outcome, r.Attempt, r.Requested.Format(time.RFC3339), r.Cause)
			if r.Reason != "" {
				fmt.Fprintln(w, r.Reason)
			}
			if r.From != nil && r.To != nil {
				fmt.Fprintf(w, "history %s to %s, features %.12s, code %s\n", r.From.UTC().Format(time.RFC3339), r.To.UTC().Format(time.RFC3339), r.Spec, r.Code)
			}
			if r.Model != nil {
				fmt.Fprintf(w, "model %s\n", r.Model)
			}
			scores(w, r.Scores)
			if s := r.WarmStart; s != nil && s.Model != "" {
				fmt.Fprintf(w, "went on from %d trees of model %s\n", s.Trees, s.Model)
			} else if s != nil {
				fmt.Fprintf(w, "began from nothing: %s\n", s.Why)
			}
			important(w, r.Importance)
			fmt.Fprintf(w, "settings %s\n", compact(r.Params))
		})
	})
}

// mostShown is how many features a run shows.
const mostShown = 10

func important(w io.Writer, of []app.Importance) {
	if len(of) == 0 {
		return
	}
	fmt.Fprintln(w, "FEATURE\tIMPORTANCE %")
	for _, f := range of[:min(mostShown, len(of))] {
		fmt.Fprintf(w, "%s\t%.1f\n", f.Feature, 100*f.Share)
	}
}

func compact(b json.RawMessage) string {
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return string(b)
	}
	return out.String()
}

type runCompareCmd struct {
	Runs []uuid.UUID `arg:"" help:"Ids of two trainings or more."`
}

func (c runCompareCmd) Run(i *invocation) error {
	if len(c.Runs) < 2 {
		return fmt.Errorf("one run: want at least two to compare")
	}
	return i.admin(func(a *app.Admin) error {
		var runs []app.TrainingRun
		facts := make([]map[string]string, len(c.Runs))
		for k, id := range c.Runs {
			r, err := a.TrainingRun(i.ctx, id)
			if err != nil {
				return err
			}
			runs = append(runs, r)
			if facts[k], err = factsOf(r); err != nil {
				return err
			}
		}
		return i.print(runs, func(w io.Writer) { compare(w, runs, facts) })
	})
}

// compare prints what differs between runs, and all their scores.
func compare(w io.Writer, runs []app.TrainingRun, facts []map[string]string) {
	fmt.Fprint(w, "\t")
	for _, r := range runs {
		fmt.Fprintf(w, "%s\t", r.Run)
	}
	fmt.Fprintln(w)
	names := map[string]bool{}
	for _, f := range facts {
		for n := range f {
			names[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		row, differs := []string{n}, strings.HasPrefix(n, "score ")
		for _, f := range facts {
			row = append(row, f[n])
			differs = differs || f[n] != facts[0][n]
		}
		if differs {
			fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
		}
	}
}

// factsOf returns everything about a run that can be set beside that of another.
func factsOf(r app.TrainingRun) (map[string]string, error) {
	f := map[string]string{"code": r.Code, "features": fmt.Sprintf("%.12s", r.Spec), "outcome": r.Outcome, "resolution": r.Resolution.String()}
	for name, t := range map[string]*time.Time{"history from": r.From, "history to": r.To} {
		if t != nil {
			f[name] = t.UTC().Format(time.RFC3339)
		}
	}
	for _, s := range r.Scores {
		f["score "+s.Contender+" MASE"] = fmt.Sprintf("%.4f", s.MASE)
		f["score "+s.Contender+" pinball %"] = fmt.Sprintf("%.3f", 100*s.NPinball)
		f["score "+s.Contender+" covers %"] = fmt.Sprintf("%.1f", 100*s.Coverage)
	}
	var params any
	if err := json.Unmarshal(r.Params, &params); err != nil {
		return nil, fmt.Errorf("settings of run %s: %w", r.Run, err)
	}
	flatten("setting ", params, f)
	return f, nil
}

func flatten(name string, v any, into map[string]string) {
	if m, ok := v.(map[string]any); ok {
		for k, e := range m {
			flatten(strings.TrimSuffix(name, ".")+sep(name)+k, e, into)
		}
		return
	}
	into[name] = fmt.Sprint(v)
}

func sep(name string) string {
	if strings.HasSuffix(name, " ") {
		return ""
	}
	return "."
}

type runSettingsCmd struct {
	Family string `arg:"" optional:"" help:"Only settings of this family, and those of all."`
}

func (c runSettingsCmd) Run(i *invocation) error {
	all := slices.DeleteFunc(app.TrainingSettings(), func(s app.TrainingSetting) bool {
		return c.Family != "" && s.Family() != "" && s.Family() != c.Family
	})
	return i.print(all, func(w io.Writer) {
		fmt.Fprintln(w, "SETTING\tDEFAULT\tMEANING\tWANT")
		for _, s := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, s.Default, s.Meaning, s.Want)
		}
	})
}

type runCancelCmd struct {
	ID     uuid.UUID `arg:"" name:"run" help:"Id of the training."`
	Reason string    `default:"cancelled by hand" help:"Kept with the training."`
}

func (c runCancelCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		if err := a.CancelRun(i.ctx, c.ID, c.Reason); err != nil {
			return err
		}
		return i.print(map[string]any{"cancelled": c.ID}, func(w io.Writer) { fmt.Fprintf(w, "training %s is cancelled\n", c.ID) })
	})
}

type runExportCmd struct {
	ID uuid.UUID `arg:"" name:"run" help:"Id of the training."`
}

func (c runExportCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		id, err := a.ExportRun(i.ctx, c.ID)
		if err != nil {
			return err
		}
		return i.print(map[string]string{"mlflow_run": id}, func(w io.Writer) { fmt.Fprintf(w, "it is run %s there\n", id) })
	})
}
