// Package importer reads tables of interval energies and commits them to a site as an agent would: through numbered batches,
// so that importing a file twice, or again after a crash half-way, adds nothing.
//
// A table is CSV or gzipped CSV with a header. Column meter_id names the point, timestamp (RFC 3339) is the start of an interval,
// and one of kwh, wh (energy) or power_w (mean power) is what was used in it; an empty value is an interval of which nothing is
// known. Rows may come in any order; other columns are ignored. The resolution is the shortest distance of two
// rows of a meter.
//
// Each row becomes a reading of kind energy at the interval's end. A stretch of rows begins with a reading of zero at its start
// and is of another series than the stretch before, as if the meter had been exchanged: so nothing is spread over
// the gap between them, whose intervals are missing, and the rows beside it stay as they are.
package importer
