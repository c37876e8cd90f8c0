package model

// Decompose returns what the parts of an additive model add up to in a row of the point of that name, in scales, and the share that this
// model has of the whole forecast: 1, or the weight of that member of an ensemble. ok is false when none takes part.
func Decompose(m Model, name string, row []float32) (parts Parts, share float64, ok bool) {
	switch m := m.(type) {
	case *Additive:
		return m.DecomposeFor(name, row), 1, true
	case *ByPoint:
		return Decompose(m.of(name), name, row)
	case *Mixture:
		sum := 0.0
		for i := range m.Members {
			w := m.weight(row, i)
			sum += w
			if p, s, yes := Decompose(m.Members[i].Model, name, row); yes && !ok {
				parts, share, ok = p, w*s, true
			}
		}
		return parts, share / sum, ok
	}
	return parts, 0, false
}
