// Package lstm fits the network of family lstm (shared/model): an encoder of the hours before the origin and a decoder of
// single rows, with an output for each quantile level.
//
// It knows mini-batches, gradients, Adam (Kingma and Ba, 2015) and checkpoints. It must not know where rows come from, what
// an anchor is, or how quantiles are calibrated.
//
// Invariants, each kept by a test:
//   - Gradients are those of the loss: they agree with finite differences.
//   - The same rows, settings and seed give the same weights, whatever the number of threads: a mini-batch is parted into
//     so many shards as it always is, whose gradients are added in their order.
//   - A fit that was stopped goes on from its checkpoint to the same weights, to the bit, that it would have had.
//   - What is fitted is what is served: a batch gives what model.LSTM gives, but for the rounding of weights and sums.
//
// All sums are float64 with gonum's BLAS: on matrices of this size its float32 is 1.2 to 2 times as fast (docs/benchmarks.md),
// and a fit takes minutes anyway, so gradients that can be checked to six digits are worth more.
package lstm
