// Package wire converts between the messages of the uplink and plain Go types, and is the only code that does.
//
// The types are those of fluxora.dev/shared where one exists (a series, a forecast) and otherwise defined here, without a
// trace of Protocol Buffers, so that the stores on both sides never see a generated type. Encode… functions take values
// that are right and cannot fail. Decode… functions take what a peer sent, trust nothing, and return an error, which wraps
// ErrInvalid and says which field is wrong, or a value that holds these:
//
//   - A Range is not empty and starts at sequence 1 or later; a list of ranges ascends, disjoint and not adjacent.
//   - A Batch is not empty; its blocks say of themselves that they hold, with Refused, exactly Count readings.
//     Whether the blocks decode is left to package chunk.
//   - Names, kinds, levels, rungs and digests are well-formed; texts and payloads are within the bounds below.
//
// Slices are shared with the message, not copied.
package wire

import (
	"errors"
	"fmt"
)

// ErrInvalid marks a message that breaks the protocol. Sending it again does not help.
var ErrInvalid = errors.New("invalid message")

// Bounds that both sides keep.
const (
	MaxMessage       = 4 << 20 // bytes of a message, decompressed
	MaxBatchReadings = 1 << 16 // readings in a batch
	MaxSeries        = 10_000  // series in a declaration
	MaxRanges        = 10_000  // ranges in a Welcome or Overlap
	MaxSteps         = 10_000  // values of a forecast
	MaxLedger        = 4096    // entries of a ledger
	MaxPayload       = 4 << 10 // bytes of a quarantined payload
	MaxText          = 1 << 10 // bytes of a reason, detail, topic or version
	MaxLineage       = 64      // bytes of a session's name or receipt
	MaxModels        = 16      // model versions announced at once
	MaxModelSize     = 64 << 20
	ArtifactChunk    = 64 << 10 // bytes of one ArtifactResponse
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func checkText(what, s string) error {
	if len(s) > MaxText {
		return invalid("%s of %d bytes: want at most %d", what, len(s), MaxText)
	}
	return nil
}
