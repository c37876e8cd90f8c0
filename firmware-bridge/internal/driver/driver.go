// Package driver knows what every source of readings has in common. A driver is one package below this one; it must not
// know MQTT.
package driver

import (
	"context"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Batch is readings of one register at one point, in time order: at least one, at most MaxBatch.
type Batch struct {
	Point    string
	Register meter.Register
	Unit     string // that the values are written in, as package topic has them
	Readings []topic.Payload
}

// MaxBatch is the most readings in a batch: enough to be cheap on the wire, few enough for a small gateway.
const MaxBatch = 100

// Sink takes readings.
type Sink interface {
	// Emit takes a batch. It blocks while the sink is full or the receiver is away, and returns an error only when ctx has
	// ended. The driver may use the slice again afterwards.
	Emit(ctx context.Context, b Batch) error
	// Flush returns nil once everything emitted so far is safe with the receiver.
	Flush(ctx context.Context) error
}

// Driver is a source of readings.
//
// Run must emit readings of a register in time order until ctx ends, and then return nil. An error means that the source
// is gone for good or was never there; what can come back must be retried inside. A reading emitted again, after a
// restart, must have the same value. Run must not be called twice.
type Driver interface {
	Run(ctx context.Context, sink Sink) error
}
