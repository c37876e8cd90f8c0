package tune

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Param is one setting that is searched: a number between two bounds, both included, or one of some choices.
type Param struct {
	Name    string   `json:"name"`
	Low     float64  `json:"low,omitempty"`
	High    float64  `json:"high,omitempty"`
	Log     bool     `json:"log,omitempty"` // ratios count, not differences; Low must be above 0
	Whole   bool     `json:"whole,omitempty"`
	Choices []string `json:"choices,omitempty"` // when set, the value is the number of a choice
}

// Space is what is searched.
type Space []Param

// Values holds a value for each setting of a space, by name. Of choices it is the number of the choice.
type Values map[string]float64

// Check returns an error that names the setting no search can work with.
func (s Space) Check() error {
	if len(s) == 0 {
		return errors.New("space: no settings to search")
	}
	seen := map[string]bool{}
	for _, p := range s {
		switch {
		case p.Name == "" || seen[p.Name]:
			return fmt.Errorf("space: setting %q: want a name, once", p.Name)
		case len(p.Choices) == 1:
			return fmt.Errorf("space: setting %s: one choice: want at least two", p.Name)
		case len(p.Choices) > 0:
		case !(p.Low < p.High) || math.IsInf(p.Low, 0) || math.IsInf(p.High, 0):
			return fmt.Errorf("space: setting %s: %g to %g: want two finite bounds, the lower first", p.Name, p.Low, p.High)
		case p.Log && p.Low <= 0:
			return fmt.Errorf("space: setting %s: ratios from %g on: want a bound above 0", p.Name, p.Low)
		case p.Whole && (p.Low != math.Trunc(p.Low) || p.High != math.Trunc(p.High)):
			return fmt.Errorf("space: setting %s: %g to %g: want whole bounds", p.Name, p.Low, p.High)
		}
		seen[p.Name] = true
	}
	return nil
}

// Holds returns an error unless v has a value within its bounds for each setting of s.
func (s Space) Holds(v Values) error {
	if len(v) != len(s) {
		return fmt.Errorf("%d values for %d settings", len(v), len(s))
	}
	for _, p := range s {
		x, ok := v[p.Name]
		low, high := p.bounds()
		if !ok || !(x >= low && x <= high) || (p.Whole || len(p.Choices) > 0) && x != math.Trunc(x) {
			return fmt.Errorf("setting %s is %g: want %g to %g", p.Name, x, low, high)
		}
	}
	return nil
}

// Describe returns a value as people read it.
func (p Param) Describe(v float64) string {
	if i := int(v); len(p.Choices) > 0 && i >= 0 && i < len(p.Choices) {
		return p.Choices[i]
	}
	return fmt.Sprintf("%.4g", v)
}

func (p Param) bounds() (low, high float64) {
	if n := len(p.Choices); n > 0 {
		return 0, float64(n - 1)
	}
	return p.Low, p.High
}

// place returns where a value lies on the line that densities are over.
func (p Param) place(v float64) float64 {
	if p.Log {
		return math.Log(v)
	}
	return v
}

// span returns the ends of that line. A whole number fills the stretch around it.
func (p Param) span() (low, high float64) {
	low, high = p.Low, p.High
	if p.Whole {
		low, high = low-0.5, high+0.5
		if p.Log {
			low = max(low, p.Low/2)
		}
	}
	return p.place(low), p.place(high)
}

// value is the inverse of place, rounded and kept within the bounds.
func (p Param) value(x float64) float64 {
	if p.Log {
		x = math.Exp(x)
	}
	if p.Whole {
		x = math.Round(x)
	}
	return max(p.Low, min(p.High, x))
}

// draw returns a value that knows nothing of the trials.
func (p Param) draw(rng *rand.Rand) float64 {
	if n := len(p.Choices); n > 0 {
		return float64(rng.IntN(n))
	}
	low, high := p.span()
	return p.value(low + rng.Float64()*(high-low))
}

// clone returns the space with nothing shared.
func (s Space) clone() Space {
	out := slices.Clone(s)
	for i := range out {
		out[i].Choices = slices.Clone(out[i].Choices)
	}
	return out
}
