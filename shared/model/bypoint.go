package model

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sort"
)

// ByPoint is the family of models that hold one for each of some points, and one that all other points share, such as those never
// seen. All are of one family, over the same rows.
type ByPoint struct {
	Family string // of all
	Shared Model
	Own    []OwnModel // ascending
}

// OwnModel is the model of one point.
type OwnModel struct {
	Point uint64 // HashPoint of its name
	Model Model
}

// HashPoint returns by what a model knows the point of that name: FNV-1a of 64 bits.
func HashPoint(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum64()
}

// NewByPoint returns a checked model.
func NewByPoint(family string, shared Model, own []OwnModel) (*ByPoint, error) {
	if len(own) > maxOwn {
		return nil, fmt.Errorf("by point: %d models: want at most %d", len(own), maxOwn)
	}
	for i, o := range own {
		if i > 0 && o.Point <= own[i-1].Point {
			return nil, errors.New("by point: want points in ascending order, each once")
		}
		if !slices.Equal(o.Model.Levels(), shared.Levels()) {
			return nil, fmt.Errorf("by point: model %d predicts levels %v, the shared one %v", i+1, o.Model.Levels(), shared.Levels())
		}
	}
	return &ByPoint{Family: family, Shared: shared, Own: own}, nil
}

// Levels returns the quantile levels.
func (m *ByPoint) Levels() []float64 { return m.Shared.Levels() }

// Predict implements Model, for a point that has no model of its own.
func (m *ByPoint) Predict(rows []float32, n int, out []float64) { m.Shared.Predict(rows, n, out) }

// ForPoint implements PerPoint.
func (m *ByPoint) ForPoint(name string) Model { return ForPoint(m.of(name), name) }

// of returns the model of a point.
func (m *ByPoint) of(name string) Model {
	at := HashPoint(name)
	if i := sort.Search(len(m.Own), func(i int) bool { return m.Own[i].Point >= at }); i < len(m.Own) && m.Own[i].Point == at {
		return m.Own[i].Model
	}
	return m.Shared
}

// Size returns how many bytes a model takes in an artifact.
func Size(m Model) int {
	w := &writer{}
	if e, ok := m.(encoder); ok {
		e.encode(w)
	}
	return len(w.b)
}

func (m *ByPoint) encode(w *writer) {
	w.member(Member{m.Family, m.Shared})
	w.u32(uint32(len(m.Own)))
	for _, o := range m.Own {
		w.u64(o.Point)
		w.model(o.Model)
	}
}

func decodeByPoint(r *reader, features int, levels []float64) (Model, error) {
	shared, err := r.member(features, levels, FamilyByPoint)
	if err != nil {
		return nil, fmt.Errorf("shared model: %w", err)
	}
	n := r.count()
	if r.bad || n > r.left()/12 {
		return nil, errors.New("count of points")
	}
	own := make([]OwnModel, n)
	for i := range own {
		own[i].Point = r.u64()
		if own[i].Model, err = r.model(shared.Family, features, levels); err != nil {
			return nil, fmt.Errorf("model %d: %w", i+1, err)
		}
	}
	return NewByPoint(shared.Family, shared.Model, own)
}
