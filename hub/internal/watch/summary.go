package watch

import (
	"time"

	"fluxora.dev/shared/watch"
)

// Summary is a Report as it is stored and shown. What is not known is absent.
type Summary struct {
	To     time.Time      `json:"to" doc:"end of what was known"`
	Live   LiveSummary    `json:"live" doc:"of all points together"`
	Agents LiveSummary    `json:"agents" doc:"the same as agents measured it, of the points that they told of"`
	Heard  int            `json:"points_heard" doc:"how many those are"`
	Drift  DriftSummary   `json:"drift" doc:"of the errors of all points together"`
	Points []PointSummary `json:"points"`
}

// LiveSummary is how a model does lately beside the baseline, on days after it had ended learning; later days weigh more.
type LiveSummary struct {
	Days      int      `json:"days" doc:"with intervals that were compared"`
	Intervals int      `json:"intervals"`
	Error     *float64 `json:"error_wh,omitempty" doc:"mean absolute error of the model"`
	Baseline  *float64 `json:"baseline_wh,omitempty" doc:"mean absolute error of the baseline"`
	Skill     *float64 `json:"skill,omitempty" doc:"share by which the model's error is below the baseline's"`
	Coverage  *float64 `json:"coverage,omitempty" doc:"share of actuals between the outer levels"`
}

// DriftSummary says how far something lies from what was usual.
type DriftSummary struct {
	Of       string   `json:"of" doc:"errors, or the name of a feature"`
	Distance *float64 `json:"distance,omitempty" doc:"of the last two weeks: Kolmogorov-Smirnov for errors, PSI for features"`
	Limit    *float64 `json:"limit,omitempty" doc:"that no two weeks of the usual time were beyond; absent while there is too little history"`
	Drifted  bool     `json:"drifted" doc:"three weekly checks in a row lay beyond the limit"`
	Reason   string   `json:"reason,omitempty"`
}

// PointSummary is what was found of one point.
type PointSummary struct {
	Point    string         `json:"point"`
	Register string         `json:"register"`
	Live     LiveSummary    `json:"live"`
	Agent    LiveSummary    `json:"agent" doc:"the same as the point's agent measured it"`
	Drift    []DriftSummary `json:"drift" doc:"of its errors, and of the features watched"`
}

// Summary returns r for storing.
func (r Report) Summary() Summary {
	s := Summary{To: r.To.Time(), Live: live(r.Live), Agents: live(r.Agents), Heard: r.Heard, Drift: drift("errors", r.Drifted), Points: make([]PointSummary, len(r.Points))}
	for i, p := range r.Points {
		out := PointSummary{Point: p.ID, Register: string(p.Register), Live: live(p.Live), Agent: live(p.Agent), Drift: []DriftSummary{drift("errors", p.Residuals)}}
		for k, f := range p.Features {
			out.Drift = append(out.Drift, drift(Watched[k], f))
		}
		s.Points[i] = out
	}
	return s
}

func live(l watch.Live) LiveSummary {
	if l.Days == 0 {
		return LiveSummary{}
	}
	return LiveSummary{Days: l.Days, Intervals: l.Intervals, Error: known(l.Error), Baseline: known(l.Baseline), Skill: known(l.Skill()), Coverage: known(l.Coverage)}
}

func drift(of string, v watch.Verdict) DriftSummary {
	d := DriftSummary{Of: of, Drifted: v.Drifted, Reason: v.Reason}
	if v.Limit > 0 {
		d.Distance, d.Limit = known(v.Distance), known(v.Limit)
	}
	return d
}

// known returns a number that JSON can hold, or nil.
func known(v float64) *float64 {
	if !(v > -1e300 && v < 1e300) {
		return nil
	}
	return &v
}
