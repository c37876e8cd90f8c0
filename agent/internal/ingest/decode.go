package ingest

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// decodedReading is a reading of a message, with its series.
type decodedReading struct {
	topic.Payload
	series  meter.SeriesID
	arrival bool // At is the time of arrival
}

// route says what a topic means. It is kept for the topics seen, up to maxRoutes.
type route struct {
	native   bool
	point    string
	register meter.RegisterInfo
	mapped   []mapped
	err      error
}

type mapped struct {
	*mapping
	point    string
	register meter.RegisterInfo
	err      error
}

const maxRoutes = 4096

// decoder turns messages into readings. It belongs to one goroutine.
type decoder struct {
	c        config.Config
	log      Log
	mappings []mapping
	routes   map[string]*route
	points   map[string]config.Point
	payloads []topic.Payload
	out      []decodedReading
}

func newDecoder(c config.Config, log Log) (decoder, error) {
	ms, err := parseMappings(c.MQTT.Mappings)
	d := decoder{c: c, log: log, mappings: ms, routes: make(map[string]*route), points: make(map[string]config.Point)}
	for _, p := range c.Points {
		d.points[p.Name] = p
	}
	return d, err
}

func (d *decoder) route(name string) *route {
	if r := d.routes[name]; r != nil {
		return r
	}
	r := d.newRoute(name)
	if len(d.routes) < maxRoutes {
		d.routes[name] = r
	}
	return r
}

func (d *decoder) newRoute(name string) *route {
	site, point, register, err := topic.ParseReading(name)
	if err == nil && site == d.c.Site {
		info, err := meter.LookupRegister(string(register))
		if err == nil {
			err = d.allowed(point, info)
		}
		return &route{native: true, point: point, register: info, err: err}
	}
	if err == nil {
		err = &topic.Error{Reason: meter.UnknownTopic, Detail: fmt.Sprintf("site %s: this agent is for %s", site, d.c.Site)}
	}
	r := &route{}
	for i := range d.mappings {
		m := &d.mappings[i]
		point, register, ok := m.match(name)
		if !ok {
			continue
		}
		x := mapped{mapping: m, point: point}
		if e := meter.CheckName("point", point); e != nil {
			x.err = &topic.Error{Reason: meter.UnknownTopic, Detail: e.Error()}
		} else if x.register, e = meter.LookupRegister(register); e != nil {
			x.err = &topic.Error{Reason: meter.UnknownRegister, Detail: e.Error()}
		} else {
			x.err = d.allowed(point, x.register)
		}
		r.mapped = append(r.mapped, x)
		r.point = point
	}
	if len(r.mapped) == 0 {
		r.err = err
	}
	return r
}

// allowed refuses registers that the point's configuration leaves out.
func (d *decoder) allowed(point string, register meter.RegisterInfo) error {
	p, ok := d.points[point]
	if !ok || len(p.Registers) == 0 || slices.ContainsFunc(p.Registers, func(s string) bool {
		info, err := meter.LookupRegister(s)
		return err == nil && info.Name == register.Name
	}) {
		return nil
	}
	return &topic.Error{Reason: meter.UnknownRegister, Detail: fmt.Sprintf("register %s of point %s: its configuration takes only %v", register.Name, point, p.Registers)}
}

// point returns the point that a topic is about, as far as that is known.
func (d *decoder) point(name string) string {
	if r := d.route(name); meter.CheckName("point", r.point) == nil {
		return r.point
	}
	return ""
}

// decode returns the readings of a message. The slice lives until the next call.
func (d *decoder) decode(m mqtt.Message, now meter.Millis) (rs []decodedReading, unrelated bool, err error) {
	r := d.route(m.Topic)
	if r.err != nil {
		return nil, false, r.err
	}
	if len(m.Payload) > topic.MaxPayload {
		return nil, false, &topic.Error{Reason: meter.TooLarge, Detail: fmt.Sprintf("payload of more than %d bytes", topic.MaxPayload)}
	}
	d.out = d.out[:0]
	if !r.native {
		return d.decodeMapped(r, m, now)
	}
	d.payloads, err = topic.DecodeReadings(d.payloads[:0], m.Payload, r.register)
	if err != nil {
		return nil, false, err
	}
	for i, p := range d.payloads {
		x := decodedReading{Payload: p}
		if i > 0 && sameSeries(p, d.payloads[i-1]) {
			x.series = d.out[i-1].series
		} else if x.series, err = d.series(r.point, r.register.Name, p); err != nil {
			return nil, false, err
		}
		d.out = append(d.out, x)
	}
	return d.out, false, nil
}

