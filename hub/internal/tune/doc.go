// Package tune searches for settings that make a score small: which to try next, and which to give up early.
//
// It knows spaces of settings, trials and a study of them. It must not know what is fitted, on what, or where a study is
// kept: that is a Keeper's.
//
// The search is the tree-structured Parzen estimator (Bergstra, Bardenet, Bengio, Kégl: Algorithms for hyper-parameter
// optimization, NIPS 2011), one setting at a time: the trials so far are parted into the best and the rest, each part gives a
// density, and of some draws from the density of the best the one is tried whose odds against the rest are largest. A trial is given up
// when, after a fold, its mean score so far is worse than the median of the others' at that fold (Golovin et al., Google
// Vizier, KDD 2017).
//
// Invariants, each kept by a test:
//   - What is tried next depends on the space, the seed and the trials so far, and on nothing else: a study that was stopped goes on
//     as if it had not been.
//   - A trial that was begun and never ended, because its process died, is tried again under its own number.
//   - A score that is no number never counts as good.
package tune
