package lstm

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"

	"fluxora.dev/shared/model"
)

// shards is how many parts a mini-batch has. It is part of the result: sums are taken shard by shard.
const shards = 4

// Result says how a fit went.
type Result struct {
	Epochs  int       // gone through
	Best    int       // the epoch whose weights were kept
	Loss    float64   // mean pinball loss of the best weights on the held-out rows, in spreads
	Curve   []float64 // that loss after each epoch
	Resumed int       // epochs that came from a checkpoint
}

// Progress is told after each epoch how many are done, of at most how many, and the loss on held-out rows. It may be nil.
type Progress func(epoch, of int, loss float64)

// Fit fits the weights of a network, whose other fields are set, for the levels given. It stops early when the loss on the
// held-out rows no longer falls, and returns the best weights; without held-out rows, the last. After each epoch it saves its state; when there is one of
// the same fit to begin with, it goes on from there.
func Fit(ctx context.Context, d Data, net model.Network, levels []float64, p Params, c Checkpoint, tell Progress) (model.Network, Result, error) {
	if err := p.Check(); err != nil {
		return net, Result{}, err
	}
	if err := d.check(); err != nil {
		return net, Result{}, err
	}
	f := newFit(&d, &net, levels, p)
	if err := f.load(c); err != nil {
		return net, Result{}, err
	}
	for !f.done() {
		if err := f.epoch(ctx); err != nil {
			return net, Result{}, err
		}
		if tell != nil {
			tell(f.now.epochs(), p.Epochs, f.now.curve[len(f.now.curve)-1])
		}
		if err := f.save(c); err != nil {
			return net, Result{}, err
		}
	}
	net.Weights = rounded(f.now.kept)
	return net, Result{Epochs: f.now.epochs(), Best: f.now.best, Loss: f.now.curve[f.now.best-1], Curve: f.now.curve, Resumed: f.resumed}, nil
}

// rounded returns weights as an artifact holds them.
func rounded(weights []float64) []float32 {
	out := make([]float32, len(weights))
	for i, w := range weights {
		out[i] = float32(w)
	}
	return out
}

// fit is a fit under way.
type fit struct {
	d       *Data
	net     *model.Network
	levels  []float64
	p       Params
	groups  []group
	held    []group
	shards  []*shard
	now     state
	resumed int
	print   *[32]byte // once it was asked for
}

// state is all that changes from epoch to epoch.
type state struct {
	weights []float64
	moment  []float64 // Adam's means of the gradient and of its square
	square  []float64
	kept    []float64 // the best weights
	best    int       // the epoch they are from, from 1 on
	curve   []float64
}

func (s *state) epochs() int { return len(s.curve) }

func newFit(d *Data, net *model.Network, levels []float64, p Params) *fit {
	f := &fit{d: d, net: net, levels: levels, p: p, groups: d.groups(net, d.Fit), held: d.groups(net, d.Held)}
	for range shards {
		f.shards = append(f.shards, newShard(net, levels))
	}
	n := net.Size(len(levels))
	f.now = state{weights: begin(net, levels, p.Seed), moment: make([]float64, n), square: make([]float64, n)}
	return f
}

// begin returns random weights: uniform, of a size that keeps sums of inputs near one (Glorot and Bengio, 2010). The gates
// that forget begin open (Jozefowicz, Zaremba and Sutskever, 2015); the outputs begin at the anchor.
func begin(net *model.Network, levels []float64, seed uint64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 0x6c73746d))
	out := make([]float64, net.Size(len(levels)))
	w := model.Split(net, len(levels), out)
	fill := func(to []float64, in, gain float64) {
		limit := gain * math.Sqrt(3/in)
		for i := range to {
			to[i] = limit * (2*rng.Float64() - 1)
		}
	}
	k, h := float64(net.Cells), float64(net.Hidden)
	fill(w.Read, float64(net.Patch+1), 1)
	fill(w.Recur, k, 1)
	for i := range net.Cells {
		w.Gates[net.Cells+i] = 1
	}
	first := k + float64(len(net.Inputs)+len(net.Tables))
	fill(w.State, first, math.Sqrt2)
	fill(w.Input, first, math.Sqrt2)
	fill(w.Table, first, math.Sqrt2)
	fill(w.Deep, h, math.Sqrt2)
	fill(w.Head, h, 0.1)
	return out
}

