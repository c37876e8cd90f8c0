// Package store keeps an agent's readings, and what is derived from them, on the gateway's disk.
//
// It is the only package of the agent that knows bbolt. It must not know MQTT, gRPC, intervals or models: derived state
// passes through it as bytes under keys that its owner chooses.
//
// # Assumptions
//
// When fsync returns, what was written before it survives a loss of power; without fsync, writes since the last one may be
// lost, torn or reordered. A bbolt commit is atomic: it writes new pages, syncs, then writes one of two alternating,
// checksummed meta pages and syncs again, so a crash leaves the state before or after the commit. Rename within a
// directory is atomic and lasts once the directory is synced. Storage may flip bits and lose writes all the same; that
// costs data, which is reported, and never the start.
//
// # Files
//
//	lock                     flock of the one agent that has the directory
//	readings-<first>.db      a segment of the log, named by the sequence of its first reading, 20 digits
//	state.db                 everything else, all of it derived, repeatable or small
//	*.new                    a segment being made; removed at start
//	*.damaged-<time>         a file set aside because it could not be read; kept for a person, within the cap
//
// bbolt files never shrink, so the log is cut into segments of at most min(16 MiB, cap/16), and space comes back by
// deleting whole segments.
//
// A segment holds atoms. An atom is what one Append committed (more than MaxAtom readings make several atoms of one
// commit): key = first sequence, value = count, time of arrival, one block of package chunk per series, and a CRC-32C
// over key and value. An atom is never changed; batches to the hub are unions of adjacent whole atoms. A segment also
// carries schema version and epoch, and the definition of every series it uses, written in the same commit as the first
// atom that uses it, so it can be read without state.db.
//
// state.db holds schema version, epoch, the next sequence, the ranges that the hub has acked, the ranges that were lost,
// the series, derived state (intervals, folds) with the sequence up to which it is applied, the latest forecasts, the
// quarantine, and named values. Only quarantine and named values are durable on return. The rest is kept in memory and
// written by Flush, by default every few minutes: losing it costs a replay or a repeated message, never a reading, and
// frequent writes of it would wear flash for nothing.
//
// # Invariants
//
//  1. Append returns after the commit that holds all its readings.
//  2. Sequences are given once per epoch. next > every sequence in any segment, in state.db and known to the hub.
//  3. The segments' ranges are disjoint and ascending. A sequence below next is in a segment, or acked and trimmed, or in
//     a lost range. Only an acked segment is trimmed; eviction and damage are recorded as lost ranges first.
//  4. state.db is flushed before a segment is deleted, so that a missing segment is never a surprise.
//  5. The sum of all file sizes stays within the cap.
//
// # States after a crash
//
//	during Append            the atom is there or not; nothing was promised
//	after Append             the atom is there; acks, derived state and forecasts since the last Flush are gone: the hub
//	                         tells its cursor again, derived state is replayed from the sequence applied, with the readings
//	making a segment         *.new is removed, or the renamed segment is empty and is used
//	between flush and delete the segment is still there though acked or listed as lost: it is deleted at start
//	during a Flush           the state before or after
//
// # Recovery
//
// Open reads every segment's head and walks all of the newest, the only one that a crash may have torn. What cannot be
// read is renamed to *.damaged-<time> and its sequences become a lost range; later segments give its end, and for the
// newest an upper bound does (a reading takes at least one byte), so that no sequence is used twice. A damaged older
// segment is found when it is read, and treated alike. A damaged atom in a sound segment costs that atom. A damaged
// state.db is set aside too and rebuilt from the segments: epoch, series and sequences come back, acks come from the hub,
// derived state within raw retention is replayed; older intervals, the quarantine, forecasts and named values are lost
// here (forecasts are made again, the hub has what was sent). Salvaging single keys from a set-aside file is not done.
//
// If both state.db and every segment are gone, the store starts a new epoch, a random 63-bit number, under which
// sequences begin at 1 again.
//
// # When the cap is reached
//
// Trimming deletes, oldest first: files set aside; segments that are acked, applied and older than retention; acked
// segments within retention. If all that is not enough, the oldest segment is evicted although the hub has not got it: a
// lost range with its time range is recorded and an error is logged. Append does not wait for the hub and never refuses
// for lack of room within the cap; a full file system is an error, which the caller retries.
//
// # Schema versions
//
// Segments and state.db carry schemaVersion. A newer one is refused with ErrNewerSchema, the one reason besides a second
// agent why Open refuses, since guessing would risk the data. An older one is brought up in upgrade (schema.go), the one
// place for that.
package store
