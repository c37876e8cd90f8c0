// Package chaos runs a seeded fault campaign: it does harm to every process, disk and network of a site and its hub while
// meters publish, heals it all, and proves that the books balance to zero. See `make chaos`.
//
// # Model
//
// The programs are the real ones (stage): Mosquitto, an agent, a hub and its private Postgres. Meters publish with QoS 1.
// What the broker acked is the truth (truth.go): of every series the value at each instant, and where a correction was
// published later, all values in order. Nothing else of the system is asked what is true; in particular intervals are
// folded from the truth from scratch.
//
// The meters publish as the field does: in arrays and alone, over several series, some messages twice, some readings late
// and out of order, some corrected afterwards, and garbage, which must be neither stored nor in the way.
//
// An ack of the broker is worth what the broker's own disk holds. Mosquitto saves now and then (here every second) and
// kill -9 takes what came since. That is its loss, not Fluxora's, and a bridge with a store of its own repairs it; so
// after a kill of the broker the meters say again what was acked since its last save (publisher.go).
//
// # Rounds
//
// In a round the meters publish for some seconds, and faults chosen by the seed come at times chosen by the seed, on
// different victims at once. Seed and round give the same faults at the same offsets; how processes interleave is up to
// the machine. Then everything is healed, a mark is published as the last reading, and the round settles: the mark has
// reached the hub, the agent holds nothing that the hub has not got, and the hub has derived all it got. Then checks.
//
// # Invariants, checked after each round
//
//  1. Postgres holds exactly the truth (fluxora_readings): no reading is missing, none has another value, none is there that
//     was never published. Of a corrected reading the later value counts and the earlier one is in table correction.
//  2. None was counted twice: readings derived + what came again because the hub asked and was missing or different there =
//     instants held + duplicates + corrections, as the hub counts them.
//  3. The agent's books balance: received = delivered + evicted + pending.
//  4. Acknowledged readings may be missing only where a fault destroyed the agent's own files (damage.go): each was in the store
//     before the fault and is not there after it (an agent without a network, started from a copy of the dead one's data, tells).
//     They are counted as "named", not as lost, and from then on the truth is without them. In sequences it is exact: the hub
//     has every one that the agent gave out, but for those that the agent names; and it names none without such a fault. Three
//     things are told apart (losses.go): what was on its way when it was evicted or damaged, and reached the hub, is named all
//     the same; what was passed over and told to the hub may be forgotten with the power; and without state.db everything is named that is in
//     no segment. Where the disk was full, each account's evicted readings are those missing at the hub.
//  5. Intervals at the agent and at the hub are those of a fold from scratch over the truth.
//  6. Forecasts went on: every point has one that was issued after the round began, at the agent and at the hub.
//     Only where a fault destroyed everything the agent knew of a point may it say that there is no history.
//  7. Two agents with one identity raise the hub's alarm and double nothing.
//  8. No program ended by itself or took longer to stop than it may; memory, disk and goroutines are within their bounds
//     (bounds.go).
//
// # Faults
//
// Processes are killed, stopped and restarted (faults.go), Postgres too (postgres.go). Networks are cut, stalled, slowed and made to
// flap by a proxy (proxy.go). The agent's data lie on a small file system, which is filled up, under a frail one (package frail),
// which fails and loses, tears and reorders what was not synced (disk.go). Files are damaged while the agent is down (damage.go).
// The agent's clock jumps (clock.go). What cannot be done on a machine, for want of rights or of a kernel's help, is said at the start.
//
// # When a promise was broken
//
// The campaign ends with the seed, what was done in the round and when, and the end of each log; the data stays, with every
// message in the broker's log. The same seed does the same again, or, with --only, part of it.
package chaos
