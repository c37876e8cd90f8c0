package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"fluxora.dev/agent/internal/clock"
	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Log is where readings go.
type Log interface {
	SeriesID(meter.Series) (meter.SeriesID, error)
	Append(ctx context.Context, rs []meter.Reading) (first uint64, err error) // durable on return
	Quarantine([]store.Quarantined) error                                     // durable on return
	Span(meter.SeriesID) (from, to meter.Millis, ok bool)
	Scan(series meter.SeriesID, from, to meter.Millis, fn func(meter.Reading) error) error
	Next() uint64
	Readings(from uint64, atLeast int) (rs []meter.Reading, next uint64, err error)
	LookupSeries(meter.SeriesID) (meter.Series, bool)
	Put(name string, value []byte) error // durable on return
	Value(name string) ([]byte, error)
}

// Options are the settings of an Ingest.
type Options struct {
	Config config.Config
	Now    func() time.Time
	Clock  *clock.Clock         // how far Now may be believed; when nil, it is
	Window func() time.Duration // how long readings wait for others, within the commit window; when nil, that
	Log    *slog.Logger

	// Apart, when set, is told of duplicates left out and of corrections stored, after the commit. It must not block.
	Apart func(correction bool, of meter.SeriesID, at meter.Millis)
}

// Stats counts what was taken in since the start.
type Stats struct {
	Messages   uint64
	Readings   uint64 // stored
	Repeats    uint64 // readings that were there already
	Corrected  uint64 // readings that replaced another value of the same instant, of those stored
	Held       uint64 // readings that wait, durably, for the time to be known
	Redated    uint64 // readings whose instant was put right, of those stored
	Unrelated  uint64 // messages of presets without a value
	Refused    map[meter.Reason]uint64
	Commits    uint64
	Failures   uint64 // commits that had to be tried again
	CommitTime time.Duration
	Last       time.Time // of the last commit
}

// Bounds of a group.
const (
	maxGroup     = 16 << 10 // readings
	maxGroupSize = 4 << 20  // bytes of payloads
	queue        = 256      // messages between the connection and the decoder
)

// Ingest takes messages in. Create it with New, call Run once, and Take from the connection.
type Ingest struct {
	o        Options
	log      Log
	decoder  decoder
	messages chan mqtt.Message
	releases chan releasing

	mu    sync.Mutex
	stats Stats

	// Owned by Run.
	holding holding
	repeats *repeats
	values  *repeats // without instants, for those dated by their arrival
	newest  map[meter.SeriesID]meter.Millis
	pipe    pipe
}

// New returns an Ingest that stores into log.
func New(log Log, o Options) (*Ingest, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Apart == nil {
		o.Apart = func(bool, meter.SeriesID, meter.Millis) {}
	}
	if o.Clock == nil {
		o.Clock = clock.Fixed(o.Now)
	}
	d, err := newDecoder(o.Config, log)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	in := &Ingest{
		o: o, log: log, decoder: d, messages: make(chan mqtt.Message, queue), releases: make(chan releasing), repeats: newRepeats(), values: newRepeats(),
		newest: make(map[meter.SeriesID]meter.Millis), pipe: pipe{limit: max(o.Config.MQTT.MaxInflight, 1)},
		stats: Stats{Refused: make(map[meter.Reason]uint64)},
	}
	if in.holding, err = openHolding(log, o.Clock.Boot(), int(o.Config.Store.MaxBytes/16)); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	in.stats.Held = in.holding.readings
	return in, nil
}

// Filters returns the MQTT filters of everything that is understood.
func (in *Ingest) Filters() []string {
	fs := []string{topic.ReadingFilter(in.o.Config.Site)}
	for _, m := range in.decoder.mappings {
		fs = append(fs, m.filter())
	}
	slices.Sort(fs)
	return slices.Compact(fs)
}

// Stats returns the counters.
func (in *Ingest) Stats() Stats {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.stats
	s.Refused = maps.Clone(s.Refused)
	return s
}

// remember fills the window of repeats with the newest readings of the log: those that may come again because their acks
// did not arrive. When the log cannot be read, an Append of nothing lets it put right what it could not when it was opened.
func (in *Ingest) remember(ctx context.Context) error {
	next := in.log.Next()
	from := next - min(next-1, window)
	for from < next {
		rs, n, err := in.log.Readings(from, 4096)
		if err != nil {
			_, again := in.log.Append(ctx, nil)
			return errors.Join(err, again)
		}
		for _, r := range rs {
			in.repeats.add(r)
			in.values.add(undated(r))
		}
		if n <= from {
			break
		}
		from = n
	}
	return nil
}

