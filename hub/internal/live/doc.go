// Package live tells who follows along what happens: readings that came in, forecasts that were made, alerts, progress of jobs. It knows
// events and who waits for them, and no HTTP.
//
// Events are rows in Postgres, numbered by organisation without gaps in the order of their commits, so that whoever was away goes on
// after the last number it saw, at any replica of the hub. They are kept for a day, and at most 100,000 of an organisation.
//
// Notes are gathered in memory for a moment and written together, outside of the transactions that they are about: a note is lost when
// the hub dies within that moment, what it was about is not. Of notes about the same thing that are gathered together the newest is written.
//
// Each replica asks Postgres twice a second for the newest numbers of those organisations that somebody follows, and reads new events
// once for all who follow. There is no LISTEN and no lock that ingest would wait for.
package live
