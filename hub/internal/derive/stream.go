package derive

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// stream is one register of a point, over all its meters, within a step.
type stream struct {
	tx    *store.SiteTx
	key   store.Stream
	all   []store.RegisterInfo // its registers, by number
	fold  store.Fold
	known bool // fold holds readings

	fresh     map[uuid.UUID][]meter.Reading // what changes, by register, in time order
	touched   bool
	low, high meter.Millis // first and last instant that changes
}

func (s *stream) touch(low, high meter.Millis) {
	if !s.touched {
		s.low, s.high, s.touched = low, high, true
		return
	}
	s.low, s.high = min(s.low, low), max(s.high, high)
}

func (s *stream) options() interval.Options {
	return interval.Options{Resolution: s.tx.Resolution, MaxWatts: s.all[0].MaxWatts}
}

// foldOn brings intervals, events and the fold up to date with what changes.
func (s *stream) foldOn() error {
	if !s.touched {
		return nil
	}
	late := s.known && s.low <= s.fold.Last
	if !s.known {
		s.fold.First, s.fold.Last = s.low, s.high
	}
	last := s.fold.Last
	s.fold.First, s.fold.Last = min(s.fold.First, s.low), max(s.fold.Last, s.high)
	if late {
		return s.refold()
	}
	samples := s.samples(s.fresh)
	if len(samples) == 0 {
		return nil
	}
	w := store.Rewrite{From: samples[0].At.Floor(s.tx.Resolution), To: math.MaxInt64, After: math.MinInt64, Til: math.MaxInt64}
	if open, ok := s.fold.State.Open(); ok {
		w.From, w.After = open, last
	}
	if err := run(&s.fold.State, samples, s.options(), &w); err != nil {
		return err
	}
	if len(w.Intervals)+len(w.Events) > 0 {
		if err := s.tx.Rewrite(s.key, w); err != nil {
			return err
		}
	}
	return s.tx.PutFold(s.key, s.fold)
}

// run folds samples and collects what comes of it in w.
func run(state *interval.State, samples []interval.Sample, o interval.Options, w *store.Rewrite) error {
	emit := func(v interval.Interval) { w.Intervals = append(w.Intervals, v) }
	event := func(e interval.Event) {
		if e.Kind != interval.Duplicate { // of two meters at one instant: nothing that a person would want to know
			w.Events = append(w.Events, e)
		}
	}
	for _, n := range samples {
		if err := state.Add(n, o, emit, event); err != nil {
			return err
		}
	}
	return nil
}

// refold makes the stretch around late or corrected readings anew, widening the window that it loads until the stretch both
// begins and ends where the fold is known not to depend on what lies outside.
//
// Let i be a reading before the first change from which a fold can restart. In both worlds, before and after the change, it is
// believed when it comes, so intervals that end by it are the same in both. A fold restarted from an earlier point, valid from before
// the interval that holds i, therefore gives every interval that may differ. In the same way, from a restart point behind the last
// change on, both worlds are the same again.
func (s *stream) refold() error {
	for span := meter.Millis(48 * time.Hour / time.Millisecond); ; span *= 8 {
		from, to := max(s.low-span, s.fold.First), min(s.high+span, s.fold.Last)
		samples, err := s.load(from, to)
		if err != nil {
			return err
		}
		w := store.Rewrite{From: math.MinInt64, To: math.MaxInt64, After: math.MinInt64, Til: math.MaxInt64}
		begin, ok := s.begin(samples, from, &w)
		if !ok {
			continue
		}
		if to == s.fold.Last {
			s.fold.State = interval.State{}
			if err := run(&s.fold.State, samples[begin:], s.options(), &w); err != nil {
				return err
			}
			w.Intervals = slices.DeleteFunc(w.Intervals, func(v interval.Interval) bool { return v.Start < w.From })
			w.Events = slices.DeleteFunc(w.Events, func(e interval.Event) bool { return e.At <= w.After })
			if err := s.tx.Rewrite(s.key, w); err != nil {
				return err
			}
			return s.tx.PutFold(s.key, s.fold)
		}
		tail := samples[after(samples, s.high):]
		j, valid, ok := interval.RestartPoint(tail, to, s.options())
		if !ok {
			continue
		}
		w.To, w.Til = valid, tail[j].At
		var state interval.State
		if err := run(&state, samples[begin:], s.options(), &w); err != nil {
			return err
		}
		if open, ok := state.Open(); !ok || open < valid {
			continue // the interval before valid is not closed yet
		}
		w.Intervals = slices.DeleteFunc(w.Intervals, func(v interval.Interval) bool { return v.Start < w.From || v.Start >= w.To })
		w.Events = slices.DeleteFunc(w.Events, func(e interval.Event) bool { return e.At <= w.After || e.At > w.Til })
		if err := s.tx.Rewrite(s.key, w); err != nil {
			return err
		}
		return s.tx.PutFold(s.key, s.fold)
	}
}

