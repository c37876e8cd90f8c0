package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"fluxora.dev/shared/model"
)

// SeasonalParams are the settings of a baseline.
type SeasonalParams struct {
	Rule string // one of SeasonalRules; empty: the one that errs least on the rows learnt from
}

// seasonalRule is a baseline: the first of its columns that is known.
type seasonalRule struct {
	name    string
	columns []string
}

// seasonalRules lists the baselines. Where none of their own columns is known, all take a mean of what is.
func seasonalRules() []seasonalRule {
	return []seasonalRule{
		{"four-weeks", []string{"weeks mean 4"}},
		{"week", []string{"week 1", "week 2", "week 3", "week 4"}},
		{"day", []string{"day 1", "day 2", "day 3", "day 4", "day 5", "day 6", "day 7"}},
		{"similar", []string{"similar mean 4", "similar mean 5", "similar mean 3", "similar mean 8"}},
	}
}

// SeasonalRules names the baselines of family seasonal.
func SeasonalRules() []string {
	var out []string
	for _, r := range seasonalRules() {
		out = append(out, r.name)
	}
	return out
}

// fitSeasonal chooses a baseline and calibrates its quantiles; nothing else is fitted.
func fitSeasonal(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	tell.tell("rule", 0.3)
	columns, err := seasonalColumns(t, p)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	tell.tell("quantiles", 0.6)
	errs, off := make([]float64, len(t.held)), make([]float64, len(t.held))
	for i, row := range t.held {
		errs[i] = t.target[row] - centreOf(t.row(row), columns)
		off[i] = math.Abs(errs[i])
	}
	r.judge(off)
	return model.NewSeasonal(t.width, calibrate(t, p, errs, false), columns)
}

// seasonalColumns returns the columns of the rule asked for, or of the best.
func seasonalColumns(t *table, p Params) ([]int, error) {
	var best []int
	least := math.Inf(1)
	for _, rule := range seasonalRules() {
		if p.Seasonal.Rule != "" && p.Seasonal.Rule != rule.name {
			continue
		}
		own := columnsOf(p.Spec, rule.columns)
		if len(own) == 0 {
			if p.Seasonal.Rule != "" {
				return nil, fmt.Errorf("rule %s: the feature spec has none of %q", rule.name, rule.columns)
			}
			continue
		}
		columns := own
		for _, c := range columnsOf(p.Spec, centreBase) {
			if !slices.Contains(columns, c) {
				columns = append(columns, c)
			}
		}
		loss := 0.0
		for _, row := range t.fit {
			loss += math.Abs(t.target[row] - centreOf(t.row(row), columns))
		}
		if loss < least {
			best, least = columns, loss
		}
	}
	switch {
	case best != nil:
		return best, nil
	case p.Seasonal.Rule != "":
		return nil, fmt.Errorf("rule %q: want one of %v", p.Seasonal.Rule, SeasonalRules())
	}
	return nil, errors.New("the feature spec has none of the columns of a baseline, such as week 1")
}

// centreOf returns the first known of some columns, and 1, the point's scale, when none is.
func centreOf(row []float32, columns []int) float64 {
	return (&model.Anchor{Base: columns}).Of(row, 0)
}
