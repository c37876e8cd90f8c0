package backtest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"fluxora.dev/hub/internal/recording"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// M4 forecasts the end of anonymous series, all from one origin each, and scores as the M4 competition did (Makridakis,
// Spiliotis and Assimakopoulos, 2020). A value is taken for an hour's, a season for a day.
type M4 struct {
	Train, Test []recording.Series
	Horizon     int // values to forecast
	Season      int // values that make a season
	Models      []string
	Params      train.Params
	Tell        func(string)
}

// M4Figure is what M4 says of one contender: means over series.
type M4Figure struct {
	SMAPE    float64 `json:"smape"` // %, mean of 200·|error|/(|actual|+|forecast|)
	MASE     float64 `json:"mase"`  // mean absolute error over that of the seasonal naive forecast in-sample
	OWA      float64 `json:"owa"`   // mean of both over those of Naive2
	TrainCPU float64 `json:"train_cpu_s"`
	Failed   int     `json:"failed"` // series that a simpler forecast had to stand in for
}

// M4Report is what M4 found.
type M4Report struct {
	Models map[string]M4Figure `json:"models"`
	Series int                 `json:"series"`
}

// Naive2 is the benchmark of the competition: the last value, adjusted by the season where there is one.
const Naive2 = "naive2"

// m4End is where all series end, so that the last days of each judge what is fitted to the days before.
var m4End = meter.MillisOf(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))

// m4Lacks begin the names of features that anonymous series have not: nobody knows when and where they began.
var m4Lacks = []string{
	"hour", "quarter", "weekday", "weekend", "kind", "similar", "shift", "holiday", "bridge", "vacation", "temperature", "warmer", "response", "radiation",
}

// m4Spec returns the default spec without calendar and weather.
func m4Spec() (feature.Spec, error) {
	var kept []string
	for line := range strings.Lines(feature.Default().String()) {
		if !slices.ContainsFunc(m4Lacks, func(lack string) bool { return strings.HasPrefix(line, lack) }) {
			kept = append(kept, line)
		}
	}
	return feature.ParseSpec(strings.Join(kept, ""))
}

// Run fits and scores.
func (o M4) Run(ctx context.Context) (M4Report, error) {
	out := M4Report{Models: map[string]M4Figure{}, Series: len(o.Train)}
	if o.Season != 24 {
		return out, fmt.Errorf("season of %d values: want 24, hours of a day", o.Season)
	}
	if o.Horizon < 1 || o.Horizon > 168 {
		return out, fmt.Errorf("horizon of %d values: want 1 to 168", o.Horizon)
	}
	tests := map[string][]float64{}
	for _, s := range o.Test {
		tests[s.ID] = s.Values
	}
	var d train.Dataset
	for _, s := range o.Train {
		if len(tests[s.ID]) < o.Horizon {
			return out, fmt.Errorf("series %s: %d test values: want %d", s.ID, len(tests[s.ID]), o.Horizon)
		}
		if len(s.Values) < 2*o.Season {
			return out, fmt.Errorf("series %s: %d values to learn from: want at least %d", s.ID, len(s.Values), 2*o.Season)
		}
		d.Points = append(d.Points, train.Point{ID: s.ID, Register: meter.EnergyImport, History: o.history(s)})
	}
	families, baselines, err := Recorded{Models: slices.DeleteFunc(slices.Clone(o.Models), func(n string) bool { return n == Naive2 })}.split()
	if err != nil {
		return out, err
	}
	levels := forecast.DefaultLevels()
	contenders := baselines
	cpu := map[string]float64{}
	if len(families) > 0 {
		p := o.Params
		p.Settled = true
		if p.Spec.Len() == 0 {
			if p.Spec, err = m4Spec(); err != nil {
				return out, err
			}
		}
		p.Horizon = time.Duration(o.Horizon) * time.Hour
		asked := slices.DeleteFunc(slices.Clone(families), func(name string) bool { return name == Selected })
		r := Recorded{Tell: o.Tell}
		study, err := train.FitAll(ctx, d, p, asked, r.progress("fit"))
		if err != nil {
			return out, err
		}
		r.tell("on the days before the end, by weights of other weeks: %s; selected: %s", losses(study.Loss), study.Selected)
		for _, name := range families {
			f := study.Fitted[name]
			if name == Selected {
				f = study.Fitted[study.Selected]
			}
			contenders, cpu[name] = append(contenders, Artifact(name, f.Artifact, levels)), f.CPU.Seconds()
		}
	}
	reference := o.score(d, tests, func(p train.Point) ([]float64, error) {
		return naive2(p.History.Energy, o.Season, o.Horizon), nil
	})
	reference.OWA = 1
	out.Models[Naive2] = reference
	for _, c := range contenders {
		mk := c.New()
		f := o.score(d, tests, func(p train.Point) ([]float64, error) {
			end := p.History.End()
			made, err := mk(p.History, p, end, o.Horizon)
			if err != nil {
				return nil, err
			}
			values := make([]float64, o.Horizon)
			for s := range values {
				values[s] = made.At(s+1, made.Level(0.5))
			}
			return values, nil
		})
		f.OWA = (f.SMAPE/reference.SMAPE + f.MASE/reference.MASE) / 2
		f.TrainCPU = cpu[c.Name]
		out.Models[c.Name] = f
	}
	return out, ctx.Err()
}