func sameSeries(a, b topic.Payload) bool {
	return a.Meter == b.Meter && a.Kind == b.Kind && a.Modulus == b.Modulus
}

// decodeMapped reads a message by every mapping that its topic fits. One bad value refuses the message.
func (d *decoder) decodeMapped(r *route, m mqtt.Message, now meter.Millis) ([]decodedReading, bool, error) {
	doc := &document{payload: m.Payload}
	for _, x := range r.mapped {
		if x.err != nil {
			return nil, false, x.err
		}
		p, timed, ok, err := x.decode(doc, x.register)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			continue
		}
		if !timed {
			p.At = now
		}
		id, err := d.series(x.point, x.register.Name, p)
		if err != nil {
			return nil, false, err
		}
		d.out = append(d.out, decodedReading{p, id, !timed})
	}
	return d.out, len(d.out) == 0, nil
}

func (d *decoder) series(point string, register meter.Register, p topic.Payload) (meter.SeriesID, error) {
	s := meter.Series{Point: point, Meter: p.Meter, Register: register, Kind: p.Kind, Modulus: p.Modulus}
	if s.Modulus == 0 && s.Kind == meter.Counter {
		if cfg, ok := d.points[point]; ok {
			s.Modulus = int64(math.Round(cfg.Modulus * 1e6))
		}
	}
	id, err := d.log.SeriesID(s)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, store.ErrTooManySeries):
		return 0, &topic.Error{Reason: meter.TooManySeries, Detail: err.Error()}
	}
	return 0, &topic.Error{Reason: meter.BadMeter, Detail: err.Error()}
}

// firstBelievable is the start of 2020: what lies before was sent by a clock that was not set.
const firstBelievable meter.Millis = 1_577_836_800_000 // clock.Epoch

// refusal is a reason with its words.
func refusal(reason meter.Reason, format string, args ...any) *topic.Error {
	return &topic.Error{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// checkTime returns why a reading's instant is not believed, nil if it is. Here is the time; 0 when it is not known, since an agent
// whose own clock is not set cannot judge another's.
func (d *decoder) checkTime(r decodedReading, here meter.Millis) *topic.Error {
	l := d.c.Limits
	switch {
	case r.At < firstBelievable:
		return refusal(meter.UnsetClock, "instant %s: the clock that stamped it was not set", r.At)
	case here < firstBelievable:
	case r.At > here.Add(l.Future):
		return refusal(meter.Future, "instant %s is ahead of the agent's clock %s by more than %s", r.At, here, l.Future)
	case r.At < here.Add(-l.Oldest):
		return refusal(meter.TooOld, "instant %s is more than %s ago", r.At, l.Oldest)
	}
	return nil
}

// checkValue returns why a reading's value is not believed, nil if it is.
func (d *decoder) checkValue(r decodedReading) *topic.Error {
	most := d.c.Limits.MaxKWh * 1e6
	if r.Kind == meter.Power {
		most = d.c.Limits.MaxWatts * 1e3
	}
	switch v := float64(r.Value); {
	case v > most || v < -most:
		return refusal(meter.Absurd, "value %g is beyond %g, in thousandths of the base unit", v, most)
	case v < 0 && r.Kind != meter.Power:
		return refusal(meter.Absurd, "value %g: energy is never negative; export has a register of its own", v)
	}
	return nil
}

// parts returns readings as native payloads that each fit the quarantine, with how many readings each holds.
func parts(ds []decodedReading) (payloads [][]byte, counts []int) {
	var ps []topic.Payload
	size := 2
	flush := func() {
		if len(ps) > 0 {
			payloads, counts = append(payloads, topic.EncodeReadings(nil, ps, "")), append(counts, len(ps))
		}
		ps, size = ps[:0], 2
	}
	for _, d := range ds {
		n := len(topic.EncodeReadings(nil, []topic.Payload{d.Payload}, "")) + 1
		if size += n; size > store.MaxQuarantinedPayload {
			flush()
			size += n
		}
		ps = append(ps, d.Payload)
	}
	flush()
	return payloads, counts
}
