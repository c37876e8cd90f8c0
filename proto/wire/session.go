package wire

import (
	"fluxora.dev/shared/meter"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
)

// Range is a half-open range of sequences [First, End).
type Range struct{ First, End uint64 }

// Len returns how many sequences r holds.
func (r Range) Len() uint64 { return r.End - r.First }

// EncodeRange returns the message for r.
func EncodeRange(r Range) *uplinkv1.Range { return &uplinkv1.Range{First: r.First, End: r.End} }

// DecodeRange returns the range in m.
func DecodeRange(m *uplinkv1.Range) (Range, error) {
	r := Range{m.GetFirst(), m.GetEnd()}
	if r.First == 0 || r.End <= r.First {
		return Range{}, invalid("range [%d, %d): want 1 ≤ first < end", r.First, r.End)
	}
	return r, nil
}

// Received is what the hub has committed of one epoch: everything below Cursor, and the ranges Beyond it.
type Received struct {
	Cursor uint64 // at least 1: sequences start there
	Beyond []Range
}

func encodeRanges(rs []Range) []*uplinkv1.Range {
	ms := make([]*uplinkv1.Range, len(rs))
	for i, r := range rs {
		ms[i] = EncodeRange(r)
	}
	return ms
}

func decodeReceived(cursor uint64, beyond []*uplinkv1.Range) (Received, error) {
	if cursor == 0 {
		return Received{}, invalid("cursor 0: want 1 or more")
	}
	if len(beyond) > MaxRanges {
		return Received{}, invalid("%d ranges: want at most %d", len(beyond), MaxRanges)
	}
	got := Received{Cursor: cursor}
	end := cursor
	for _, m := range beyond {
		r, err := DecodeRange(m)
		if err != nil {
			return Received{}, err
		}
		if r.First <= end {
			return Received{}, invalid("range [%d, %d) behind %d: want ascending ranges with gaps between", r.First, r.End, end)
		}
		end = r.End
		got.Beyond = append(got.Beyond, r)
	}
	return got, nil
}

// Hello opens a session.
type Hello struct {
	Version        string // the agent's software version
	Epoch          uint64 // of its store
	Next           uint64 // the sequence its next reading will get
	Pending        uint64 // readings not yet acked
	Now            meter.Millis
	ConfigRevision uint64   // of the SiteConfig in force
	Lineage        *Lineage // nil from agents that keep none
	Weather        Held     // weather that it holds
}

// Held is how far the weather that an agent holds goes. The zero value holds none.
type Held struct {
	To     meter.Millis // end of what was observed
	Issued meter.Millis // of the newest forecast
}

// Lineage tells an agent from a copy of it.
type Lineage struct {
	Last    []byte // name of the last session that the agent was welcomed to; empty before the first
	Receipt []byte // that came with the Welcome to it
	Next    []byte // name of this session; empty when none could be kept
}

// EncodeHello returns the message for h.
func EncodeHello(h Hello) *uplinkv1.Hello {
	m := &uplinkv1.Hello{
		Version: h.Version, Epoch: h.Epoch, Next: h.Next, Pending: h.Pending, NowMs: int64(h.Now), ConfigRevision: h.ConfigRevision,
		WeatherToMs: int64(h.Weather.To), WeatherIssuedMs: int64(h.Weather.Issued),
	}
	if l := h.Lineage; l != nil {
		m.Lineage = &uplinkv1.Lineage{Last: l.Last, Receipt: l.Receipt, Next: l.Next}
	}
	return m
}

