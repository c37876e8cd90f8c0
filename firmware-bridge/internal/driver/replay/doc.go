// Package replay plays a recording of interval energies as the meters that it was read from would have shown it.
//
// It must not know where readings go.
//
// # The recording
//
// A table with the columns meter_id, timestamp (start of the interval, RFC 3339) and kwh, as CSV, gzipped or not, or one
// of the built-in profiles. Rows of a meter ascend in time and lie on a grid, whose step is found or given. Only the
// chosen meters are kept in memory, eight bytes and a bit an interval.
//
// # The counter
//
// A meter's counter starts at a whole number of kilowatt-hours that its name decides and grows by the recorded energy, in
// exact milliwatt-hours, linearly within an interval. An empty kwh, or a row that is not there, is an interval whose end
// nobody read: the counter stands still over it, no reading is made in it or at its end, and the next reading after it
// includes nothing for it. So the receiver sees a gap, as it would with the real meter, and no energy is invented.
//
// # The shift
//
// The recording is moved by whole weeks, so that weekdays stay, to reach at least eight days past now. If it is long enough
// that the backfill fits as well, it is moved by a whole number of years (to the nearest week), so that seasons stay; else
// by as few weeks as possible; and if it is shorter than backfill and eight days together, it is moved so that the backfill
// fits, and its last whole weeks are repeated for ever.
//
// # Restarting
//
// A value is a function of the recording, the shift and the instant, so that a reading made twice is the same reading. The
// shift depends on the day of the first start, so it is kept in the state file, with the instant up to which all readings
// have arrived. Without a state file every start does the whole backfill, and the shift moves once a year.
package replay
