package model

import (
	"errors"
	"fmt"
)

// Mixture is the family of ensembles: members over the same rows, weighted by horizon band and by group of points. Its
// centre is the weighted mean of their middle levels; how far its levels lie from it is measured in the weighted mean of
// how far theirs do, below and above. A member that can say nothing of a row leaves its weight to the others.
type Mixture struct {
	Bands           // quantiles count half-breadths: -1 and 1 are where the members' outer levels lie
	Groups  Parting // of rows into groups of points
	Least   float64 // half-breadths are at least this
	Members []Member
	Weights []float64 // bands × groups × members, each ≥ 0, of a group not all 0

	features, middle int
}

// Member is one model of a mixture.
type Member struct {
	Family string
	Model  Model
}

// Parting divides rows into groups by one column: group g holds values below edge g, the last one the rest and what is missing.
type Parting struct {
	Column int
	Edges  []float32 // ascending; one fewer than groups
}

// Count returns the number of groups.
func (p *Parting) Count() int { return len(p.Edges) + 1 }

// Of returns the group of a row.
func (p *Parting) Of(row []float32) int {
	v := row[p.Column]
	for i, e := range p.Edges {
		if v < e {
			return i
		}
	}
	return len(p.Edges)
}

const (
	maxMembers = 16
	maxGroups  = 16
)

// NewMixture returns a checked model over rows of so many features. Its members must predict the levels of bands.
func NewMixture(features int, bands Bands, groups Parting, least float64, members []Member, weights []float64) (*Mixture, error) {
	m := &Mixture{Bands: bands, Groups: groups, Least: least, Members: members, Weights: weights, features: features, middle: Middle(bands.Levels)}
	if err := m.Bands.check(features); err != nil {
		return nil, err
	}
	if groups.Column < 0 || groups.Column >= features || groups.Count() > maxGroups {
		return nil, fmt.Errorf("ensemble: %d groups by column %d of %d", groups.Count(), groups.Column, features)
	}
	for i, e := range groups.Edges {
		if !finite(float64(e)) || i > 0 && e <= groups.Edges[i-1] {
			return nil, fmt.Errorf("ensemble: edges of groups %v: want them ascending", groups.Edges)
		}
	}
	if !finite(least) || least < 0 {
		return nil, fmt.Errorf("ensemble: least half-breadth %g: want a number ≥ 0", least)
	}
	n := len(members)
	if n < 1 || n > maxMembers || len(weights) != bands.Count()*groups.Count()*n {
		return nil, fmt.Errorf("ensemble: %d members with %d weights for %d bands and %d groups", n, len(weights), bands.Count(), groups.Count())
	}
	for i := 0; i < len(weights); i += n {
		sum := 0.0
		for _, w := range weights[i : i+n] {
			if !finite(w) || w < 0 {
				return nil, fmt.Errorf("ensemble: weight %g: want a number ≥ 0", w)
			}
			sum += w
		}
		if !(sum > 0) {
			return nil, errors.New("ensemble: a group without a weight")
		}
	}
	return m, nil
}

// Levels returns the quantile levels.
func (m *Mixture) Levels() []float64 { return m.Bands.Levels }

// Predict implements Model. What members say of a block of rows goes through out.
func (m *Mixture) Predict(rows []float32, n int, out []float64) {
	f, l := m.features, len(m.Bands.Levels)
	for at := 0; at < n; at += block {
		k := min(block, n-at)
		part, to := rows[at*f:(at+k)*f], out[at*l:(at+k)*l]
		var sum blend
		for i := range m.Members {
			if !m.needs(part, k, i) {
				continue
			}
			m.Members[i].Model.Predict(part, k, to)
			for r := range k {
				row := part[r*f : (r+1)*f]
				said := to[r*l : (r+1)*l]
				sum.add(r, m.weight(row, i), said[0], said[m.middle], said[l-1])
			}
		}
		for r := range k {
			centre, below, above := sum.of(r)
			below, above = max(below, m.Least), max(above, m.Least)
			for i, z := range m.of(part[r*f : (r+1)*f]) {
				breadth := above
				if z < 0 {
					breadth = below
				}
				to[r*l+i] = centre + float64(breadth*z) // the conversion forbids a fused multiply-add
			}
		}
	}
}

// ForPoint returns the ensemble of what its members say of the point of that name.
func (m *Mixture) ForPoint(name string) Model {
	own := *m
	own.Members = make([]Member, len(m.Members))
	known := false
	for i, member := range m.Members {
		own.Members[i] = Member{Family: member.Family, Model: ForPoint(member.Model, name)}
		known = known || own.Members[i].Model != member.Model
	}
	if !known {
		return m
	}
	return &own
}

// needs reports whether a member has a weight for any of k rows.
func (m *Mixture) needs(rows []float32, k, member int) bool {
	for r := range k {
		if m.weight(rows[r*m.features:(r+1)*m.features], member) > 0 {
			return true
		}
	}
	return false
}

// weight returns the weight of a member for a row.
func (m *Mixture) weight(row []float32, member int) float64 {
	at := m.Bands.Of(row[m.Lead])*m.Groups.Count() + m.Groups.Of(row)
	return m.Weights[at*len(m.Members)+member]
}

// blend adds up what members say of a block of rows.
type blend struct{ weight, centre, below, above [block]float64 }

func (b *blend) add(r int, w, low, middle, high float64) {
	if w == 0 || middle != middle {
		return
	}
	b.weight[r] += w
	b.centre[r] += float64(w * middle)
	b.below[r] += float64(w * (middle - low))
	b.above[r] += float64(w * (high - middle))
}

// of returns the weighted means, NaN when no member said anything.
func (b *blend) of(r int) (centre, below, above float64) {
	w := b.weight[r]
	return b.centre[r] / w, b.below[r] / w, b.above[r] / w
}

func (m *Mixture) encode(w *writer) {
	m.Bands.encode(w)
	w.u16(uint16(m.Groups.Column))
	w.u8(uint8(m.Groups.Count()))
	w.f32s(m.Groups.Edges)
	w.f64(m.Least)
	w.u8(uint8(len(m.Members)))
	for _, member := range m.Members {
		w.member(member)
	}
	w.f64s(m.Weights)
}

func decodeMixture(r *reader, features int, levels []float64) (Model, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return nil, err
	}
	groups := Parting{Column: int(r.u16())}
	count := int(r.u8())
	if r.bad || count < 1 || count > maxGroups {
		return nil, errors.New("count of groups")
	}
	groups.Edges = r.f32s(count - 1)
	least := r.f64()
	n := int(r.u8())
	if r.bad || n < 1 || n > maxMembers {
		return nil, errors.New("count of members")
	}
	members := make([]Member, n)
	for i := range members {
		if members[i], err = r.member(features, levels); err != nil {
			return nil, fmt.Errorf("member %d: %w", i+1, err)
		}
	}
	weights := r.f64s(bands.Count() * count * n)
	if r.bad {
		return nil, errors.New("weights are cut short")
	}
	return NewMixture(features, bands, groups, least, members, weights)
}
