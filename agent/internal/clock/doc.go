// Package clock knows what time it is, and how far that may be believed.
//
// It must not know readings, files or networks: the machine's clocks come in as a Source, what must last passes through as
// bytes, and opinions on the time are handed to it.
//
// # Assumptions
//
// A gateway may have no battery for its clock: it boots in 1970, or at the time of its last shutdown, and jumps when the
// network comes. The time since boot (CLOCK_BOOTTIME) never jumps and goes on while the machine sleeps; the boot id tells
// one boot from another. So one number, the instant at which the machine booted, turns any time since boot into an instant.
//
// # Trust
//
//	state     what it means                                   Now says
//	--------  ----------------------------------------------  ------------------------------------------------------
//	right     the start of this boot is known                 the wall clock while it agrees; else start + time since boot
//	doubtful  it was known, then the wall clock jumped        start + time since boot, as before the jump
//	unset     the start of this boot was never known          the wall clock, but nothing before the last good time
//
//	from      when                                                                       to
//	--------  -------------------------------------------------------------------------  ------------------------
//	unset     the wall clock is plausible (below), or jumps to such a time               right
//	unset     the hub, a person or a steady meter tells the time                         right
//	right     the wall clock jumps to a plausible time                                   doubtful
//	right     the wall clock jumps anywhere else                                         right: the wall clock is passed over
//	doubtful  the wall clock jumps back                                                  right
//	doubtful  the hub, a person or meters take a side, or the jump lasted Settle         right, by whoever was right
//
// Plausible is what lies after the start of 2020, not before the last good time kept, and not more than five years after
// it. A clock that stands within an hour of the last good time in the first three minutes of a boot may be one that was
// restored at boot (fake-hwclock): it waits until the kernel says it is synchronised, or the three minutes are over.
// A jump into the past is plausible from 2020 on, since a clock that was set too far ahead must be able to return.
//
// The hub's clock (Welcome of the uplink, authenticated) counts against a wall clock that is not right, never against one
// that is: then the difference is only reported. A meter counts when its own instants advance as the time since boot does, for
// a minute and three readings or more; the meters' word decides a doubt, or sets a clock that is unset.
//
// # Earlier boots
//
// A boot that ended without ever having the time is bounded: it began after the last good time, and it and those after it
// ended before the first boot that has the time. If that leaves no more than an hour, the middle is taken; else the boot stays
// unknown, with its bounds.
//
// # Invariants
//
//   - Now never follows a jump that is doubtful, and never goes before the last good time.
//   - Once the start of a boot is told by StartOf, and kept, it is not told otherwise.
package clock
