package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/hub/internal/train/lstm"
	"fluxora.dev/shared/model"
)

// Checkpoint keeps the state of a fit that takes minutes over a restart.
type Checkpoint = lstm.Checkpoint

// networkTables are the features that are no quantities but names: each value has weights of its own.
var networkTables = map[string]int{"hour": 24, "weekday": 7, "quarter": 4, "kind": 4}

// fitLSTM fits the anchor and how far actuals stray from it, and a network that says where the quantiles lie between them,
// stopping by the held-out rows, from which the calibration comes too.
// Going on over all rows afterwards gained nothing in two seasons of real meters.
func fitLSTM(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	net, err := newNetwork(p)
	if err != nil {
		return nil, err
	}
	tell.tell("centre and spread", 0.02)
	anchor := fitAnchor(t, p, centreBase, centreTerms, t.target, t.fit)
	left := leftBy(t, p, anchor, t.target)
	stray := make([]float64, t.len())
	for i, v := range left {
		stray[i] = math.Abs(v)
	}
	spread := fitAnchor(t, p, spreadBase, spreadTerms, stray, t.fit)
	least := max(0.05*stat.Mean(stray, nil), 1e-9)
	b := bands(p)
	for i := range left {
		row := t.row(int32(i))
		left[i] /= max(spread.Of(row, b.Of(row[b.Lead])), least)
	}

	d := lstm.Data{Rows: t.rows, Width: t.width, Target: left, Fit: t.fit, Held: t.held}
	lstm.Measure(&net, &d, t.fit)
	net, res, err := lstm.Fit(ctx, d, net, p.Levels, p.LSTM, p.Checkpoint, func(epoch, of int, loss float64) {
		tell.tell(fmt.Sprintf("epoch %d, held-out loss %.4f", epoch, loss), 0.05+0.85*float64(epoch)/float64(of))
	})
	if err != nil {
		return nil, err
	}
	r.Epochs = res.Best

	tell.tell("quantiles", 0.9)
	b.Z = unitFan(p.Levels, b.Count())
	m, err := model.NewLSTM(t.width, b, anchor, spread, least, net)
	if err != nil {
		return nil, err
	}
	b.Z, r.HeldLoss = calibrateFan(t, m)
	return model.NewLSTM(t.width, b, anchor, spread, least, net)
}

// newNetwork returns the shape of a network for the features of a spec. It reads all features but those of the past as
// numbers, but the few that are names.
func newNetwork(p Params) (model.Network, error) {
	net := model.Network{Patch: p.LSTM.Patch, Cells: p.LSTM.Cells, Hidden: p.LSTM.Hidden}
	net.Past = pastColumns(p.Spec)
	net.Past = net.Past[max(0, len(net.Past)-sequenceHours):]
	if len(net.Past) == 0 || len(net.Past)%net.Patch != 0 {
		return net, fmt.Errorf("feature spec: %d of the features \"past 1\", \"past 2\" …: want a multiple of %d, which are read at a time", len(net.Past), net.Patch)
	}
	for c, name := range p.Spec.Names() {
		switch n := networkTables[name]; {
		case isAside(name):
		case n > 0:
			net.Tables = append(net.Tables, model.NetworkTable{Column: c, Values: n})
		default:
			net.Inputs = append(net.Inputs, model.NetworkInput{Column: c})
		}
	}
	return net, nil
}

// unitFan returns, for each band, the steps of a fan that is not calibrated: one for each level away from the middle.
func unitFan(levels []float64, bands int) []float64 {
	var z []float64
	for range bands {
		for i := range levels {
			z = append(z, float64(i-model.Middle(levels)))
		}
	}
	return z
}

// calibrateFan returns how many of its steps each level of m, whose fan is not calibrated, must lie from the level before
// to hold what it promises on the held-out rows, and the mean absolute error there. Levels are set from the middle, which
// stays, outwards, band by band.
func calibrateFan(t *table, m *model.LSTM) ([]float64, float64) {
	levels := m.Levels()
	l, middle := len(levels), model.Middle(levels)
	off := 0.0
	byBand := make([][]fanned, m.Bands.Count())
	var all []fanned
	for _, i := range t.held {
		f := fanned{values: make([]float64, l), actual: t.target[i]}
		m.Predict(t.row(i), 1, f.values)
		f.at = f.values[middle]
		off += math.Abs(f.at - f.actual)
		band := m.Bands.Of(t.row(i)[m.Lead])
		byBand[band] = append(byBand[band], f)
		all = append(all, f)
	}
	var z []float64
	for _, in := range byBand {
		if len(in) < leastInBand {
			in = all
		}
		of := make([]float64, l)
		for i := middle + 1; i < l; i++ {
			of[i] = of[i-1] + stepOut(in, i, i-1, levels[i])
		}
		for i := range in {
			in[i].at = in[i].values[middle]
		}
		for i := middle - 1; i >= 0; i-- {
			of[i] = of[i+1] - stepOut(in, i, i+1, 1-levels[i])
		}
		for i := range in {
			in[i].at = in[i].values[middle]
		}
		z = append(z, of...)
	}
	return z, off / float64(len(t.held))
}

// fanned is a row's quantiles, what then happened, and where the level lies that was calibrated last.
type fanned struct {
	values     []float64
	actual, at float64
}

// stepOut returns how many of its own steps level i must lie beyond the last one for a share of the actuals to lie within,
// and goes there.
func stepOut(rows []fanned, i, before int, share float64) float64 {
	ratios := make([]float64, 0, len(rows))
	for _, f := range rows {
		if step := f.values[i] - f.values[before]; step != 0 {
			ratios = append(ratios, (f.actual-f.at)/step)
		}
	}
	if len(ratios) == 0 {
		return 1
	}
	slices.Sort(ratios)
	n := float64(len(ratios))
	steps := max(0, stat.Quantile(min(1, share*(n+1)/n), stat.LinInterp, ratios, nil))
	for k, f := range rows {
		rows[k].at += steps * (f.values[i] - f.values[before])
	}
	return steps
}
