// Package model holds fitted models: the artifact that carries one from hub to agent, and predicting with every family.
//
// It must not know how models are fitted, stored or sent. It is used by programs that trust neither the network nor the
// disk: decoding is bounded by the bytes given, and a model that decodes can neither loop nor read out of its arrays.
//
// Invariants, each kept by a test:
//   - Predict allocates nothing, may be called by many goroutines, and gives the same bits on every architecture: only
//     comparisons, additions, divisions, square roots and unfused products of fixed order are used.
//   - The levels of a row never cross.
//   - Encode is canonical: Decode followed by Encode gives the same bytes.
//
// # Artifact, format versions 1 and 2
//
// Integers are little-endian, floats IEEE 754 bits, strings UTF-8 preceded by their length.
//
//	offset  bytes  content
//	0       8      "FLUXMODL"
//	8       2      format version: 2, or 1 where growth is not known
//	10      2      zero
//	12      4      n, length of the body; at most 64 MiB
//	16      n      body
//	16+n    32     SHA-256 of everything before
//
// Body:
//
//	2+k     family: "gbdt", "seasonal", "linear", "forest", "additive", "lstm", "weeks", "boosted" or "ensemble"
//	4+k     feature spec in text form (package feature)
//	32      SHA-256 of that text
//	1+8L    count L of levels (1–99), each a float64, ascending in (0,1)
//	4, 4    resolution and horizon in seconds
//	8, 8    trained from, to: ms since 1970
//	4, 8    points and rows trained on
//	8·3     growth, each a float64; not in version 1
//	2       count of self-test vectors (at most 64), each F float32 (a row) and L float64 (what Predict must give)
//	4+k     the family's own bytes, below
//
// Bands, used by all families (horizon bands with calibrated quantiles):
//
//	2       column of the feature "lead" (hours)
//	1       count B of bands, 1–32
//	4(B-1)  upper edges, float32 hours, ascending: band b holds leads below edge b, the last band the rest
//	8·B·L   quantiles z, float64, by band, ascending by level
//
// Anchor: value(row) = first known base column, else 1, + sum over the known terms of weight(band, term) · term
//
//	1       count of base columns (0–16), each 2 bytes
//	1       count T of terms (0–16), each 2 bytes: a column
//	8·B·T   weights, float64, by band
//
// Family gbdt: value(level) = anchor(row) + trees(row) + max(spread(row), least spread) · z(band, level), the trees in place
// of the first sum a factor when their value is e to the sum
//
//	bands
//	anchor
//	spread, an anchor
//	8       least spread, float64
//	8       base of the trees, float64
//	trees
//
// Trees:
//
//	4       count of trees; bit 31 set: sets of categories come first; bit 30 set: the value is e to the sum
//	2+32n   only then: count of sets, each 256 bits, the lowest first: the whole numbers that are members
//	        each tree:
//	2         count of nodes, each 8 bytes:
//	  2         feature; bit 15 set: a missing value goes left; bit 14 set: split by a set; 0xffff: leaf
//	  2         number of the left child in the tree, the right one follows it; 0 in a leaf
//	  4         float32: in a leaf the value, else the threshold: a row's value ≤ threshold goes left; or the number of
//	            the set: its members go left, what is no whole number of 0 to 255 counts as missing
//
// Family quantiles: value(level) = anchor(row) + trees(row, level) + max(spread(row), least spread) · z(band, level), put in
// ascending order
//
//	bands
//	anchor
//	spread, an anchor
//	8       least spread, float64
//	8·L     bases of the trees, float64
//	trees, values of leaves 0
//	4·L     for each leaf of each tree: its values, float32
//
// Family seasonal: value(level) = first known of some columns + z(band, level)
//
//	bands
//	1       count of columns (1–16), each 2 bytes
//
// Scatter: value(level) = centre + max(spread(row), least spread) · z(band, level)
//
//	bands
//	spread, an anchor
//	8       least spread, float64
//
// Calendar, the columns of hour, quarter, weekday and holiday: 4 times 2 bytes, the column + 1, or 0 where the spec has none;
// and 1 byte: slots in an hour, 1 or 4. Days count from Monday 0; 7 is a holiday.
//
// Inputs: 2 bytes count (at most 1024), each 2 bytes column, 1 byte reading (0 plain, 1 relative to the base, 2 absent,
// 3 above, 4 below the knot) and three float64: knot, centre, per unit. An input is (reading − centre) · per unit, bounded
// by ±8, and 0 when the value is missing.
//
// Family linear: centre = base(row) + slot(band, day, slot) + sum over the inputs of weight(band, group, input) · input
//
//	scatter
//	calendar
//	1       count of base columns (0–16), each 2 bytes: the first known counts, else 1
//	inputs
//	192     group of each hour, by day (8) and hour (24)
//	8·…     weights, float64, by band, group and input
//	8·…     corrections, float64, by band, day (8) and slot
//
// Family forest: value(level) = anchor(row) + quantile of the samples in the row's leaves + max(width, least width) ·
// z(band, level), put in ascending order; the width is the distance between the outermost quantiles. The quantile at a level
// is that of rank level · count − 1/2 from 0, interpolated.
//
//	bands, whose quantiles need not ascend
//	anchor
//	8       least width, float64
//	2+8k    count of grid values (1–256), each float64, ascending
//	2       count of trees (1–2000), each
//	  2       count of nodes, each 8 bytes as in gbdt, but that a leaf has its number in place of the left child, and value 0
//	  8·…     by leaf number: 8 samples, each a byte, the number of a grid value, ascending
//
// Family additive: centre = base(row) + own slope + sum over the terms of (weight(band, term) + own weight) · input · round
//
//	scatter
//	calendar
//	2       column of the day of the year + 1, or 0
//	1       count of base columns (0–16), each 2 bytes: the first known counts, else 1
//	inputs, at most 128
//	1       count of rounds (at most 128), each
//	  1       0: over the slots of a day, 1: of seven days, a holiday counting as Sunday, 2: over 366 days of a year
//	  8·…     values, float64
//	2       count of terms (at most 256), each
//	  1       part: 1 trend, 2 daily, 3 weekly, 4 yearly, 5 holidays, 6 weather
//	  1, 1    input + 1, round + 1; 0: none, a factor of 1
//	8·…     weights, float64, by band and term
//	4       count of points that have something of their own, by name, ascending, each
//	  2+k     name: point, a space, register
//	  8       slope, float64, of the trend
//	  4·…     own weights, float32, by term
//
// Family lstm: value(level) = anchor(row) + max(spread(row), least spread) · fan(level); the fan is the network's output
// for the middle level plus z, and, away from it, each level's squareplus(output) times the difference of z further
//
//	bands
//	anchor
//	spread, an anchor
//	8       least spread, float64
//	2+2k    count of hours read (1–1344) and their columns, oldest first
//	4, 4    mean and gain of the past, float32: what is read is (value - mean) · gain, within ±8, 0 when missing
//	1, 1, 1 patch (hours a step), cells (at most 64), hidden units (at most 128)
//	2       count of inputs (at most 512), each 2 bytes column and float32 mean and gain, read likewise
//	1       count of tables (at most 8), each 2 bytes column and 2 bytes count of values
//	4+4k    weights, float32: of the memory's gates (input, forget, candidate, output, a row for each cell) for the patch
//	        and the share of it that is known, for its state, and biases; of the first hidden layer for the state, for
//	        the inputs, for the tables (a row for each value) and biases; of the second, and biases; of the outputs, a row
//	        for each level, and biases
//
// Family weeks: centre = unit · unroot(level + sum over the hours of weight(step, hour) · (root − level) + constant(step)), by the
// first line whose stretch is filled, 1 when none is; root is the eighth root of an hour's share in the mean (the unit) plus
// 0.05, level its mean over the last week
//
//	scatter
//	2+2k    count of hours (1–512) and their columns, oldest first
//	1       steps in an hour
//	1       count of lines (1–8), the longest first, each
//	  2, 2    hours, steps
//	  4·…     weights, float32, by step: of the hours, oldest first, and the constant
//
// Family boosted: as family linear, with the sum of trees added to the centre
//
//	as family linear
//	8, …    base and trees, as in family gbdt
//
// Family ensemble: value(level) = centre + half-breadth below or above · z(band, level), where centre and half-breadths are
// means over the members, weighted by band and group
//
//	bands, whose z count half-breadths
//	2       column that groups go by
//	1       count G of groups, 1–16
//	4(G-1)  upper edges, float32, ascending: group g holds values below edge g, the last one the rest and what is missing
//	8       least half-breadth, float64
//	1       count M of members, 1–16, each
//	  1+k     family, any but this
//	  4+k     its own bytes
//	8·B·G·M weights, float64, ≥ 0, in no group of a band all 0
//
// Family by-point: what the model of the point says, or else the shared one
//
//	1+k     family of all, any but this and ensemble
//	4+k     the shared model's own bytes
//	4       count of points that have a model of their own, ascending, each
//	  8       FNV-1a of 64 bits of the name: point, a space, register
//	  4+k     its own bytes
package model
