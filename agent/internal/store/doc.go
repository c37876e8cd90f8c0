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
//	journal                  the newest atoms, until they are carried into the active segment
//	readings-<first>.db      a segment of the log, named by the sequence of its first reading, 20 digits
//	state.db                 everything else, all of it derived, repeatable or small
//	*.new                    a file being made; removed at start
//	*.damaged-<time>         a file set aside because it could not be read; kept for a person, within the cap
//
// bbolt files never shrink, so the log is cut into segments of at most min(16 MiB, cap/16), and space comes back by
// deleting whole segments.
//
// A segment holds atoms. An atom is what one Append committed (more than MaxAtom readings make several atoms of one
// commit): key = first sequence, value = count, time of arrival, one block of package chunk per series, and a CRC-32C
// over key and value. An atom never changes but by thinning; batches to the hub are unions of adjacent whole atoms. A
// segment also carries schema version and epoch, and the definition of every series it uses, so it can be read without
// state.db.
//
// The journal is why an Append writes one page and syncs once. A bbolt commit, however small, rewrites the path from leaf
// to root and then a meta page, four pages and two syncs: 140 MB a day at one commit in ten seconds. The journal is a file
// of min(256 KiB, cap/64), written once, so that a sync has no size and no extent to write, and is filled from its start again
// and again. A record of it is one Append: epoch, generation, sequences, definitions, atoms, a CRC over the head
// and one over the rest. A page of it is written again with each record that it takes, the earlier bytes unchanged, so a
// torn write leaves them as they were. Once it is full, at Close and at Open, its atoms go into the active segment in one
// bbolt commit, as they are, and the next generation begins. Until then they are read from memory.
//
// state.db holds schema version, epoch, the next sequence, the ranges that the hub has acked, the ranges that were lost or
// thinned, the series, derived state (intervals, folds) with the sequence up to which it is applied, the latest forecasts, the
// quarantine, and named values. Only quarantine and named values are durable on return, those apart that may wait. The rest is
// kept in memory and written by Flush, by default every few minutes: losing it costs a replay or a repeated message, never a
// reading, and frequent writes of it would wear flash for nothing.
//
// # Invariants
//
//  1. Append returns after the sync of the journal, or the commit of a segment, that holds all its readings.
//  2. Sequences are given once per epoch. next > every sequence in any segment, in the journal, in state.db and known to
//     the hub.
//  3. The segments' ranges are disjoint and ascending. A sequence below next is in a segment, in the journal, or acked and
//     trimmed, or in a lost or a thinned range. Only an acked segment is trimmed; eviction and damage are recorded first.
//  4. state.db is flushed before a segment is deleted, so that a missing segment is never a surprise.
//  5. The sum of all file sizes stays within the cap.
//  6. The journal begins again only after the commit that holds everything in it.
//
// # States after a crash
//
//	during Append            the record is whole or not; nothing was promised. Of one whose head alone is there, the sequences
//	                         are passed over ("skipped"), since only the disk knows whether it was ever whole
//	after Append             the record is there; acks, derived state and forecasts since the last Flush are gone: the hub
//	                         tells its cursor again, derived state is replayed from the sequence applied, with the readings
//	during or after a carry  the atoms are in the segment or not, and in the journal either way, until a record of the next
//	                         generation lies over them: records below the segment's end are passed over
//	making a file            *.new is removed, or the renamed file is whole and is used
//	setting a file aside     it has both names until the rescued one takes its place; else it is found damaged again
//	joining thinned segments the second one is still there, within the first one's range: it is deleted at start
//	between flush and delete the segment is still there though acked or listed as lost: it is deleted at start
//	during a Flush           the state before or after
//
// TestPowerCuts takes a recording of what a disk was told, cuts the power anywhere in it, drops and tears what was not
// synced, and holds the store to all this. A failed write or sync of the journal is not tried again, because the kernel may
// have forgotten the pages: readings go into the segment directly, and then the journal is made anew.
//
// # Damage
//
// bbolt panics over a damaged file, in part where nothing can catch it, or returns memory that is not the file's. So only the
// active segment and state.db are read with it, after Open has walked every page of theirs that is in use; all other segments
// are read by package code that believes nothing: the head by Open, the rest when it is wanted. Both meta pages must be sound,
// since one that is not may be the newest.
//
// A damaged segment is salvaged: every byte of the file, in use or freed, reachable or not, is tried as the beginning of an
// atom, whose CRC says that it is true, and so is the journal, even what of it was carried before. What was found becomes a
// fresh segment of the same name, the damaged file is set aside, and exactly the sequences that are in no atom become lost
// ranges, with the times of the readings around them. If the end of a damaged newest segment is not known, sequences are passed
// over up to an upper bound (a reading takes at least a byte), so that none is used twice. Time and memory are bounded by the
// size of a segment. Single values have checksums: the epoch its complement, summaries, definitions and the head of state.db a
// CRC-32C.
//
// A damaged state.db is replaced by the state that its other meta page leads to, if that is whole, else by all that can be
// reached from either; of derived state then only what stands by itself (Options.Keep), and the log is applied again from
// its start. If nothing is left, epoch, series and sequences come back from the segments, and acks from the hub. If state.db,
// the journal and every segment are gone, the store starts a new epoch, a random 63-bit number, under which sequences begin
// at 1 again.
//
// What was never written of the journal has a mark that tells its place. So a sector that comes back as zeros, or as another
// one, is known to be lost, as is a record of which only a part of the head can be read: if nothing tells where the journal
// ended, sequences are passed over up to the size of the journal. A gap between its records is a lost range.
//
// Not seen is a write of the last records that storage confirmed and forgot, so that what was there before comes back whole.
// Only a second place could tell, and that would double the wear; state.db does, up to its last flush. Their sequences are then
// given again. If the hub has got the forgotten readings, it tells, and those that were taken in under the same sequences since
// are appended again under new ones (SetReceived).
//
// # When there is no more room
//
// Trimming deletes, oldest first, segments that are acked, applied and older than retention. At the cap it goes on with files
// set aside and with acked segments within retention. Then it thins the oldest segments that the hub has not got: of counters
// only those readings stay that Options.Thin wants, so that the energy of every interval stays what it was. An atom keeps its
// sequences, as the hub may have some of its neighbours; one without a reading left is a hole, and ReadFrom counts holes and
// thinned readings as refused. Small thinned segments are joined. At last the oldest segment is evicted. Thinned and lost
// ranges are listed with their times and, by series and day, the number of readings, and an error is logged for a loss.
//
// The floor of free space does the same for the sake of other programs, down to a quarter of the cap, which is the store's
// own. Where the file system is full all the same, the oldest segment makes room for what comes. So Append does not wait for
// the hub and never refuses for want of room while there is anything that can go.
//
// # Flash
//
// Stats tells what is written in a day, Window how long readings may wait for others: the commit window, or with a declared
// flash budget as short a time as keeps it, within the commit window. What waits is not acknowledged, so the knob trades
// seconds of redelivery for bytes. Settings whose commits alone would exceed the budget are refused (package config). Twenty points at ten seconds and a window of ten seconds write about 42 MB a day: 4.6 KB a commit, of which a page
// of 4 KiB is the least that any durable write can take, and a tenth for carrying.
//
// # Schema versions
//
// Segments and state.db carry a schema version. A newer one is refused with ErrNewerSchema, the one reason besides a second
// agent why Open refuses, since guessing would risk the data. Version 1 had no journal and no thinning; version 2 no checksums
// of single values and no marks in the journal. Open marks an older state.db before it writes a journal; segments of all
// versions lie side by side. Downgrade goes back. Golden stores of each version, unclosed in the middle of an outage, are in
// testdata.
package store
