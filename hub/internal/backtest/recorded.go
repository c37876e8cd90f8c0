package backtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/train/lstm"
	"fluxora.dev/shared/model"
)

// Recorded runs the day-ahead protocol on a recording: every family is fitted before the weeks that it is scored on.
type Recorded struct {
	DayAhead
	Models []string     // families and baselines, as Names lists them; nil means all
	Params train.Params // family, horizon and hours of origin are set by the protocol
	Tell   func(string) // is told what is being done; may be nil
}

// What keeps a backtest of all families to minutes: on a recording of 43 meters a line errs no less with more rows.
const (
	recordedRows   = 200_000
	recordedEpochs = 6
)

// Figure is what a backtest of a recording says of one contender.
type Figure struct {
	DayFigures
	TrainCPU float64 `json:"train_cpu_s"`        // CPU seconds of the last fit, rows included
	Predict  float64 `json:"predict_us_per_row"` // CPU microseconds, in batches of a day's rows
	Failed   int     `json:"failed"`             // origins where a baseline or profile had to stand in
}

// RecordedReport is what a backtest of a recording found.
type RecordedReport struct {
	Models map[string]Figure `json:"models"`
	Meters int               `json:"meters"`
	Left   []string          `json:"left,omitempty"` // meters that were not scored, and why
	Cuts   []string          `json:"trained_to"`     // of each fit: it learnt from nothing at or after
}

// Selected names the contender that selection by folds within the training range would have chosen.
const Selected = train.Selected

// Names lists what Recorded can score.
func Names() []string {
	out := []string{Naive, FourWeek, DayNaive, Similar}
	return append(append(out, train.Families()...), Selected)
}

// Run fits and scores. d must hold what was read of the recording, test weeks included.
func (o Recorded) Run(ctx context.Context, d train.Dataset) (RecordedReport, error) {
	o.DayAhead = o.DayAhead.withDefaults()
	out := RecordedReport{Models: map[string]Figure{}}
	families, baselines, err := o.split()
	if err != nil {
		return out, err
	}
	ws, left := o.Windows(d)
	for _, err := range left {
		out.Left = append(out.Left, err.Error())
		o.tell("not scored: %s", err)
	}
	if len(ws) == 0 {
		return out, fmt.Errorf("%w: %w", ErrNothing, errors.Join(left...))
	}
	out.Meters = len(ws)
	p := o.Params
	p.Horizon, p.Daily, p.Levels = day, []time.Duration{o.At}, o.Levels
	if p.MaxRows == 0 {
		p.MaxRows = recordedRows
	}
	if p.LSTM == (lstm.Params{}) { // it is fitted twice for each cut
		p.LSTM = lstm.Defaults()
		p.LSTM.Epochs = recordedEpochs
	}
	asked := slices.DeleteFunc(slices.Clone(families), func(name string) bool { return name == Selected })
	scores, figures := map[string][]DayScore{}, map[string]Figure{}
	for _, cut := range Cuts(ws) {
		out.Cuts = append(out.Cuts, cut.To.String())
		contenders := slices.Clone(baselines)
		if len(families) > 0 {
			began := time.Now()
			study, err := train.FitAll(ctx, cut.Learn(d, o.DayAhead.Learn), p, asked, o.progress(fmt.Sprintf("fit until %s", cut.To)))
			if err != nil {
				return out, err
			}
			for _, f := range study.Fitted { // all learnt from the same rows
				o.tell("preparation: %s", f.Report.Preparation)
				break
			}
			o.tell("fitted on %d points before %s in %s", study.Points, cut.To, time.Since(began).Round(time.Second))
			o.tell("on the %d days before, by weights of other weeks: %s; selected: %s", int(cut.To.Sub(study.Cut)/day), losses(study.Loss), study.Selected)
			for _, name := range families {
				f := study.Fitted[name]
				if name == Selected {
					f = study.Fitted[study.Selected]
				}
				contenders = append(contenders, Adapted(name, f.Artifact, f.Trial, o.Levels))
				figure := figures[name]
				figure.TrainCPU = f.CPU.Seconds()
				figure.Predict = predictMicros(f.Artifact, study)
				figures[name] = figure
			}
		}
		began := time.Now()
		got, err := o.Score(ctx, cut.Windows, contenders, p.Threads)
		if err != nil {
			return out, err
		}
		o.tell("scored %d meters in %s", len(cut.Windows), time.Since(began).Round(time.Second))
		for i, c := range contenders {
			for _, w := range got {
				scores[c.Name] = append(scores[c.Name], w[i])
			}
		}
	}
	for name, s := range scores {
		f := figures[name]
		f.DayFigures = Figures(s)
		for _, m := range s {
			f.Failed += m.Failed
		}
		out.Models[name] = f
	}
	return out, nil
}

// split parts the models asked for into families to fit and baselines.
func (o Recorded) split() (families []string, baselines []Contender, err error) {
	asked := o.Models
	if len(asked) == 0 {
		asked = Names()
	}
	for _, name := range asked {
		if slices.Contains(train.Families(), name) || name == Selected {
			families = append(families, name)
			continue
		}
		i := slices.IndexFunc(Baselines(o.Levels), func(c Contender) bool { return c.Name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("model %q: want all or some of %v", name, Names())
		}
		baselines = append(baselines, Baselines(o.Levels)[i])
	}
	return families, baselines, nil
}

// losses lists losses, least first.
func losses(of map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(of[a], of[b]), cmp.Compare(a, b)) })
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("%s %.3f", name, of[name]))
	}
	return strings.Join(out, ", ")
}

func (o Recorded) tell(format string, a ...any) {
	if o.Tell != nil {
		o.Tell(fmt.Sprintf(format, a...))
	}
}

// progress tells each stage of a fit once.
func (o Recorded) progress(of string) train.Progress {
	last := ""
	return func(stage string, share float64) {
		if stage != last {
			last = stage
			o.tell("%s: %3.0f %% %s", of, 100*share, stage)
		}
	}
}

// predictMicros measures what a row costs to predict.
func predictMicros(a *model.Artifact, s train.Study) float64 {
	rows, n := s.Sample()
	if n == 0 {
		return 0
	}
	const batch = 24
	width := a.Spec.Len()
	out := make([]float64, batch*len(a.Levels))
	began, done := train.ProcessCPU(), 0
	for done < 20_000 {
		for at := 0; at < n; at += batch {
			k := min(batch, n-at)
			a.Model.Predict(rows[at*width:(at+k)*width], k, out)
			done += k
		}
	}
	return float64((train.ProcessCPU() - began).Microseconds()) / float64(done)
}