// DecodeHello returns what m says.
func DecodeHello(m *uplinkv1.Hello) (Hello, error) {
	if m == nil {
		return Hello{}, invalid("the session does not open with hello")
	}
	h := Hello{
		m.GetVersion(), m.GetEpoch(), m.GetNext(), m.GetPending(), meter.Millis(m.GetNowMs()), m.GetConfigRevision(), nil,
		Held{meter.Millis(m.GetWeatherToMs()), meter.Millis(m.GetWeatherIssuedMs())},
	}
	if h.Next == 0 || h.Pending >= h.Next {
		return Hello{}, invalid("hello: next %d, pending %d: want 1 ≤ next and pending < next", h.Next, h.Pending)
	}
	// Databases hold sequences as signed 64-bit numbers.
	if h.Next > 1<<62 {
		return Hello{}, invalid("hello: next %d: want at most 2^62", h.Next)
	}
	if l := m.GetLineage(); l != nil {
		h.Lineage = &Lineage{l.GetLast(), l.GetReceipt(), l.GetNext()}
		for _, b := range [][]byte{l.GetLast(), l.GetReceipt(), l.GetNext()} {
			if err := checkLineage("hello", b); err != nil {
				return Hello{}, err
			}
		}
	}
	return h, checkText("hello: version", h.Version)
}

func checkLineage(what string, b []byte) error {
	if len(b) > MaxLineage {
		return invalid("%s: lineage of %d bytes: want at most %d", what, len(b), MaxLineage)
	}
	return nil
}

// Welcome answers Hello.
type Welcome struct {
	Received
	Now         meter.Millis // the hub's clock
	MaxInFlight uint64       // readings the hub allows unacked
	Receipt     []byte       // for the name of the session; empty when there is none
}

// EncodeWelcome returns the message for w.
func EncodeWelcome(w Welcome) *uplinkv1.Welcome {
	return &uplinkv1.Welcome{Cursor: w.Cursor, Beyond: encodeRanges(w.Beyond), NowMs: int64(w.Now), MaxInFlight: w.MaxInFlight, Receipt: w.Receipt}
}

// DecodeWelcome returns what m says.
func DecodeWelcome(m *uplinkv1.Welcome) (Welcome, error) {
	got, err := decodeReceived(m.GetCursor(), m.GetBeyond())
	if err == nil {
		err = checkLineage("welcome", m.GetReceipt())
	}
	return Welcome{got, meter.Millis(m.GetNowMs()), m.GetMaxInFlight(), m.GetReceipt()}, err
}

// Ack says that a range is committed.
type Ack struct {
	Range  Range
	Cursor uint64
}

// EncodeAck returns the message for a.
func EncodeAck(a Ack) *uplinkv1.Ack {
	return &uplinkv1.Ack{Range: EncodeRange(a.Range), Cursor: a.Cursor}
}

// DecodeAck returns what m says.
func DecodeAck(m *uplinkv1.Ack) (Ack, error) {
	r, err := DecodeRange(m.GetRange())
	return Ack{r, m.GetCursor()}, err
}

// Overlap refuses a batch that the hub holds in part.
type Overlap struct {
	Range Range
	Received
}

// EncodeOverlap returns the message for o.
func EncodeOverlap(o Overlap) *uplinkv1.Overlap {
	return &uplinkv1.Overlap{Range: EncodeRange(o.Range), Cursor: o.Cursor, Beyond: encodeRanges(o.Beyond)}
}

// Refusal says that the hub can never store a batch as it is.
type Refusal struct {
	Range  Range
	Reason string
}

// EncodeRefusal returns the message for r. A reason over MaxText is cut.
func EncodeRefusal(r Refusal) *uplinkv1.Refusal {
	return &uplinkv1.Refusal{Range: EncodeRange(r.Range), Reason: cut(r.Reason, MaxText)}
}

// DecodeRefusal returns what m says.
func DecodeRefusal(m *uplinkv1.Refusal) (Refusal, error) {
	r, err := DecodeRange(m.GetRange())
	if err != nil {
		return Refusal{}, err
	}
	return Refusal{r, m.GetReason()}, checkText("refusal: reason", m.GetReason())
}

// DecodeOverlap returns what m says.
func DecodeOverlap(m *uplinkv1.Overlap) (Overlap, error) {
	r, err := DecodeRange(m.GetRange())
	if err != nil {
		return Overlap{}, err
	}
	got, err := decodeReceived(m.GetCursor(), m.GetBeyond())
	return Overlap{r, got}, err
}
