package gbdt

// cell sums the residuals of the rows in one bin.
type cell struct {
	sum float64
	n   int32
}

// histogram holds the cells of one feature. Its size lets a byte index it without a bounds check.
type histogram [256]cell

// add fills h from the rows of a leaf and their residuals, in row order.
func (h *histogram) add(column []uint8, rows []int32, residuals []float32) {
	*h = histogram{}
	residuals = residuals[:len(rows)]
	for i, r := range rows {
		c := &h[column[r]]
		c.sum += float64(residuals[i])
		c.n++
	}
}

// subtract makes h the histogram of the rows that are in h and not in o.
func (h *histogram) subtract(o *histogram) {
	for i := range h {
		h[i].sum -= o[i].sum
		h[i].n -= o[i].n
	}
}

// split is a way to part the rows of a leaf.
type split struct {
	gain        float64
	feature     int
	bin         int // rows of this bin and below go left
	missingLeft bool
}

// best returns the split of h with the largest gain over not splitting, a gain of 0 when there is none.
func (h *histogram) best(bins, feature int, sum float64, n int32, p *Params) split {
	out := split{feature: feature}
	missing := h[missingBin]
	whole := sum * sum / (float64(n) + p.L2)
	least := int32(p.MinLeaf)
	var left cell
	for b := 0; b < bins-1; b++ {
		left.sum += h[b].sum
		left.n += h[b].n
		for side := range 2 {
			l := left
			if side == 1 {
				if missing.n == 0 {
					break
				}
				l.sum += missing.sum
				l.n += missing.n
			}
			rn := n - l.n
			if l.n < least || rn < least {
				continue
			}
			rs := sum - l.sum
			gain := l.sum*l.sum/(float64(l.n)+p.L2) + rs*rs/(float64(rn)+p.L2) - whole
			if gain > out.gain {
				out.gain, out.bin, out.missingLeft = gain, b, side == 1
				if missing.n == 0 { // none seen here: later ones go with the crowd
					out.missingLeft = l.n > rn
				}
			}
		}
	}
	// Known against missing.
	if l := n - missing.n; missing.n >= least && l >= least {
		ls := sum - missing.sum
		if gain := ls*ls/(float64(l)+p.L2) + missing.sum*missing.sum/(float64(missing.n)+p.L2) - whole; gain > out.gain {
			out.gain, out.bin, out.missingLeft = gain, bins-1, false
		}
	}
	return out
}
