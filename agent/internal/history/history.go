package history

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// Books count what is applied. They are written in one transaction with it.
type Books interface {
	// Apply counts the readings of the sequences [first, next), less than those numbers say where some are lost.
	Apply(first, next uint64, rs []meter.Reading) error
	// Entries returns what is to be written; Written follows when it was. Nothing is applied in between.
	Entries() ([]store.Entry, error)
	Written()
}

// Options are the settings of a History.
type Options struct {
	Books Books // nil for none

	Config config.Config
	// OnOrigin, when set, is told of each target whose newest closed interval moved, with its end; of many at once only the
	// newest. It is also told when a meter was silent over the end of an interval, Grace after it. It must not block for
	// long.
	OnOrigin func(t Target, origin meter.Millis)
	Grace    time.Duration // default 2 minutes
	Now      func() time.Time
	Log      *slog.Logger
}

// History keeps intervals. Its methods may be called concurrently; Run must be called once.
type History struct {
	o     Options
	store *store.Store
	news  <-chan struct{}

	mu         sync.Mutex
	streams    map[Target]*stream
	applied    uint64 // every reading below it is in the streams
	retention  time.Duration
	written    time.Time // when state was last written
	pruned     meter.Millis
	repaired   time.Time     // when late readings were last put right
	repairTime time.Duration // how long that took
}

// Open returns a history over a store, as it was last written.
func Open(s *store.Store, o Options) (*History, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Grace = cmp.Or(o.Grace, 2*time.Minute)
	h := &History{
		o: o, store: s, news: s.Subscribe(), streams: make(map[Target]*stream), applied: s.Applied(),
		retention: o.Config.Store.Intervals, written: o.Now(),
	}
	err := s.ScanDerived([]byte("f/"), []byte("f0"), func(k, v []byte) error {
		t, err := targetOf(k)
		if err != nil {
			o.Log.Error("a stream's state is damaged; building it anew", "key", string(k), "error", err)
			return nil
		}
		x := h.newStream(t)
		if err := x.decode(v); err != nil {
			o.Log.Error("a stream's state is damaged; building it anew", "point", t.Point, "register", t.Register, "error", err)
			h.rebuild(x)
		} else if x.Resolution != x.options.Resolution || x.MaxWatts != x.options.MaxWatts {
			o.Log.Info("the settings of a point changed: building its intervals anew from the readings held", "point", t.Point, "register", t.Register)
			if x.Resolution != x.options.Resolution {
				// Intervals of another length are of no use beside the new ones.
				if err := h.cut(x, 0); err != nil {
					return err
				}
				x.Closed = 0
			}
			x.Resolution, x.MaxWatts = x.options.Resolution, x.options.MaxWatts
			h.rebuild(x)
		}
		x.announced = x.Closed
		h.streams[t] = x
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	return h, nil
}

// rebuild marks all of a stream to be computed anew; the intervals at hand are dropped as far as the log reaches.
func (h *History) rebuild(x *stream) {
	x.state = interval.State{}
	for _, of := range h.seriesOf(x.Target) {
		if first, _, ok := h.store.Span(of.ID); ok && (x.First == 0 || first < x.First) {
			x.First = first
		}
	}
	x.Late, x.dirty = max(x.First, 1), true
}

func targetOf(key []byte) (Target, error) {
	var t Target
	parts := strings.Split(string(key), "/")
	if len(parts) != 3 {
		return t, fmt.Errorf("key %q: want f/point/register", key)
	}
	return Target{parts[1], meter.Register(parts[2])}, nil
}

func (h *History) newStream(t Target) *stream {
	p := h.o.Config.PointOf(t.Point)
	x := &stream{Target: t, options: interval.Options{Resolution: p.Resolution, MaxWatts: p.MaxWatts}, days: make(map[meter.Millis]day)}
	x.Resolution, x.MaxWatts = p.Resolution, p.MaxWatts
	return x
}

// perPass is how many readings are applied at a time.
const perPass = 8192

// Run applies readings as they come, until ctx ends; then it writes what is not yet written.
func (h *History) Run(ctx context.Context) error {
	for {
		more, err := h.pass(ctx)
		if err != nil {
			h.o.Log.Error("could not bring the history up to date; trying again", "error", err)
			more = false
		}
		if more {
			continue
		}
		timer := time.NewTimer(h.pause(err != nil))
		select {
		case <-h.news:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return h.Write()
		}
		timer.Stop()
	}
}

// pause is how long nothing need be done if no reading comes.
func (h *History) pause(failed bool) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.o.Now()
	next := h.written.Add(h.o.Config.Store.StateWindow)
	for _, x := range h.streams {
		r := x.options.Resolution
		silent := meter.MillisOf(now.Add(-h.o.Grace)).Floor(r).Add(r + h.o.Grace)
		if at := silent.Time(); at.Before(next) {
			next = at
		}
	}
	least := 10 * time.Millisecond
	if failed {
		least = time.Second
	}
	return min(max(next.Sub(now), least), time.Minute)
}

// pass applies some readings and does whatever else is due. It reports whether there are more readings to apply.
func (h *History) pass(ctx context.Context) (more bool, err error) {
	h.mu.Lock()
	more, err = h.apply()
	if err == nil && ctx.Err() != nil {
		more = false
	}
	if err == nil {
		err = h.putRight(more)
	}
	due := h.o.Now().Sub(h.written) >= h.o.Config.Store.StateWindow
	origins := h.origins(more)
	h.mu.Unlock()
	if h.o.OnOrigin != nil {
		for t, origin := range origins {
			h.o.OnOrigin(t, origin)
		}
	}
	if err == nil && due {
		if err = h.Write(); err == nil {
			err = h.store.Trim()
		}
	}
	return more, err
}

// CatchUp applies every reading in the log and puts right what came late.
func (h *History) CatchUp() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		more, err := h.apply()
		if err != nil {
			return err
		}
		if !more {
			return h.putRight(false)
		}
	}
}

