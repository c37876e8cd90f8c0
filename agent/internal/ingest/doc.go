// Package ingest turns MQTT messages into stored readings: decode, validate, leave out repeats, number, commit, ack.
//
// It must not know a broker connection (mqtt) nor files (store). Nothing is dropped in silence: a message or reading that
// is refused is counted by reason and kept in quarantine; only exact repeats are just counted.
//
// Invariant: a message is acked after the commit that holds all its accepted readings, and after those that hold what
// of it waits for the time to be known and what was quarantined. While a commit fails, it is tried again and its messages stay unacked.
//
// # Group commits
//
// A commit costs a sync and a page of flash however small it is, so messages wait for one another. They are committed as soon
// as one of these holds:
//   - as many wait as the broker lets through unacked (mqtt.max_inflight): no more would come;
//   - the oldest has waited for the window that the store's flash budget asks for, at most the commit window;
//   - their readings or bytes reach a bound.
//
// While one group is being committed, the next collects. If the broker's limit is lower than was configured, every group
// would wait for the window; so when two groups running were cut off by it at the same size, though their first message
// came at the heels of the acks before, that size is taken for the limit until a larger group shows.
//
// # Repeats
//
// QoS 1 delivers again, retained messages come again on each connect, publishers send old files anew. A reading is a
// repeat when the same series, instant and value is among the last readings taken (a window in memory, filled from the
// store at start) or, for a reading not newer than its series' newest, in the log. Another value for the same instant is no
// repeat: both are kept, and the hub decides.
//
// # Time
//
// Package clock says how far the agent's clock may be believed. While it may not, a reading that has its instant from this machine's
// clock (none of its own, or one near the wrong wall clock's, or one before 2020 and within this boot) is held: kept
// durably with the time since boot, acked, and stored as soon as it is known when the boot began, also after a restart.
// After a reboot that is so only if the boot without the time is bounded closely; else its readings go to quarantine as
// unset-clock, to be released with an instant. What is held takes at most a sixteenth of the store's cap; beyond
// that, the oldest go to quarantine too. A reading whose instant was computed so is of quality estimated: its value is
// measured, its time is not. A meter's own instant is never changed.
//
// # Mappings
//
// A mapping reads what other publishers send. Its topic pattern takes the point and the register from the levels {point}
// and {register} or has them fixed; its path finds the value in the JSON payload: names joined by dots, [n] for the n-th
// element, "" when the payload is the number itself. The value's decimal text is converted exactly. Without a timestamp
// path a reading gets its time of arrival, so a retained one, which may be of any age, is left out as a repeat. One that the
// broker sends again, since it was not acked, is a repeat when its series had the same value lately, and else new: it may have
// been on its way when the agent died.
//
// Presets, each a list of such mappings:
//
//	tasmota      tele/{point}/SENSOR      ENERGY.Total kWh → energy-import, ENERGY.Power W → power-import
//	shelly-gen2  {point}/status/switch:0  aenergy.total Wh, apower W; and {point}/status/em:0 total_act_power W,
//	             {point}/status/emdata:0  total_act Wh, total_act_ret Wh → energy-export
//	zigbee2mqtt  zigbee2mqtt/{point}      energy kWh, power W
//	plain        as configured            the payload is the number
//
// A message of a preset need not hold every value; one that holds none of them is passed over without quarantine, since
// such publishers send other things on the same topic, and counted as "unrelated".
package ingest
