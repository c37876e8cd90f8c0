package gbdt

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
