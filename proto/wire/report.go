package wire

import (
	"time"

	meterv1 "fluxora.dev/proto/fluxora/meter/v1"
	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// Quarantined is a message or a reading that the agent could not decode or believe.
type Quarantined struct {
	ID       uint64 // ascending within the agent's epoch
	Reason   string // a reason code of package meter
	Detail   string // what was wrong, where, and what would be right
	Topic    string // MQTT topic it came on
	Payload  []byte // as received, cut to MaxPayload
	Received meter.Millis
	Point    string // empty when unknown
}

// States of a model at an agent.
const (
	ModelActive   = "active"
	ModelPrevious = "previous"
	ModelRefused  = "refused"
)

// ModelState says what became of an announced model at an agent.
type ModelState struct {
	ID     string
	State  string // ModelActive, ModelPrevious or ModelRefused
	Detail string // why it was refused
}

// Report carries what is stored by key, not by sequence: sending one twice changes nothing.
type Report struct {
	ID          uint64 // echoed in the answer
	Forecasts   []forecast.Forecast
	Quarantined []Quarantined
	Models      []ModelState
	Live        []LiveDay
}

// Empty reports whether r says nothing.
func (r Report) Empty() bool {
	return len(r.Forecasts)+len(r.Quarantined)+len(r.Models)+len(r.Live) == 0
}

// EncodeReport returns the message for r. Texts and payloads over the bounds are cut.
func EncodeReport(r Report) *uplinkv1.Report {
	m := &uplinkv1.Report{Id: r.ID}
	for _, f := range r.Forecasts {
		m.Forecasts = append(m.Forecasts, EncodeForecast(f))
	}
	for _, q := range r.Quarantined {
		m.Quarantined = append(m.Quarantined, &meterv1.Quarantined{
			Id: q.ID, Reason: cut(q.Reason, MaxText), Detail: cut(q.Detail, MaxText), Topic: cut(q.Topic, MaxText),
			Payload: q.Payload[:min(len(q.Payload), MaxPayload)], ReceivedMs: int64(q.Received), Point: q.Point,
		})
	}
	for _, s := range r.Models {
		m.Models = append(m.Models, &uplinkv1.ModelState{Id: s.ID, State: s.State, Detail: cut(s.Detail, MaxText)})
	}
	for _, l := range r.Live {
		m.Live = append(m.Live, encodeLiveDay(l))
	}
	return m
}

// cut returns at most most bytes of s, as valid UTF-8, which Protocol Buffers demand of strings.
func cut(s string, most int) string {
	return toValid(s[:min(len(s), most)], most)
}

// DecodeReport returns the report in m.
func DecodeReport(m *uplinkv1.Report) (Report, error) {
	r := Report{ID: m.GetId()}
	for _, p := range m.GetForecasts() {
		f, err := DecodeForecast(p)
		if err != nil {
			return Report{}, err
		}
		r.Forecasts = append(r.Forecasts, f)
	}
	for _, p := range m.GetQuarantined() {
		q := Quarantined{p.GetId(), p.GetReason(), p.GetDetail(), p.GetTopic(), p.GetPayload(), meter.Millis(p.GetReceivedMs()), p.GetPoint()}
		if len(q.Payload) > MaxPayload {
			return Report{}, invalid("quarantined %d: payload of %d bytes: want at most %d", q.ID, len(q.Payload), MaxPayload)
		}
		for what, s := range map[string]string{"reason": q.Reason, "detail": q.Detail, "topic": q.Topic, "point": q.Point} {
			if err := checkText("quarantined: "+what, s); err != nil {
				return Report{}, err
			}
		}
		r.Quarantined = append(r.Quarantined, q)
	}
	for _, p := range m.GetModels() {
		s := ModelState{p.GetId(), p.GetState(), p.GetDetail()}
		switch s.State {
		case ModelActive, ModelPrevious, ModelRefused:
		default:
			return Report{}, invalid("model %q: state %q: want active, previous or refused", s.ID, s.State)
		}
		if err := meter.CheckName("model", s.ID); err != nil {
			return Report{}, invalid("%v", err)
		}
		if err := checkText("model: detail", s.Detail); err != nil {
			return Report{}, err
		}
		r.Models = append(r.Models, s)
	}
	for _, p := range m.GetLive() {
		l, err := decodeLiveDay(p)
		if err != nil {
			return Report{}, err
		}
		r.Live = append(r.Live, l)
	}
	return r, nil
}

// SplitReport returns m as reports of one entry each, with m's id, so that an entry that is invalid can be told from the rest.
func SplitReport(m *uplinkv1.Report) []*uplinkv1.Report {
	var out []*uplinkv1.Report
	for _, f := range m.GetForecasts() {
		out = append(out, &uplinkv1.Report{Id: m.GetId(), Forecasts: []*meterv1.Forecast{f}})
	}
	for _, q := range m.GetQuarantined() {
		out = append(out, &uplinkv1.Report{Id: m.GetId(), Quarantined: []*meterv1.Quarantined{q}})
	}
	for _, s := range m.GetModels() {
		out = append(out, &uplinkv1.Report{Id: m.GetId(), Models: []*uplinkv1.ModelState{s}})
	}
	for _, l := range m.GetLive() {
		out = append(out, &uplinkv1.Report{Id: m.GetId(), Live: []*uplinkv1.LiveDay{l}})
	}
	return out
}

// ReportAck answers a Report.
type ReportAck struct {
	ID      uint64
	Refused uint32 // entries that can never be stored
	Reason  string // why the first of them was refused
}

// EncodeReportAck returns the message for a. A reason over MaxText is cut.
func EncodeReportAck(a ReportAck) *uplinkv1.ReportAck {
	return &uplinkv1.ReportAck{Id: a.ID, Refused: a.Refused, Reason: cut(a.Reason, MaxText)}
}

// DecodeReportAck returns what m says.
func DecodeReportAck(m *uplinkv1.ReportAck) (ReportAck, error) {
	return ReportAck{m.GetId(), m.GetRefused(), m.GetReason()}, checkText("report ack: reason", m.GetReason())
}

// EncodeForecast returns the message for f.
func EncodeForecast(f forecast.Forecast) *meterv1.Forecast {
	return &meterv1.Forecast{
		Point: f.Point, Register: string(f.Register), OriginMs: int64(f.Origin), ResolutionMs: f.Resolution.Milliseconds(),
		Levels: f.Levels, Values: f.Values, Rung: string(f.Rung), Model: f.Model, Completeness: f.Completeness, IssuedMs: int64(f.Issued),
	}
}

// DecodeForecast returns the forecast in m.
func DecodeForecast(m *meterv1.Forecast) (forecast.Forecast, error) {
	f := forecast.Forecast{
		Point: m.GetPoint(), Register: meter.Register(m.GetRegister()), Origin: meter.Millis(m.GetOriginMs()),
		Levels: m.GetLevels(), Values: m.GetValues(), Rung: forecast.Rung(m.GetRung()), Model: m.GetModel(),
		Completeness: m.GetCompleteness(), Issued: meter.Millis(m.GetIssuedMs()),
	}
	var err error
	if f.Resolution, err = decodeResolution("forecast", m.GetResolutionMs()); err != nil {
		return forecast.Forecast{}, err
	}
	if len(f.Values) > MaxSteps {
		return forecast.Forecast{}, invalid("forecast of %d values: want at most %d", len(f.Values), MaxSteps)
	}
	if err := f.Check(); err != nil {
		return forecast.Forecast{}, invalid("%v", err)
	}
	if _, err := meter.LookupRegister(string(f.Register)); err != nil {
		return forecast.Forecast{}, invalid("forecast: %v", err)
	}
	if !(f.Completeness >= 0 && f.Completeness <= 1) {
		return forecast.Forecast{}, invalid("forecast: completeness %g: want 0 to 1", f.Completeness)
	}
	return f, checkText("forecast: model", f.Model)
}

// decodeResolution guards against a number of milliseconds that overflows a Duration.
func decodeResolution(what string, ms int64) (time.Duration, error) {
	if ms < 0 || ms > (24*time.Hour).Milliseconds() {
		return 0, invalid("%s: resolution %d ms: want at most 24 hours", what, ms)
	}
	return time.Duration(ms) * time.Millisecond, nil
}