// done reports whether the fit has come to its end.
func (f *fit) done() bool {
	n := f.now.epochs()
	return n >= f.p.Epochs || f.p.Patience > 0 && n-f.now.best >= f.p.Patience
}

// epoch goes once through all groups and measures the loss on the held-out ones.
func (f *fit) epoch(ctx context.Context) error {
	n := f.now.epochs()
	rng := rand.New(rand.NewPCG(f.p.Seed, uint64(n)<<8|1))
	order := rng.Perm(len(f.groups))
	batches := (len(order) + f.p.Origins - 1) / f.p.Origins
	batch := make([]group, 0, f.p.Origins)
	for b := range batches {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		batch = batch[:0]
		for _, g := range order[b*f.p.Origins : min(len(order), (b+1)*f.p.Origins)] {
			batch = append(batch, f.groups[g])
		}
		rows := f.compute(batch, true, uint64(n*batches+b))
		step := n*batches + b + 1
		f.descend(rows, step, f.rate(step, f.p.Epochs*batches))
	}
	loss := f.lossOf(f.held)
	f.now.curve = append(f.now.curve, loss)
	if f.now.best == 0 || loss < f.now.curve[f.now.best-1] || len(f.held) == 0 {
		f.now.best = len(f.now.curve)
		f.now.kept = append(f.now.kept[:0], f.now.weights...)
	}
	return nil
}

// lossOf returns the mean loss over the rows of some groups, 0 when there are none.
func (f *fit) lossOf(groups []group) float64 {
	sum, rows := 0.0, 0
	for at := 0; at < len(groups); at += f.p.Origins {
		rows += f.compute(groups[at:min(len(groups), at+f.p.Origins)], false, 0)
		for _, s := range f.shards {
			sum += s.loss
		}
	}
	return sum / float64(max(1, rows))
}

// compute runs the shards over a batch and returns how many rows it has.
func (f *fit) compute(batch []group, learn bool, number uint64) int {
	w := model.Split(f.net, len(f.levels), f.now.weights)
	var wg sync.WaitGroup
	free := make(chan struct{}, f.p.Threads)
	for i, s := range f.shards {
		part := batch[i*len(batch)/shards : (i+1)*len(batch)/shards]
		free <- struct{}{}
		wg.Go(func() {
			var rng *rand.Rand
			if learn {
				rng = rand.New(rand.NewPCG(f.p.Seed^number, uint64(i)<<32|2))
			}
			s.run(f.d, w, part, learn, f.p.Dropout, rng)
			<-free
		})
	}
	wg.Wait()
	rows := 0
	for _, s := range f.shards {
		rows += s.rows
	}
	return rows
}

// rate returns the learning rate of a step: it rises over the first twentieth of all and falls as a cosine to zero.
func (f *fit) rate(step, of int) float64 {
	x := float64(step) / float64(of)
	return f.p.Rate * min(1, 20*x) * (1 + math.Cos(math.Pi*x)) / 2
}

// Adam's constants: how slowly its means forget, and what keeps it from dividing by nothing.
const (
	slowMoment = 0.9
	slowSquare = 0.999
	leastRoot  = 1e-8
)

// descend takes one step of Adam with decoupled decay against the mean gradient of the shards.
func (f *fit) descend(rows, step int, rate float64) {
	sum := f.shards[0].grad
	for _, s := range f.shards[1:] {
		add(sum, s.grad)
	}
	squares := 0.0
	for i := range sum {
		sum[i] /= float64(rows)
		squares += sum[i] * sum[i]
	}
	scale := 1.0
	if length := math.Sqrt(squares); length > f.p.Clip {
		scale = f.p.Clip / length
	}
	warmMoment, warmSquare := 1-math.Pow(slowMoment, float64(step)), 1-math.Pow(slowSquare, float64(step))
	w, m, v := f.now.weights, f.now.moment, f.now.square
	for i, g := range sum {
		g *= scale
		m[i] = slowMoment*m[i] + (1-slowMoment)*g
		v[i] = slowSquare*v[i] + (1-slowSquare)*g*g
		w[i] -= rate * (m[i]/warmMoment/(math.Sqrt(v[i]/warmSquare)+leastRoot) + f.p.Decay*w[i])
	}
}
