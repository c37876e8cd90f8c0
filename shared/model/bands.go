package model

import "fmt"

// Bands holds calibrated quantiles by horizon band and level: near hours are known better than far ones.
type Bands struct {
	Lead   int       // column of the feature "lead"
	Edges  []float32 // upper edges in hours, ascending; one fewer than bands
	Levels []float64
	Z      []float64 // bands × levels, ascending by level
}

// Count returns the number of bands.
func (b *Bands) Count() int { return len(b.Edges) + 1 }

// Of returns the band of a lead in hours.
func (b *Bands) Of(lead float32) int {
	for i, e := range b.Edges {
		if lead < e {
			return i
		}
	}
	return len(b.Edges)
}

// of returns the quantiles of the band that a row lies in.
func (b *Bands) of(row []float32) []float64 {
	l := len(b.Levels)
	i := b.Of(row[b.Lead]) * l
	return b.Z[i : i+l]
}

// check returns an error unless b can serve rows of so many features.
func (b *Bands) check(features int) error {
	if err := b.checkRange(features); err != nil {
		return err
	}
	for i, z := range b.Z {
		if i%len(b.Levels) > 0 && z < b.Z[i-1] {
			return fmt.Errorf("bands: quantiles of band %d do not ascend", i/len(b.Levels))
		}
	}
	return nil
}

// checkRange is check for families whose quantiles are corrections, which need not ascend.
func (b *Bands) checkRange(features int) error {
	if b.Lead < 0 || b.Lead >= features {
		return fmt.Errorf("bands: lead is column %d of %d", b.Lead, features)
	}
	if b.Count() > maxBands || len(b.Z) != b.Count()*len(b.Levels) {
		return fmt.Errorf("bands: %d bands with %d quantiles for %d levels", b.Count(), len(b.Z), len(b.Levels))
	}
	for i, e := range b.Edges {
		if !finite(float64(e)) || i > 0 && e <= b.Edges[i-1] {
			return fmt.Errorf("bands: edges %v: want ascending hours", b.Edges)
		}
	}
	for i, z := range b.Z {
		if !finite(z) {
			return fmt.Errorf("bands: quantile %g in band %d", z, i/len(b.Levels))
		}
	}
	return nil
}

// finite reports whether v is an ordinary number of a size that energies over scale can have.
func finite(v float64) bool { return v > -1e12 && v < 1e12 }
