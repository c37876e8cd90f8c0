package main

import (
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/app"
)

type trainCmd struct {
	Resolution time.Duration     `help:"Resolution to train for; that of site.resolution without it."`
	Spec       string            `placeholder:"NAME" help:"Features to learn from: default, a name, name@version, or a file as ./spec.txt."`
	With       map[string]string `placeholder:"SETTING=VALUE" mapsep:"none" help:"A setting of this training, as --with gbdt.loss=tweedie. May be repeated; run settings lists them."`
}

func (c trainCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		end, err := a.Train(i.ctx, resolutionOr(c.Resolution, i), app.TrainingOrder{Settings: c.With, Spec: c.Spec}, func(t app.Training) {
			if !i.json && t.State == "running" {
				fmt.Fprintf(i.stdout, "%3.0f %%  %s%s\n", t.Percent, t.Stage, left(t.Left))
			}
		})
		if err != nil {
			return err
		}
		if err := i.print(end, func(w io.Writer) {
			scores(w, end.Scores)
			fmt.Fprintf(w, "%s: %s\n", end.Outcome, end.Reason)
		}); err != nil {
			return err
		}
		if end.State == "cancelled" {
			return fmt.Errorf("training was cancelled: %s", end.Reason)
		}
		if end.State == "failed" {
			return fmt.Errorf("training failed after %d attempts: %s", end.Attempt, end.Reason)
		}
		return nil
	})
}

// left says how long something still takes, when there is an estimate.
func left(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return ", about " + d.Round(time.Second).String() + " left"
}

type workCmd struct{}

func (workCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error { return a.Work(i.ctx) })
}

type tuneCmd struct {
	Family     string        `default:"gbdt" help:"Family whose settings are searched."`
	Trials     int           `default:"40" help:"Trials of the search, those of an interrupted call included."`
	Seed       uint64        `default:"1" help:"Of a new search."`
	Resolution time.Duration `help:"Resolution of the history; that of site.resolution without it."`
}

func (c tuneCmd) Run(i *invocation) error {
	if c.Trials < 1 || c.Trials > 10_000 {
		return fmt.Errorf("--trials %d: want 1 to 10000", c.Trials)
	}
	return i.admin(func(a *app.Admin) error {
		study, best, err := a.Tune(i.ctx, resolutionOr(c.Resolution, i), c.Family, c.Trials, c.Seed, func(t app.Trial) {
			if !i.json {
				fmt.Fprintf(i.stdout, "trial %d %s after %d folds, pinball %.3f %% %s\n", t.Number, t.State, len(t.Folds), 100*t.Mean(), t.Reason)
			}
		})
		if err != nil {
			return err
		}
		return i.print(study, func(w io.Writer) {
			fmt.Fprintf(w, "trial %d is best, pinball %.3f %% of the mean energy; trainings use its settings from now on:\n", best.Number, 100*best.Score)
			for _, p := range study.Space {
				fmt.Fprintf(w, "%s\t%s\n", p.Name, p.Describe(best.Values[p.Name]))
			}
		})
	})
}

type rollBackCmd struct {
	Resolution time.Duration `help:"Resolution of the model; that of site.resolution without it."`
	Reason     string        `default:"rolled back by hand" help:"Kept with the model that is retired."`
}

func (c rollBackCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		id, err := a.RollBack(i.ctx, resolutionOr(c.Resolution, i), c.Reason)
		if err != nil {
			return err
		}
		return i.print(map[string]uuid.UUID{"active": id}, func(w io.Writer) { fmt.Fprintf(w, "model %s is active again\n", id) })
	})
}

func resolutionOr(d time.Duration, i *invocation) time.Duration {
	if d == 0 {
		return i.o.Config.Site.Resolution
	}
	return d
}

func scores(w io.Writer, ss []app.Score) {
	if len(ss) == 0 {
		return
	}
	fmt.Fprintln(w, "\tMASE\tnMAE %\tpinball %\tcovers %\tof\tbias %")
	for _, s := range ss {
		fmt.Fprintf(w, "%s\t%.3f\t%.1f\t%.2f\t%.1f\t%.0f\t%+.1f\n", s.Contender, s.MASE, 100*s.NMAE, 100*s.NPinball, 100*s.Coverage, 100*s.Nominal, 100*s.Bias)
	}
}
