package wire

import (
	"math"

	meterv1 "fluxora.dev/proto/fluxora/meter/v1"
	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// LedgerEntry is the account of one register of a point and one day:
// Received = Delivered + Quarantined + Evicted + Thinned + Pending.
type LedgerEntry struct {
	Point       string         // empty for quarantined messages that name none
	Register    meter.Register // empty for quarantined messages
	Day         int32          // days since 1970-01-01, UTC, of the readings' own instants
	Received    uint64
	Delivered   uint64
	Quarantined uint64
	Evicted     uint64 // lost to the cap or to damage before the hub had them
	Thinned     uint64 // left out to save room
	Pending     uint64
}

// Balance returns by how much Received exceeds what became of it; 0 when the books are right.
func (e LedgerEntry) Balance() int64 {
	return int64(e.Received - e.Delivered - e.Quarantined - e.Evicted - e.Thinned - e.Pending)
}

// Ledger tells the hub what became of readings.
type Ledger struct {
	ID      uint64 // echoed in the answer
	Since   uint64 // the books count sequences from here on
	Entries []LedgerEntry
}

// EncodeLedger returns the message for l.
func EncodeLedger(l Ledger) *uplinkv1.Ledger {
	m := &uplinkv1.Ledger{Id: l.ID, Since: l.Since, Entries: make([]*uplinkv1.LedgerEntry, len(l.Entries))}
	for i, e := range l.Entries {
		m.Entries[i] = &uplinkv1.LedgerEntry{
			Point: e.Point, Register: string(e.Register), Day: e.Day, Received: e.Received, Delivered: e.Delivered,
			Quarantined: e.Quarantined, Evicted: e.Evicted, Thinned: e.Thinned, Pending: e.Pending,
		}
	}
	return m
}

// DecodeLedger returns the ledger in m.
func DecodeLedger(m *uplinkv1.Ledger) (Ledger, error) {
	l := Ledger{ID: m.GetId(), Since: m.GetSince()}
	if l.Since == 0 || l.Since > 1<<62 {
		return Ledger{}, invalid("ledger: since %d: want 1 or more", l.Since)
	}
	if len(m.GetEntries()) > MaxLedger {
		return Ledger{}, invalid("ledger of %d entries: want at most %d", len(m.GetEntries()), MaxLedger)
	}
	l.Entries = make([]LedgerEntry, len(m.GetEntries()))
	for i, p := range m.GetEntries() {
		e := LedgerEntry{
			Point: p.GetPoint(), Register: meter.Register(p.GetRegister()), Day: p.GetDay(), Received: p.GetReceived(), Delivered: p.GetDelivered(),
			Quarantined: p.GetQuarantined(), Evicted: p.GetEvicted(), Thinned: p.GetThinned(), Pending: p.GetPending(),
		}
		if err := checkPlace(e.Point, e.Register); err != nil {
			return Ledger{}, err
		}
		for _, n := range []uint64{e.Received, e.Delivered, e.Quarantined, e.Evicted, e.Thinned, e.Pending} {
			if n > math.MaxInt64/8 { // so that no sum of them overflows
				return Ledger{}, invalid("ledger: %s/%s: a count of %d", e.Point, e.Register, n)
			}
		}
		l.Entries[i] = e
	}
	return l, nil
}

// checkPlace checks the names of a point and a register, either of which may be empty.
func checkPlace(point string, register meter.Register) error {
	if point != "" {
		if err := meter.CheckName("point", point); err != nil {
			return invalid("%v", err)
		}
	}
	if register != "" {
		if info, err := meter.LookupRegister(string(register)); err != nil || info.Name != register {
			return invalid("register %.40q: want the name of a register", string(register))
		}
	}
	return nil
}

// LedgerAck says what the comparison with the hub's account came to.
type LedgerAck struct {
	ID         uint64
	Compared   bool   // false when the hub cannot say yet
	Unbalanced uint32 // how many entries differ
}

// EncodeLedgerAck returns the message for a.
func EncodeLedgerAck(a LedgerAck) *uplinkv1.LedgerAck {
	return &uplinkv1.LedgerAck{Id: a.ID, Compared: a.Compared, Unbalanced: a.Unbalanced}
}

// DecodeLedgerAck returns what m says.
func DecodeLedgerAck(m *uplinkv1.LedgerAck) LedgerAck {
	return LedgerAck{m.GetId(), m.GetCompared(), m.GetUnbalanced()}
}

// Resend asks for everything that the agent holds of a point within [From, To).
type Resend struct {
	ID       string // the hub's
	Point    string
	Register meter.Register // empty for all of them
	From, To meter.Millis
}

// EncodeResend returns the message for r.
func EncodeResend(r Resend) *uplinkv1.Resend {
	return &uplinkv1.Resend{Id: r.ID, Point: r.Point, Register: string(r.Register), FromMs: int64(r.From), ToMs: int64(r.To)}
}

// DecodeResend returns what m asks for.
func DecodeResend(m *uplinkv1.Resend) (Resend, error) {
	r := Resend{m.GetId(), m.GetPoint(), meter.Register(m.GetRegister()), meter.Millis(m.GetFromMs()), meter.Millis(m.GetToMs())}
	if r.Point == "" {
		return Resend{}, invalid("resend: no point")
	}
	if err := checkPlace(r.Point, r.Register); err != nil {
		return Resend{}, err
	}
	return r, checkStretch("resend", r.ID, r.From, r.To)
}

// checkStretch checks what Resend and its answers have in common.
func checkStretch(what, id string, from, to meter.Millis) error {
	if id == "" || len(id) > 64 {
		return invalid("%s: id of %d bytes: want 1 to 64", what, len(id))
	}
	if from < 0 || to <= from || to > maxInstant {
		return invalid("%s: from %d ms to %d ms: want instants from 1970 to 2200, ascending", what, int64(from), int64(to))
	}
	return nil
}

// maxInstant is the year 2200, beyond which nothing is measured.
const maxInstant = meter.Millis(7_258_118_400_000)

// Resent holds all that the agent holds within [From, To), a part of what was asked for, without sequences.
type Resent struct {
	ID       string
	From, To meter.Millis
	Blocks   []Block
	Held     uint64 // readings held within [From, To), those included whose value was replaced
	Done     bool   // To is the end of what was asked for
}

// EncodeResent returns the message for r.
func EncodeResent(r Resent) *uplinkv1.Resent {
	m := &uplinkv1.Resent{Id: r.ID, FromMs: int64(r.From), ToMs: int64(r.To), Held: r.Held, Done: r.Done, Blocks: make([]*meterv1.Block, len(r.Blocks))}
	for i, b := range r.Blocks {
		m.Blocks[i] = &meterv1.Block{Series: uint32(b.Series), Chunk: b.Chunk}
	}
	return m
}

// DecodeResent returns the part in m. Its chunks are counted, not decoded.
func DecodeResent(m *uplinkv1.Resent) (Resent, error) {
	r := Resent{ID: m.GetId(), From: meter.Millis(m.GetFromMs()), To: meter.Millis(m.GetToMs()), Held: m.GetHeld(), Done: m.GetDone()}
	if err := checkStretch("resent", r.ID, r.From, r.To); err != nil {
		return Resent{}, err
	}
	n := 0
	r.Blocks = make([]Block, len(m.GetBlocks()))
	for i, p := range m.GetBlocks() {
		count, err := chunk.Len(p.GetChunk())
		if err != nil {
			return Resent{}, invalid("resent: block %d: %v", i, err)
		}
		if p.GetSeries() == 0 {
			return Resent{}, invalid("resent: block %d: series 0: want 1 or more", i)
		}
		n += count
		r.Blocks[i] = Block{meter.SeriesID(p.GetSeries()), p.GetChunk()}
	}
	if n > MaxBatchReadings || r.Held < uint64(n) || r.Held > math.MaxInt64/8 {
		return Resent{}, invalid("resent: %d readings of %d held: want at most %d, and no more than are held", n, r.Held, MaxBatchReadings)
	}
	return r, nil
}

// ResentAck says that a part is committed.
type ResentAck struct {
	ID string
	To meter.Millis // of the part
}

// EncodeResentAck returns the message for a.
func EncodeResentAck(a ResentAck) *uplinkv1.ResentAck {
	return &uplinkv1.ResentAck{Id: a.ID, ToMs: int64(a.To)}
}

// DecodeResentAck returns what m says.
func DecodeResentAck(m *uplinkv1.ResentAck) ResentAck {
	return ResentAck{m.GetId(), meter.Millis(m.GetToMs())}
}
