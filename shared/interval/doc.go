// Package interval knows how the readings of one register at one point become the energy of intervals.
//
// It must not know where readings come from, where intervals are kept, or what is learnt from them. Agent and hub run
// the same fold, so that both have the same intervals.
//
// # The fold
//
// State.Add takes the readings of one (point, register) in time order, over all its meters, and keeps one virtual
// register: energy in mWh as a function of time, linear between two readings (trapezoid for power). An interval's energy
// is what that register shows in whole watt-hours at its end less what it showed at its start, as a person would read it
// off a display. An interval is emitted when a believed reading at or after its end arrives. The part of an interval that
// lies before the first reading is unknown, so that the first interval emitted starts at or after the first reading.
//
// # The rules
//
//	case        recognised by                                            what is done
//	----------  -------------------------------------------------------  -------------------------------------------------
//	difference  value ≥ the register                                     the difference, spread linearly over the time
//	dip         a fall of ≤ max(1 kWh, 0.1 %), not below half            no energy until the old value is passed
//	fall        a deeper fall                                            held until the next reading is known, then:
//	  dropout   … the next reading is back at the old value or above     the fallen reading is ignored
//	  return    … it stays, where the register was before a reset or     energy since then, less what was counted meanwhile
//	            a jump in the last seven days, give or take a digit
//	  multiplier … it stays, at a thousandth of the register (or a       the difference in the unit of before, suspect; the
//	            rise to a thousandfold)                                  register goes on in the new one
//	  rollover  … it stays low, and the modulus is known (or a power of  energy to the modulus and on from zero
//	            ten ≥ 1,000 kWh, with the old value within 1 % of it)
//	  reset     … it stays low otherwise                                 energy from zero, if the new value is at most a
//	                                                                     tenth of the old and could be used in that time;
//	                                                                     else unknown: none
//	spike       a rise by more than MaxWatts and a digit (where that     held until the next reading is known, then:
//	            is unknown, 50 MW), as a word tear gives; or at more
//	            than 100 kW to where it was before a reset
//	            … the next reading is believable without it              ignored
//	  return    … as above
//	  jump      … the next reading agrees with it, and the rise is at    counted, the interval is suspect
//	            most ten times MaxWatts
//	            … MaxWatts is unknown and the rise is at most 50 MW      counted: nobody said that it cannot be
//	            … it is beyond that                                      energy is unknown: none; the register goes on there
//	sentinel    0xFFFFFFFF, 0x7FFFFFFF, for power also of 16 bits, in    ignored
//	            any decimal unit: devices send them for "no value"
//	stuck       a counter does not move for a day                        told once, nothing else
//	exchange    the series changes and the value does not go on          energy across is unknown: none; intervals wholly
//	                                                                     inside are missing, touched ones estimated
//	gap         readings further apart than 1.1 × the resolution         energy spread linearly; every interval touched is
//	                                                                     recovered: billed, not learnt from
//	long gap    further apart than MaxGap                                not spread; the fold starts again; the event
//	                                                                     carries the energy
//	late        before the last reading                                  ErrOrder: the caller rebuilds, see RestartPoint
//	duplicate   at the instant of the last reading                       ignored; the first one stands
//	energy      kind Energy: energy since the reading before             its sum; spread over the time since that reading
//	power       kind Power                                               the trapezoid; negative power counts as zero; over
//	                                                                     a gap the energy is estimated as well as recovered
//	unusable    quality missing, negative energy, beyond ±1 TWh          ignored, with an event
//
// A held reading is decided by the very next one, so no rule can stick: after a legitimate change of any size the second
// reading of the new run is believed.
//
// Total energy is continuous across all of these. What an event or a glitch can take from it, or add, is what could flow at
// ten times MaxWatts from the last good reading before to the first one after, and a digit (1 kWh) for each of its readings; where
// MaxWatts is unknown, at 50 MW. A multiplier that changed for good is told, not corrected: from then on energy is as the
// publisher sends it, until its unit is set right.
//
// # Invariants
//
//   - Exact integers only. Boundary values are rounded once, and energy is a difference of rounded values, so intervals
//     telescope: over any stretch without an event the sum of energies is the growth of the register in whole Wh.
//   - Energies are never negative.
//   - State is plain data of fixed size. Serialising it between any two readings changes nothing.
//   - Power and energy kinds have no display to read, so theirs starts at half a watt-hour (so that it rounds) at each
//     midnight UTC: a day's sum is within half a watt-hour of the truth, and the fold can be restarted at any midnight.
//
// # Restarting
//
// A late reading makes the intervals around it wrong. RestartPoint finds a reading from which a fold with an empty state
// gives the same intervals as one from the very first reading. For a counter such a reading ends a run of at least three
// readings of one meter, each a believable rise on the one before, that from the second on rise by at least the largest
// dip. Why this suffices: whatever the state was before the run, a held reading is decided by the run's second one, and
// both outcomes end with the second one believed; a dip hides at most the largest dip, which the run passes; no
// believable rise is ever held; the line that was left at a reset or a jump is forgotten after just such a run; (for that, where MaxWatts is unknown, at no more than 1 MW) and a counter that
// rises begins to stand still anew. So at its end the register equals the reading, nothing is held, and the past is
// forgotten, but for the interval then open: the result is the same from the next boundary on. The run must also close
// that interval before the late reading, because the late reading may decide a held one and so reach back.
package interval
