// Package derive makes intervals and rollups of the batches that agents sent, and packs raw readings for the long run. It
// knows the order of things; energy is the business of shared/interval, SQL of package store.
//
// # Steps
//
// A step works on one site in one transaction, under a lease that other hubs skip (a row lock). It does one of:
//
//   - derive: take the next batches in order of arrival; find what they change (an instant that is new, or held with another
//     value: a correction; the same value again is a duplicate and only counted); carry each stream's fold on, or, for
//     instants at or before its last reading, make the stretch around them anew.
//   - merge: move derived batches from level 0 into the time-ordered chunks of level 1, and delete them.
//   - remake: fold all streams of a site whose zone or resolution was changed from the beginning.
//
// # Invariants
//
//   - Of the values of a register at one instant the one that arrived last is effective; the others are in table correction.
//
//   - Intervals, events and rollups are those that one fold over all effective readings derived so far gives, whatever
//     the order of arrival, however it was cut into batches and steps.
//
//   - Chunks of a register do not overlap; no reading is in a chunk and in a batch at once.
//
//   - Every reading that came under a sequence is in one account of the ledger, by agent, epoch, point, register and UTC day;
//     duplicates and corrections are counted apart. Accounts move in the step that derives the readings.
//
// # Readings that come again
//
// What an agent sends because the hub asked (a resend) is a batch without sequences and goes the same way: an instant that is held
// with the same value changes no reading. But somebody may have deleted rows, so the stretch it covers is made anew in any case,
// and a fold that is gone is found again from the readings held. What was missing or different is counted as restored.
//
// # States after a crash
//
// A step's transaction either committed, with the count of what it derived, or it did not and is done again. There is
// nothing else: the process holds no state between steps.
package derive
