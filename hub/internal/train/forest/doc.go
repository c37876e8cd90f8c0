// Package forest grows random forests (Breiman, 2001) that keep in each leaf a sketch of the targets that fell into it, so
// that a forest predicts a distribution and not a mean alone (Meinshausen, Quantile regression forests, 2006).
//
// It knows rows of binned numbers and targets; it must not know points, features by name, or time. Each tree is grown on a
// bootstrap of the rows, depth first, each split chosen among a few features drawn anew; bins are those of package gbdt.
//
// Invariant: the same rows, targets, parameters and seed give the same trees, whatever the number of threads. Threads share
// out trees, and each tree draws from a generator of its own.
package forest