// apply takes the next readings of the log. The caller holds mu.
func (h *History) apply() (more bool, err error) {
	rs, next, err := h.store.Readings(h.applied, perPass)
	if err != nil {
		return false, fmt.Errorf("apply readings: %w", err)
	}
	if h.o.Books != nil {
		if err := h.o.Books.Apply(h.applied, next, rs); err != nil {
			return false, fmt.Errorf("apply readings: %w", err)
		}
	}
	of := make(map[meter.SeriesID]meter.Series)
	parts := make(map[Target][]interval.Sample)
	for _, r := range rs {
		s, ok := of[r.Series]
		if !ok {
			if s, ok = h.store.LookupSeries(r.Series); !ok {
				continue // its definition was lost with a damaged file
			}
			of[r.Series] = s
		}
		t := Target{s.Point, s.Register}
		parts[t] = append(parts[t], sampleOf(r, s))
	}
	for t, samples := range parts {
		x := h.streams[t]
		if x == nil {
			x = h.newStream(t)
			h.streams[t] = x
		}
		if err := h.take(x, samples); err != nil {
			return false, fmt.Errorf("apply readings of %s/%s: %w", t.Point, t.Register, err)
		}
	}
	h.applied = next
	return next < h.store.Next(), nil
}

// putRight recomputes the streams with late readings: at once when the log is applied, and in a long backfill only so
// often that it takes a tenth of the time. The caller holds mu.
func (h *History) putRight(more bool) error {
	now := time.Now()
	if since := now.Sub(h.repaired); more && (since < 5*time.Second || since < 10*h.repairTime) {
		return nil
	}
	any := false
	for _, x := range h.streams {
		if x.Late == 0 {
			continue
		}
		any = true
		if err := h.repair(x); err != nil {
			return fmt.Errorf("put late readings of %s/%s right: %w", x.Point, x.Register, err)
		}
	}
	if any {
		h.repaired, h.repairTime = time.Now(), time.Since(now)
	}
	return nil
}

// origins returns the targets that have a new origin. The caller holds mu.
func (h *History) origins(behind bool) map[Target]meter.Millis {
	out := make(map[Target]meter.Millis)
	silent := meter.MillisOf(h.o.Now().Add(-h.o.Grace))
	for t, x := range h.streams {
		origin := x.Closed
		if s := silent.Floor(x.options.Resolution); !behind && x.Seen > 0 && s > origin {
			origin = s
		}
		if origin > x.announced {
			x.announced, out[t] = origin, origin
		}
	}
	return out
}

