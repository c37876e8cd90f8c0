// Package history keeps the intervals of every point current, from the log of readings.
//
// It must not know MQTT, nor what is forecast from intervals. The rules by which readings become intervals are those of
// package interval; the log and the derived state are package store's.
//
// # Streams
//
// A stream is one register of one point, over all meters that ever measured it. Its readings, in the order of the log, go
// through one interval.State. Closed intervals are packed a UTC day to a value (day.go) of derived state.
//
// # Invariants
//
//   - The intervals of a stream equal interval.Rebuild over all its readings in the order of their instants, as far as the
//     log reaches back. Among readings of one series at one instant the last to arrive counts, as at the hub: it corrects
//     the others. Among several series, the one with the lowest number.
//   - Fold states, intervals and the sequence up to which both hold every reading are written in one transaction. After a
//     crash the log is applied from that sequence on, which gives the same again.
//   - Nothing is announced that is not so yet: an origin is announced after the intervals before it can be read.
//
// # Late readings
//
// A reading at or before the last one of its stream's fold came late. It marks the stream with the earliest such instant
// (kept with the state, so a restart does not forget it) and is put right in one pass once the log is applied, or at
// intervals in a long backfill: the readings around it are scanned, interval.RestartPoint names where a fold may begin,
// and every interval from there on is replaced. If no restart point is found within lookback, twice as much is scanned,
// and so on to the first reading that the log holds. If readings before that one were trimmed, intervals older than the
// log stay as they are: a reading later than raw retention can no longer change them.
//
// # Writing
//
// State is written every state window (minutes), not with each reading: replaying minutes of readings takes
// milliseconds, and every write costs some ten pages of flash. Intervals of days not yet written are in memory.
package history