// Take hands a message over; it blocks while the queue is full, which tells the broker to wait, and gives up when ctx
// ends: the message is not acked then and will come again.
func (in *Ingest) Take(ctx context.Context, m mqtt.Message) {
	if len(m.Payload) > topic.MaxPayload {
		// Keep what the quarantine keeps, so that the queue cannot hold many of these.
		m.Payload = append(make([]byte, 0, topic.MaxPayload+1), m.Payload[:topic.MaxPayload+1]...)
	}
	select {
	case in.messages <- m:
	case <-ctx.Done():
	}
}

// group is what one commit takes.
type group struct {
	messages []mqtt.Message
	readings []meter.Reading
	held     []heldReading
	refused  []store.Quarantined
	size     int
	began    time.Time // when its first message came
	counts   Stats     // what it adds to the counters

	repeats     []meter.Reading // left out
	corrections []meter.Reading // stored
}

// repeat leaves a reading out that was there already.
func (g *group) repeat(r meter.Reading) {
	g.counts.Repeats++
	g.repeats = append(g.repeats, r)
}

// Run takes in messages until ctx ends. What waits then is committed and acked first if that can be done at once.
func (in *Ingest) Run(ctx context.Context) error {
	g := in.newGroup()
	// Until the log can be read nothing is taken in: what comes again would be stored twice.
	if err := in.retry(ctx, g, func() error { return in.remember(ctx) }); err != nil {
		return nil // ctx has ended
	}
	var committing chan struct{} // closed when the commit at work is done; nil without one
	due := true                  // what is held may have an instant now
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var expired <-chan time.Time
		if due && committing == nil {
			if due = false; in.holding.any() {
				committing = make(chan struct{})
				go in.release(ctx, committing)
			}
		}
		if len(g.messages) > 0 {
			full := committing == nil && (in.pipe.full(len(g.messages)) || g.len() >= maxGroup || g.size >= maxGroupSize)
			left := in.window() - time.Since(g.began)
			if committing == nil && (full || left <= 0) {
				if !full {
					in.pipe.expired(len(g.messages))
				}
				committing = make(chan struct{})
				go in.commit(ctx, g, committing)
				g = in.newGroup()
				continue
			}
			timer.Reset(max(left, 0))
			expired = timer.C
			if committing != nil {
				expired = nil
			}
		}
		messages := in.messages
		if g.len() >= maxGroup || g.size >= maxGroupSize {
			messages = nil // wait for the commit at work
		}
		var releases <-chan releasing
		if committing == nil {
			releases = in.releases
		}
		select {
		case r := <-releases:
			r.done <- in.take(ctx, r)
		case m := <-messages:
			if len(g.messages) == 0 {
				g.began = time.Now()
				in.pipe.begin(g.began)
			}
			in.add(g, m)
		case <-committing:
			committing = nil
			in.pipe.acked(time.Now())
		case <-in.o.Clock.Changed():
			due = true
		case <-expired:
		case <-ctx.Done():
			if committing != nil {
				<-committing
			}
			if len(g.messages) > 0 {
				done := make(chan struct{})
				in.commit(ctx, g, done)
			}
			return nil
		}
	}
}

// window returns how long the oldest message of a group may wait.
func (in *Ingest) window() time.Duration {
	if in.o.Window == nil {
		return in.o.Config.Store.CommitWindow
	}
	return min(in.o.Window(), in.o.Config.Store.CommitWindow)
}

// len returns how many readings the group holds.
func (g *group) len() int { return len(g.readings) + len(g.held) }

func (in *Ingest) newGroup() *group {
	return &group{counts: Stats{Refused: make(map[meter.Reason]uint64)}}
}

// add decodes a message into the group.
func (in *Ingest) add(g *group, m mqtt.Message) {
	here := in.o.Clock.Moment()
	g.messages = append(g.messages, m)
	g.size += len(m.Payload)
	g.counts.Messages++
	decoded, unrelated, err := in.decoder.decode(m, here.Wall)
	if err != nil {
		in.refuse(g, m, here.Now, err, 1)
		return
	}
	if unrelated {
		g.counts.Unrelated++
		return
	}
	in.judge(g, m, here, decoded)
}