// history lays a series on the hours up to m4End.
func (o M4) history(s recording.Series) feature.History {
	return feature.History{Start: m4End.Add(-time.Duration(len(s.Values)) * time.Hour), Resolution: time.Hour, Energy: s.Values, Zone: time.UTC}
}

// score returns the means over series. Where nothing can be made Naive2 stands in.
func (o M4) score(d train.Dataset, tests map[string][]float64, mk func(train.Point) ([]float64, error)) M4Figure {
	var f M4Figure
	var smape, mase []float64
	for _, p := range d.Points {
		in, actual := p.History.Energy, tests[p.ID][:o.Horizon]
		values, err := mk(p)
		if err != nil {
			f.Failed++
			values = naive2(in, o.Season, o.Horizon)
		}
		abs, share := 0.0, 0.0
		for i, v := range values {
			e := math.Abs(actual[i] - v)
			abs += e
			if both := math.Abs(actual[i]) + math.Abs(v); both > 0 {
				share += 200 * e / both
			}
		}
		smape = append(smape, share/float64(o.Horizon))
		scale := 0.0
		for i := o.Season; i < len(in); i++ {
			scale += math.Abs(in[i] - in[i-o.Season])
		}
		if scale /= float64(len(in) - o.Season); scale > 0 {
			mase = append(mase, abs/float64(o.Horizon)/scale)
		}
	}
	f.SMAPE, f.MASE = meanOf(smape), meanOf(mase)
	return f
}

// naive2 forecasts the last value of a series, seasonally adjusted by the classical multiplicative decomposition where its
// autocorrelation at the season is significant at 90 %.
func naive2(y []float64, season, horizon int) []float64 {
	index := make([]float64, season)
	for i := range index {
		index[i] = 1
	}
	if seasonal(y, season) {
		index = seasonIndex(y, season)
	}
	out := make([]float64, horizon)
	last := y[len(y)-1] / index[(len(y)-1)%season]
	for i := range out {
		out[i] = last * index[(len(y)+i)%season]
	}
	return out
}

// seasonal is the competition's test: the autocorrelation at the season against a limit that those before it widen.
func seasonal(y []float64, season int) bool {
	if len(y) < 3*season {
		return false
	}
	m := meanOf(y)
	total := 0.0
	for _, v := range y {
		total += (v - m) * (v - m)
	}
	if total == 0 {
		return false
	}
	sum, at := 0.0, 0.0
	for lag := 1; lag <= season; lag++ {
		at = 0
		for i := lag; i < len(y); i++ {
			at += (y[i] - m) * (y[i-lag] - m)
		}
		at /= total
		if lag < season {
			sum += at * at
		}
	}
	return math.Abs(at) > 1.645*math.Sqrt((1+2*sum)/float64(len(y)))
}

// seasonIndex returns the mean ratio of values to their centred moving average by place in the season, 1 on average.
func seasonIndex(y []float64, season int) []float64 {
	sums, n := make([]float64, season), make([]float64, season)
	half := season / 2
	for i := half; i+half < len(y); i++ {
		w := 0.0
		for k := -half; k <= half; k++ {
			share := 1.0
			if season%2 == 0 && (k == -half || k == half) {
				share = 0.5
			}
			w += share * y[i+k]
		}
		if w > 0 {
			sums[i%season] += y[i] * float64(season) / w
			n[i%season]++
		}
	}
	mean := 0.0
	for i := range sums {
		if n[i] > 0 {
			sums[i] /= n[i]
		} else {
			sums[i] = 1
		}
		mean += sums[i] / float64(season)
	}
	for i := range sums {
		if sums[i] = sums[i] / mean; !(sums[i] > 0) {
			sums[i] = 1e-6 // a place in the season that is always zero
		}
	}
	return sums
}
