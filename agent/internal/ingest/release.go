package ingest

import (
	"context"
	"errors"
	"fmt"

	"fluxora.dev/agent/internal/clock"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Release says how a message in quarantine is to be taken after all. The zero value takes it as it would be taken today.
type Release struct {
	Point        string         // when not what its topic says
	Register     meter.Register // when not what its topic says
	At           meter.Millis   // of its first reading; the others keep their distances; 0 when they are right
	AcceptAbsurd bool           // take values beyond the limits, and instants ahead of the clock or very old
}

// Released is what became of it.
type Released struct {
	Readings int // stored
	Repeats  int // there already
}

// ErrNotReleased says that the message cannot be taken so; the error has the reason.
var ErrNotReleased = errors.New("not released")

// releasing is a Release on its way to Run.
type releasing struct {
	q    store.Quarantined
	how  Release
	done chan<- releaseEnd
}

type releaseEnd struct {
	Released
	err error
}

// Release takes a message from quarantine: its readings are stored like any other's, so the intervals that they touch are made
// anew and the hub gets them. Doing it twice stores nothing twice.
func (in *Ingest) Release(ctx context.Context, q store.Quarantined, how Release) (Released, error) {
	done := make(chan releaseEnd, 1)
	select {
	case in.releases <- releasing{q, how, done}:
	case <-ctx.Done():
		return Released{}, context.Cause(ctx)
	}
	select {
	case end := <-done:
		return end.Released, end.err
	case <-ctx.Done():
		return Released{}, context.Cause(ctx)
	}
}

// take carries out a release. Run calls it while no commit is at work.
func (in *Ingest) take(ctx context.Context, r releasing) (end releaseEnd) {
	here := in.o.Clock.Moment()
	ds, err := in.decodeReleased(r.q, r.how, here)
	if err != nil {
		return releaseEnd{err: err}
	}
	g := in.newGroup()
	for _, d := range ds {
		g.readings = append(g.readings, meter.Reading{Series: d.series, At: d.At, Value: d.Value, Quality: d.Quality})
	}
	in.weed(g)
	if len(g.readings) > 0 {
		if _, err := in.log.Append(context.WithoutCancel(ctx), g.readings); err != nil {
			return releaseEnd{err: err}
		}
	}
	for _, x := range g.readings {
		if at, ok := in.newest[x.Series]; !ok || x.At > at {
			in.newest[x.Series] = x.At
		}
	}
	g.counts.Readings = uint64(len(g.readings))
	in.count(g, 0)
	return releaseEnd{Released: Released{len(g.readings), len(ds) - len(g.readings)}}
}

// decodeReleased reads a message as it is to be taken.
func (in *Ingest) decodeReleased(q store.Quarantined, how Release, here clock.Moment) ([]decodedReading, error) {
	no := func(format string, args ...any) ([]decodedReading, error) {
		return nil, fmt.Errorf("message %d: %w: %w", q.ID, ErrNotReleased, fmt.Errorf(format, args...))
	}
	d := &in.decoder
	at := how.At
	if at == 0 {
		at = q.Received
	}
	var ds []decodedReading
	var unrelated bool
	err := errors.New("decoded otherwise")
	if how.Point == "" && how.Register == "" {
		ds, unrelated, err = d.decode(mqtt.Message{Topic: q.Topic, Payload: q.Payload}, at)
	}
	if err != nil || unrelated {
		point, register, e := in.target(q, how)
		if e != nil {
			return no("%w", e)
		}
		var ps []topic.Payload
		if ps, e = topic.DecodeReadings(nil, q.Payload, register); e != nil {
			value, bad := topic.ParseDecimal(q.Payload, 3)
			switch {
			case bad == nil && how.At != 0:
				ps = []topic.Payload{{At: how.At, Value: value, Kind: register.Kind}}
			case bad == nil:
				return no("the payload is a number: it needs the instant it was taken at")
			case len(q.Payload) >= store.MaxQuarantinedPayload:
				return no("only its first %d bytes were kept", len(q.Payload))
			default:
				return no("%w", e)
			}
		}
		ds = ds[:0]
		for _, p := range ps {
			id, e := d.series(point, register.Name, p)
			if e != nil {
				return no("%w", e)
			}
			ds = append(ds, decodedReading{Payload: p, series: id})
		}
	}
	if len(ds) == 0 {
		return no("it holds no reading")
	}
	var shift meter.Millis
	if how.At != 0 {
		first := ds[0].At
		for _, x := range ds {
			first = min(first, x.At)
		}
		shift = how.At - first
	}
	for i := range ds {
		x := &ds[i]
		if x.At += shift; shift != 0 {
			x.Quality = max(x.Quality, meter.Edited)
		}
		e := in.decoder.checkTime(*x, known(here))
		if how.AcceptAbsurd && x.At >= firstBelievable {
			e = nil
		} else if e == nil {
			e = in.decoder.checkValue(*x)
		}
		if e != nil {
			return no("reading %d: %s", i+1, e.Detail)
		}
	}
	return ds, nil
}

// target returns what a message is about.
func (in *Ingest) target(q store.Quarantined, how Release) (point string, register meter.RegisterInfo, err error) {
	point, name := how.Point, string(how.Register)
	_, p, r, bad := topic.ParseReading(q.Topic)
	if bad != nil {
		p = q.Point
		if mapped := in.decoder.route(q.Topic).mapped; len(mapped) > 0 {
			p, r = mapped[0].point, mapped[0].register.Name
		}
	}
	if point == "" {
		point = p
	}
	if name == "" {
		name = string(r)
	}
	if err := meter.CheckName("point", point); err != nil {
		return "", register, err
	}
	register, err = meter.LookupRegister(name)
	return point, register, err
}
