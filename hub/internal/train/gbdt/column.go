package gbdt

import "slices"

// Column returns the bins of feature f by row, 255 for a missing value, and the largest value of each bin but the last. Codes
// of categories have bins of their own, in their order. The caller must not change the bins.
func (b *Binned) Column(f int) (bins []uint8, upTo []float32) {
	bins = b.bytes[f]
	if e := b.edges[f]; e != nil {
		return bins, e.at
	}
	for code := range maxBins - 1 {
		upTo = append(upTo, float32(code))
	}
	return bins, upTo
}

// Monotone returns b with features, by their number, on which predictions depend in one direction only (see Column). Both share
// the bins.
func (b *Binned) Monotone(signs map[int]int) *Binned {
	out := *b
	out.columns = slices.Clone(b.columns)
	for f, sign := range signs {
		out.columns[f].Monotone = sign
	}
	return &out
}
