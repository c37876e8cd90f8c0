package model

import (
	"errors"
	"fmt"
	"math"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Model predicts energies, divided by the point's scale, at its levels.
type Model interface {
	// Levels returns the quantile levels, ascending. The caller must not change them.
	Levels() []float64

	// Predict fills out, n×levels, from n rows laid end to end. Levels ascend within a row; a value is NaN when the row
	// holds too little to say anything. It must be safe for concurrent use and must not keep the slices.
	Predict(rows []float32, n int, out []float64)
}

// PerPoint is what models have that know some points better than others.
type PerPoint interface {
	// ForPoint returns the model for the point of that name, and the one for points never seen when it is none of those
	// learnt from.
	ForPoint(name string) Model
}

// ForPoint returns what m says of the point of that name.
func ForPoint(m Model, name string) Model {
	if p, ok := m.(PerPoint); ok {
		return p.ForPoint(name)
	}
	return m
}

// Artifact is a fitted model with all that is needed to use it and to know where it came from.
type Artifact struct {
	ID          string // names the version; Decode sets it from the digest, a registry may set its own. Not encoded.
	Family      string
	Spec        feature.Spec // what a row holds
	Levels      []float64
	Resolution  time.Duration
	Horizon     time.Duration // how far ahead it has learnt to predict
	TrainedFrom meter.Millis
	TrainedTo   meter.Millis // nothing at or after it was learnt from
	Points      int          // points trained on
	Rows        int          // rows trained on
	Growth      Growth       // of breadths where the newest readings are missing; nil: not known, none
	Vectors     []Vector
	Model       Model
}

// Vector is a row and what the model must make of it, to the bit.
type Vector struct {
	Row  []float32
	Want []float64
}

// What is wrong with an artifact, for callers that branch on it.
var (
	ErrDamaged  = errors.New("damaged artifact")       // truncated, altered or never one
	ErrVersion  = errors.New("unknown format version") // made by a newer hub
	ErrSelfTest = errors.New("self-test differs")      // predicts other numbers here than where it was made
)

// AddVectors chooses up to count of the n rows, spread evenly, as self-test vectors.
func (a *Artifact) AddVectors(rows []float32, n, count int) {
	f, l := a.Spec.Len(), len(a.Levels)
	count = min(count, n, maxVectors)
	for i := range count {
		r := i * n / count
		v := Vector{Row: append([]float32(nil), rows[r*f:(r+1)*f]...), Want: make([]float64, l)}
		a.Model.Predict(v.Row, 1, v.Want)
		if v.Want[0] == v.Want[0] {
			a.Vectors = append(a.Vectors, v)
		}
	}
}

// SelfTest predicts the artifact's own vectors and compares bits. The error wraps ErrSelfTest.
func (a *Artifact) SelfTest() error {
	if len(a.Vectors) == 0 {
		return fmt.Errorf("%w: the artifact carries no vectors", ErrSelfTest)
	}
	got := make([]float64, len(a.Levels))
	for i, v := range a.Vectors {
		a.Model.Predict(v.Row, 1, got)
		for j := range got {
			if math.Float64bits(got[j]) != math.Float64bits(v.Want[j]) {
				return fmt.Errorf("%w: vector %d, level %g: got %v, want %v", ErrSelfTest, i, a.Levels[j], got[j], v.Want[j])
			}
		}
	}
	return nil
}
