// Package meter knows what is measured: registers, the series that a site produces, readings and their quality.
//
// It is the floor of the workspace: it imports nothing of Fluxora and must not know how readings travel (topic, proto),
// how they are packed (chunk) or what is made of them (interval, feature).
//
// Invariants:
//   - A reading's value is an exact integer in thousandths of its register's base unit (mWh for energy, mW for power),
//     so that what the finest common publisher sends is kept whole; energy of an interval is a whole number of watt-hours.
//   - Times are UTC instants in milliseconds. Local time exists only in calendars and on screens.
//   - The kind of a register (counter, energy, power) belongs to the series, never to a single reading.
package meter
