// Package gbdt fits gradient-boosted regression trees on histograms, after LightGBM (Ke et al., 2017) and XGBoost (Chen
// and Guestrin, 2016).
//
// It knows rows of numbers and targets; it must not know points, features by name, or time. Values are put once into at
// most 255 bins a feature, bin 255 being "missing"; trees grow leaf by leaf, best gain first; the histogram of the larger
// child is the parent's minus the smaller child's; missing values go to the side where they gain most.
//
// Invariant: the same rows, targets, parameters and seed give the same bits, whatever the number of threads. Threads share
// out features, never rows, so every sum is taken in row order.
package gbdt