// begin returns the index in samples to restart from, and notes in w from where on the result is good.
func (s *stream) begin(samples []interval.Sample, from meter.Millis, w *store.Rewrite) (index int, ok bool) {
	if from == s.fold.First {
		return 0, true
	}
	before := samples[:after(samples, s.low-1)]
	i, _, ok := interval.RestartPoint(before, s.low, s.options())
	if !ok {
		return 0, false
	}
	index, w.From, ok = interval.RestartPoint(before, before[i].At.Floor(s.tx.Resolution), s.options())
	if ok {
		w.After = before[index].At
	}
	return index, ok
}

// after returns the index of the first sample behind the instant m.
func after(samples []interval.Sample, m meter.Millis) int {
	i, _ := slices.BinarySearchFunc(samples, m+1, func(n interval.Sample, m meter.Millis) int { return cmp.Compare(n.At, m) })
	return i
}

// load returns the effective readings of the stream within [from, to], with what changes, as samples.
func (s *stream) load(from, to meter.Millis) ([]interval.Sample, error) {
	all := make(map[uuid.UUID][]meter.Reading, len(s.all))
	for _, r := range s.all {
		held, err := s.tx.Held(r.ID, from, to)
		if err != nil {
			return nil, err
		}
		if fresh := s.fresh[r.ID]; len(fresh) > 0 {
			held = append(held, fresh...) // arrived after everything held
			held = slices.DeleteFunc(held, func(r meter.Reading) bool { return r.At < from || r.At > to })
			held = store.Effective(held)
		}
		all[r.ID] = held
	}
	return s.samples(all), nil
}

// samples returns readings of the stream's registers as samples in the order that the fold wants.
func (s *stream) samples(rs map[uuid.UUID][]meter.Reading) []interval.Sample {
	n := 0
	for _, r := range rs {
		n += len(r)
	}
	out := make([]interval.Sample, 0, n)
	for _, r := range s.all {
		for _, v := range rs[r.ID] {
			out = append(out, interval.Sample{At: v.At, Value: v.Value, Quality: v.Quality, Kind: r.Kind, Modulus: r.Modulus, Meter: r.Number})
		}
	}
	if len(rs) > 1 {
		slices.SortStableFunc(out, func(a, b interval.Sample) int { return cmp.Compare(a.At, b.At) })
	}
	return out
}

// remake folds every stream of the site from the beginning: its zone or resolution was changed, or the limit of one of its points.
func (d *Deriver) remake(tx *store.SiteTx) error {
	registers, err := tx.Registers()
	if err != nil {
		return err
	}
	folds, err := tx.Folds()
	if err != nil {
		return err
	}
	for k, fold := range folds {
		s := stream{tx: tx, key: k, fold: fold, known: true, all: siblings(registers, k)}
		samples, err := s.load(fold.First, fold.Last)
		if err != nil {
			return err
		}
		if err := tx.Forget(k); err != nil {
			return err
		}
		w := store.Rewrite{From: math.MinInt64, To: math.MaxInt64, After: math.MinInt64, Til: math.MaxInt64}
		s.fold.State = interval.State{}
		if err := run(&s.fold.State, samples, s.options(), &w); err != nil {
			return fmt.Errorf("point %s: %w", k.Point, err)
		}
		if err := tx.Rewrite(k, w); err != nil {
			return err
		}
		if err := tx.PutFold(k, s.fold); err != nil {
			return err
		}
		if err := d.fault("stream"); err != nil {
			return err
		}
	}
	return tx.Remade()
}
