// Package watch knows how a model is doing after it went to work: its live error beside the baseline's, and whether what it
// sees, or how it errs, has drifted away from what was usual.
//
// It must not know where forecasts and actuals come from, nor what becomes of a verdict. Agent and hub run the same code: an
// agent adds up its points, the hub merges what agents report.
//
// Invariants, each kept by a test:
//   - Everything that is counted can be merged, in any order, to the same result, so that days can be reported again and
//     points can be pooled.
//   - An alarm needs more than chance: limits are set by how far stretches of the usual time lie from the rest of it, for
//     hours of energy follow one another and the seasons, and textbook limits, which assume that they don't, alarm every
//     week. docs/benchmarks.md has the measured rate of false alarms.
//
// Distances: population stability index (PSI, as used for credit scores: Siddiqi, Credit Risk Scorecards, 2006) for features,
// the two-sample statistic of Kolmogorov and Smirnov (KS) for residuals.
package watch