// judge validates decoded readings and stages what is good and new.
func (in *Ingest) judge(g *group, m mqtt.Message, here clock.Moment, decoded []decodedReading) {
	var bad map[meter.Reason][]decodedReading
	var why map[meter.Reason]*topic.Error
	for _, d := range decoded {
		if d.arrival && (m.Retained || m.Repeated && in.values.has(undated(meter.Reading{Series: d.series, Value: d.Value}))) {
			g.repeat(meter.Reading{Series: d.series, At: d.At, Value: d.Value}) // its time of arrival says nothing
			continue
		}
		e := in.decoder.checkValue(d)
		dating := dated
		if e == nil {
			dating = in.date(&d, here, !m.Retained)
		}
		if e == nil && dating != hold {
			e = in.decoder.checkTime(d, known(here))
		}
		if e != nil {
			if bad == nil {
				bad, why = make(map[meter.Reason][]decodedReading), make(map[meter.Reason]*topic.Error)
			}
			bad[e.Reason], why[e.Reason] = append(bad[e.Reason], d), cmp.Or(why[e.Reason], e)
			continue
		}
		r := meter.Reading{Series: d.series, At: d.At, Value: d.Value, Quality: d.Quality}
		if !in.repeats.add(r) {
			g.repeat(r)
			continue
		}
		if d.arrival {
			in.values.add(undated(r))
		}
		switch dating {
		case hold:
			g.held = append(g.held, heldReading{r, d.At + meter.Millis(here.Since.Milliseconds()) - here.Wall})
			continue
		case redated:
			g.counts.Redated++
		}
		g.readings = append(g.readings, r)
	}
	for reason, ds := range bad {
		payloads, counts := parts(ds)
		for i, payload := range payloads {
			e := *why[reason]
			if len(decoded) > 1 {
				e.Detail = fmt.Sprintf("%d of %d readings; the first: %s", counts[i], len(decoded), e.Detail)
			}
			part := m
			part.Payload = payload
			in.refuse(g, part, here.Now, &e, uint64(counts[i]))
		}
	}
}

// refuse puts a message into quarantine.
func (in *Ingest) refuse(g *group, m mqtt.Message, now meter.Millis, err error, readings uint64) {
	q := store.Quarantined{Reason: string(meter.Undecodable), Detail: err.Error(), Topic: m.Topic, Received: now}
	if e := (*topic.Error)(nil); errors.As(err, &e) {
		q.Reason, q.Detail = string(e.Reason), e.Detail
	}
	q.Payload = slices.Clone(m.Payload[:min(len(m.Payload), store.MaxQuarantinedPayload)])
	q.Point = in.decoder.point(m.Topic)
	g.refused = append(g.refused, q)
	g.counts.Refused[meter.Reason(q.Reason)] += readings
}

// commit stores a group, trying again until it can, and acks its messages. It is the only user of newest, and Run starts
// one at a time.
func (in *Ingest) commit(ctx context.Context, g *group, done chan struct{}) {
	defer close(done)
	if in.store(ctx, g) != nil {
		return // stopping; unacked messages come again
	}
	for _, m := range g.messages {
		m.Ack()
	}
}

// store makes all of a group durable.
func (in *Ingest) store(ctx context.Context, g *group) error {
	began := time.Now()
	err := in.retry(ctx, g, func() error {
		in.weed(g)
		if len(g.readings) == 0 {
			return nil
		}
		_, err := in.log.Append(context.WithoutCancel(ctx), g.readings)
		return err
	})
	if err == nil {
		g.counts.Readings = uint64(len(g.readings))
		for _, r := range g.readings {
			if at, ok := in.newest[r.Series]; !ok || r.At > at {
				in.newest[r.Series] = r.At
			}
		}
		err = in.retry(ctx, g, func() error { return in.keep(g) })
	}
	if err == nil {
		err = in.retry(ctx, g, func() error { return in.log.Quarantine(g.refused) })
	}
	if err == nil {
		in.count(g, time.Since(began))
	}
	return err
}

// retry calls fn until it succeeds, or ctx has ended and it fails.
func (in *Ingest) retry(ctx context.Context, g *group, fn func() error) error {
	pause := 100 * time.Millisecond
	for {
		err := fn()
		if err == nil {
			return nil
		}
		in.mu.Lock()
		in.stats.Failures++
		in.mu.Unlock()
		in.o.Log.Error("could not store; trying again", "messages", len(g.messages), "error", err, "again in", pause)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause = min(2*pause, 10*time.Second)
	}
}

func (in *Ingest) count(g *group, took time.Duration) {
	for _, r := range g.repeats {
		in.o.Apart(false, r.Series, r.At)
	}
	for _, r := range g.corrections {
		in.o.Apart(true, r.Series, r.At)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	s := &in.stats
	s.Messages += g.counts.Messages
	s.Readings += g.counts.Readings
	s.Repeats += g.counts.Repeats
	s.Corrected += uint64(len(g.corrections))
	s.Unrelated += g.counts.Unrelated
	s.Redated += g.counts.Redated
	s.Held = in.holding.readings
	for r, n := range g.counts.Refused {
		s.Refused[r] += n
	}
	s.Commits++
	s.CommitTime += took
	s.Last = in.o.Now()
}
