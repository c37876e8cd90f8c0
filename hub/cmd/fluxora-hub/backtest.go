package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"fluxora.dev/hub/app"
)

// backtestCmd measures the active model of the database, or with --readings every family on files, without a database.
type backtestCmd struct {
	Resolution time.Duration `help:"Resolution of the model; that of site.resolution without it."`

	Readings string            `placeholder:"FILE" help:"Measure on files instead of the database: meter_id, timestamp and kwh, wh or power_w (CSV, CSV.gz)."`
	Meters   string            `placeholder:"FILE" help:"Facts of the meters: meter_id, and what is known of category, floor_area_m2, weather_id, …"`
	Weather  string            `placeholder:"FILE" help:"Weather: weather_id, timestamp, temp_c, ghi_w_m2."`
	Zone     string            `placeholder:"ZONE" help:"Time zone of the meters, as Europe/Oslo."`
	Country  string            `placeholder:"CODE" help:"Country of the meters, for public holidays, as NO or DE-BY."`
	Protocol string            `default:"dayahead" enum:"dayahead" help:"What is forecast: dayahead, 24 hours from one origin a day over the last weeks of each meter."`
	Format   string            `default:"fluxora" enum:"fluxora,m4" help:"Columns of the files: fluxora, or m4, of --train and --test: a series a row."`
	Train    string            `placeholder:"FILE" help:"With --format m4: what is learnt from."`
	Test     string            `placeholder:"FILE" help:"With --format m4: what then happened."`
	Horizon  int               `default:"48" help:"With --format m4: values to forecast."`
	Season   int               `default:"24" help:"With --format m4: values that make a season."`
	Weeks    int               `default:"8" help:"Weeks of each meter that are forecast; models learn from what lies before."`
	Back     int               `placeholder:"N" help:"Leave aside the last N weeks of each meter, so that settings can be chosen without looking at them."`
	Origin   int               `default:"-1" placeholder:"HOUR" help:"Hour (UTC) that is forecast from; that at which a day begins by the zone's standard time without it."`
	Models   []string          `placeholder:"NAME" help:"all, or some of the models, with commas."`
	Offline  time.Duration     `placeholder:"168h" help:"Show nothing of the last so many days at each origin, as of a site whose meter is out of reach."`
	Seen     time.Duration     `placeholder:"168h" help:"Show only so much of a meter's history at each origin, as of one newly installed."`
	Features string            `placeholder:"FILE" help:"Feature spec that models learn from; that of all models without it."`
	Rows     int               `placeholder:"N" help:"Rows that a fit learns from at most."`
	Learn    int               `placeholder:"N" help:"Learn from the N weeks before the forecasts alone; from all there is without it."`
	Threads  int               `help:"Threads; as many as processors without it."`
	Keep     string            `name:"forecasts" placeholder:"FILE" help:"Write every forecast beside what then happened (CSV, CSV.gz, kWh)."`
	With     map[string]string `placeholder:"SETTING=VALUE" mapsep:"none" help:"A setting of the fits on files, as --with gbdt.loss=tweedie. May be repeated; run settings lists them."`
	Out      string            `arg:"" optional:"" help:"File that scores of --readings are written to, as in --json scores.json."`
}

func (c backtestCmd) Run(i *invocation) error {
	switch {
	case c.Format == "m4":
		return c.m4(i)
	case c.Readings != "":
		return c.recorded(i)
	}
	return i.admin(func(a *app.Admin) error {
		s, table, err := a.Backtest(i.ctx, resolutionOr(c.Resolution, i))
		if err != nil {
			return err
		}
		return i.print(s, func(w io.Writer) { fmt.Fprint(w, table) })
	})
}

// models returns the models asked for, nil for all.
func (c backtestCmd) models() []string {
	if slices.Contains(c.Models, "all") {
		return nil
	}
	return c.Models
}

// finish writes a report to the file asked for, and to standard output.
func (c backtestCmd) finish(i *invocation, r any, table func(io.Writer)) error {
	if c.Out != "" {
		if err := writeJSON(c.Out, r); err != nil {
			return err
		}
		i.json = false // the file has it; people see the table
	}
	return i.print(r, table)
}

// m4 measures on a table of the M4 competition.
func (c backtestCmd) m4(i *invocation) error {
	if c.Train == "" || c.Test == "" {
		return errors.Join(errors.New("--format m4: want --train FILE and --test FILE"), errUsage)
	}
	r, err := app.BacktestM4(i.ctx, app.M4Backtest{
		Train: c.Train, Test: c.Test, Horizon: c.Horizon, Season: c.Season, Models: c.models(), Rows: c.Rows, Threads: c.Threads, Settings: c.With,
		Tell: func(s string) { fmt.Fprintln(os.Stderr, s) },
	})
	if err != nil {
		return err
	}
	return c.finish(i, r, func(w io.Writer) {
		fmt.Fprintf(w, "%d series\tOWA\tsMAPE %%\tMASE\ttrain CPU s\n", r.Series)
		for _, name := range slices.SortedFunc(maps.Keys(r.Models), func(a, b string) int {
			return cmp.Or(cmp.Compare(r.Models[a].OWA, r.Models[b].OWA), cmp.Compare(a, b))
		}) {
			f := r.Models[name]
			fmt.Fprintf(w, "%s\t%.3f\t%.2f\t%.3f\t%.1f\n", name, f.OWA, f.SMAPE, f.MASE, f.TrainCPU)
		}
	})
}

// recorded measures on files.
func (c backtestCmd) recorded(i *invocation) error {
	r, err := app.BacktestRecorded(i.ctx, app.RecordedBacktest{
		Readings: c.Readings, Meters: c.Meters, Weather: c.Weather, Zone: c.Zone, Country: c.Country, Weeks: c.Weeks, Back: c.Back,
		Origin: c.Origin, Models: c.models(), Seen: c.Seen, Offline: c.Offline, Features: c.Features, Rows: c.Rows, Learn: c.Learn, Threads: c.Threads, Settings: c.With, Keep: c.Keep,
		Tell: func(s string) { fmt.Fprintln(os.Stderr, s) },
	})
	if err != nil {
		return err
	}
	return c.finish(i, r, func(w io.Writer) {
		fmt.Fprintf(w, "%d meters\tMASE\tnMAE %%\tnRMSE %%\tpinball %%\tcovers %%\ttrain CPU s\tpredict µs\n", r.Meters)
		byMASE := slices.SortedFunc(maps.Keys(r.Models), func(a, b string) int {
			return cmp.Or(cmp.Compare(r.Models[a].MASE, r.Models[b].MASE), cmp.Compare(a, b))
		})
		for _, name := range byMASE {
			f := r.Models[name]
			fmt.Fprintf(w, "%s\t%.3f\t%.1f\t%.1f\t%.2f\t%.1f\t%.1f\t%.1f\n", name, f.MASE, 100*f.NMAE, 100*f.NRMSE, 100*f.NPinball, 100*f.Coverage, f.TrainCPU, f.Predict)
		}
	})
}

// writeJSON writes v to a file, whole or not at all. What is no regular file, as /dev/stdout or a pipe, is written to and stays what it is.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	b = append(b, '\n')
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, b, 0o666)
	}
	temporary := path + ".part"
	if err := os.WriteFile(temporary, b, 0o666); err != nil {
		return errors.Join(err, os.RemoveAll(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}