// Write writes what is not yet written, durably.
func (h *History) Write() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.written = h.o.Now()
	var es []store.Entry
	for _, x := range h.streams {
		more, err := x.entries()
		if err != nil {
			return fmt.Errorf("write history: %w", err)
		}
		es = append(es, more...)
	}
	if today := meter.MillisOf(h.o.Now()).Floor(oneDay); today > h.pruned {
		old, err := h.old()
		if err != nil {
			return fmt.Errorf("write history: %w", err)
		}
		es, h.pruned = append(es, old...), today
	}
	if h.o.Books != nil {
		more, err := h.o.Books.Entries()
		if err != nil {
			return fmt.Errorf("write history: %w", err)
		}
		es = append(es, more...)
	}
	err := h.store.PutDerived(h.applied, es)
	if store.StateFull(err) {
		// Give up the oldest intervals rather than the newest; the next write deletes them.
		h.retention, h.pruned = max(h.retention*3/4, 35*oneDay), 0
		h.o.Log.Error("state.db has reached its share of the cap: keeping intervals for a shorter time", "retention", h.retention)
	}
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	for _, x := range h.streams {
		clear(x.days)
		x.dirty = false
	}
	if h.o.Books != nil {
		h.o.Books.Written()
	}
	return nil
}

// old returns the deletion of every day beyond retention.
func (h *History) old() (es []store.Entry, err error) {
	before := meter.MillisOf(h.o.Now().Add(-h.retention)).Floor(oneDay)
	for t := range h.streams {
		err = h.store.ScanDerived(dayKey(t, 0), dayKey(t, max(before, 0)), func(k, _ []byte) error {
			es = append(es, store.Entry{Key: k})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return es, nil
}

// History returns the intervals of a point's register that start in [from, to), ascending. Where nothing is known, there
// is none.
func (h *History) History(point string, register meter.Register, from, to meter.Millis) ([]interval.Interval, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.streams[Target{point, register}]
	if x == nil || from >= to {
		return nil, nil
	}
	days := make(map[meter.Millis]day)
	first, last := max(from, 0).Floor(oneDay), max(to-1, 0).Floor(oneDay)
	err := h.store.ScanDerived(dayKey(x.Target, first), append(dayKey(x.Target, last), 0), func(k, v []byte) (err error) {
		days[midnightOf(k)], err = decodeDay(midnightOf(k), v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read intervals of %s/%s: %w", point, register, err)
	}
	maps.Copy(days, x.days)
	var out []interval.Interval
	for _, midnight := range slices.Sorted(maps.Keys(days)) {
		for _, i := range days[midnight] {
			if i.Start >= from && i.Start < to {
				out = append(out, i)
			}
		}
	}
	return out, nil
}

// Stream is what is known of a target.
type Stream struct {
	Target
	Resolution time.Duration
	Last       meter.Reading // the reading with the newest instant
	Closed     meter.Millis  // end of the newest closed interval; 0 without one
	Readings   uint64
	Late       uint64            // readings that came late
	Events     map[string]uint64 // what happened to the meter, by kind
}

// Streams returns every target, by point and register.
func (h *History) Streams() []Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Stream
	for _, x := range h.streams {
		out = append(out, x.describe())
	}
	slices.SortFunc(out, func(a, b Stream) int {
		return cmp.Or(cmp.Compare(a.Point, b.Point), cmp.Compare(a.Register, b.Register))
	})
	return out
}

// Stream returns what is known of a target.
func (h *History) Stream(t Target) (Stream, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.streams[t]; x != nil {
		return x.describe(), true
	}
	return Stream{}, false
}

func (x *stream) describe() Stream {
	return Stream{Target: x.Target, Resolution: x.options.Resolution, Last: x.Last, Closed: x.Closed, Readings: x.Seen, Late: x.Lates, Events: maps.Clone(x.Events)}
}

// Applied returns the sequence below which every reading is in the intervals.
func (h *History) Applied() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.applied
}
