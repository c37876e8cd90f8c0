// Package gbdt fits gradient-boosted regression trees on histograms, after LightGBM (Ke et al., 2017) and XGBoost (Chen
// and Guestrin, 2016).
//
// It knows rows of numbers and targets; it must not know points, features by name, or time. Values are put once into at
// most 255 bins a feature, bin 255 being "missing" (edges.go, bins.go); trees grow leaf by leaf, best gain first (grow.go);
// the histogram of the larger child is the parent's minus the smaller child's (histogram.go); missing values go to the side
// where they gain most, categories by the set that gains most (split.go). A tree's structure follows the gradients of the
// loss alone, as in Friedman's gradient boosting machine (2001); what its leaves say is then the optimum of the loss over
// their rows: a mean, a quantile, Tweedie's closed form (say.go, loss.go).
//
// Invariant: the same rows, targets, parameters and seed give the same bits, whatever the number of threads. Gradients are
// summed as integers, fine enough that nothing is lost (packing), so the order of sums does not matter; what is summed as
// floats is summed by stretches of fixed length.
package gbdt
