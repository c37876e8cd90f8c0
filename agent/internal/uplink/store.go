package uplink

import "fluxora.dev/proto/wire"

// Store holds the readings that go up. All methods may be called while readings are appended.
type Store interface {
	Epoch() uint64
	// Next returns the sequence that the next reading will get.
	Next() uint64
	// Pending returns how many readings are not acked.
	Pending() uint64
	// Series returns every series that a batch may use.
	Series() []wire.Series
	// Unacked returns the ranges below Next that are not acked, ascending; their borders must be borders of atoms.
	Unacked() []wire.Range
	// ReadFrom returns adjacent whole atoms from the one that holds first on, at least one and no more than most readings
	// otherwise, none that is acked. A lost range comes alone, as a batch that refuses all it counts. The chunks are the
	// caller's.
	ReadFrom(first uint64, most int) (wire.Batch, error)
	// Ack notes that the hub has committed r, which then may be forgotten.
	Ack(r wire.Range) error
	// SetAside keeps r, one atom, out of the hub's way for good: its bytes stay here, in the quarantine with the reason, and
	// ReadFrom gives r as refused. It must be durable on return.
	SetAside(r wire.Range, why string) error
	// SetReceived replaces what is known to be acked.
	SetReceived(r wire.Received) error
	// Changed receives, some time after the last receive, when something was appended.
	Changed() <-chan struct{}
}

// Lineage tells this agent from a copy of it.
type Lineage interface {
	// Begin names the next session, durably. With an error it returns what may be said without a name.
	Begin() (wire.Lineage, error)
	// Begun notes that the hub welcomed the agent to the session of that name.
	Begun(name, receipt []byte) error
	// NewEpoch changes the epoch that Store.Epoch returns, durably.
	NewEpoch() error
}

// Outbox holds what is reported to the hub beside readings.
type Outbox interface {
	// NextReport returns something not yet acked, or an empty report. Its ID is of no account.
	NextReport() (wire.Report, error)
	// ReportAcked notes that the hub has stored r.
	ReportAcked(r wire.Report) error
}

type nothing struct{}

func (nothing) NextReport() (wire.Report, error) { return wire.Report{}, nil }
func (nothing) ReportAcked(wire.Report) error    { return nil }
