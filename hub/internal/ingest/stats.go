package ingest

import "sync/atomic"

type counters struct {
	sessions                                                                                 atomic.Int64
	batches, readings, bytes, overlaps                                                       atomic.Uint64
	displaced, clones, readmitted, unguarded, forgotten, sentAway, refused, invalid, unknown atomic.Uint64
	unstorable, enrolled, panics                                                             atomic.Uint64
	unbalanced, resent                                                                       atomic.Uint64
}

// Stats is what the server has seen since it was made.
type Stats struct {
	Sessions   int64  // live now
	Batches    uint64 // committed or replayed
	Readings   uint64 // in them
	Bytes      uint64 // of their chunks
	Overlaps   uint64 // batches refused because they were committed in part
	Displaced  uint64 // sessions closed because a newer one took over
	Clones     uint64 // sessions refused because another agent has the same identity
	Readmitted uint64 // sessions of agents that were let in by hand
	Unguarded  uint64 // sessions of agents that kept a lineage once and do not any more
	Forgotten  uint64 // sessions of agents that knew more of themselves than this hub, which was set back
	SentAway   uint64 // sessions answered with ComeBack because the hub was busy
	Refused    uint64 // callers without a valid identity or token
	Invalid    uint64 // sessions ended because of a message that breaks the protocol
	Unknown    uint64 // messages of a kind this hub does not know
	// Unstorable counts batches, whole or in parts, and entries of reports that no retry would make storable.
	Unstorable uint64
	Unbalanced uint64 // ledgers of agents that did not balance
	Resent     uint64 // parts stored of what agents were asked to send again
	Enrolled   uint64
	Panics     uint64
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	c := &s.count
	return Stats{
		Sessions: c.sessions.Load(), Batches: c.batches.Load(), Readings: c.readings.Load(), Bytes: c.bytes.Load(),
		Overlaps: c.overlaps.Load(), Displaced: c.displaced.Load(), Clones: c.clones.Load(), Readmitted: c.readmitted.Load(), Unguarded: c.unguarded.Load(), Forgotten: c.forgotten.Load(), SentAway: c.sentAway.Load(),
		Refused: c.refused.Load(), Invalid: c.invalid.Load(), Unknown: c.unknown.Load(),
		Unbalanced: c.unbalanced.Load(), Resent: c.resent.Load(), Unstorable: c.unstorable.Load(), Enrolled: c.enrolled.Load(), Panics: c.panics.Load(),
	}
}
