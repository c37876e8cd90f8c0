// Package ledger keeps the agent's books: what became of every reading, by register of a point and UTC day of the reading's own
// instant.
//
//	received = delivered + quarantined + evicted + thinned + pending
//
// Counted apart are duplicates, which are never given a sequence; corrections, which are received like any other reading; and released
// messages, which stay in quarantined while the readings in them are received. The package must not know MQTT, gRPC or intervals; it sees the
// log through Log and is told by package history what was applied to derived state, so that books and intervals move in one
// transaction with the sequence applied.
//
// # States of a reading
//
//	pending      it has a sequence that the hub has not acked, and is in the log
//	delivered    the hub has acked it; whether it is still in the log does not matter
//	evicted      it left the log (for room, or by damage) before the hub had it: a named range, with times and reason
//	thinned      it left the log for room, and the energy of its interval is still in the readings that stayed
//	quarantined  it was never given a sequence (a message), or the hub can never store it; it is kept with a reason
//
// # What is kept, and what is computed
//
// Counted once and kept: received (as the log is applied), evicted and thinned (when the store lists a loss), quarantined (by
// the ids of the quarantine). Computed when asked: pending, from the sequences that are not acked. Delivered is the rest: so it is right
// whatever was acked, forgotten or taken back, without a write for each ack.
//
// Counting pending by reading the log would be dear with a backlog of weeks. So the counts of stretches of a few thousand sequences
// (pages) are kept until all of their sequences are acked. A page that is wholly unacked and has lost nothing is pending as it
// stands; only what is at the borders, or touched by a loss, is read.
//
// # Invariants
//
//  1. Every sequence below End is counted once: as a reading received, or as a hole (nothing could be read there when it was applied).
//  2. A hole that the store lists as lost is counted as received and lost, both, once; sequences passed over are neither.
//  3. Books and the sequence applied are written in one transaction. After a crash both go back together and the log is
//     applied again.
//  4. An account that is told to the hub is taken while no batch is in flight, so what it calls delivered is what the hub has.
//
// # When the books are lost
//
// With state.db. The log is counted anew from its first reading on; what was delivered and trimmed before is unknown, and Since
// tells the hub, which then does not take its own greater count for an error.
//
// # Reconciling
//
// At the start of a session, when a backlog is sent, and every few minutes, accounts that changed since the hub compared them are told.
// The hub compares each with what it has committed. Where it lacks readings it raises an alarm and asks for that register and day
// again (Resend); the agent answers from its log, day by day, until the stretch is through. Resent readings carry no sequences:
// the hub takes them as it takes any late reading, one that it holds already changes nothing.
package ledger
