package train

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fluxora.dev/hub/internal/tune"
	"fluxora.dev/shared/forecast"
)

// Setting is one thing that a training can be told. All that reads settings goes by this list (Settings): command line, settings
// file, REST, searches, and the records of runs.
type Setting struct {
	Name    string `json:"name"`    // of one family when it begins with the family's name and a dot
	Meaning string `json:"meaning"` // in a line
	Want    string `json:"want"`    // which values make sense
	Default string `json:"default"`

	search tune.Param // where a search looks; without a name: nowhere
	get    func(p *Params) string
	set    func(p *Params, text string) error
}

// Family returns the family that a setting is of, empty for all.
func (s Setting) Family() string {
	family, _, of := strings.Cut(s.Name, ".")
	if !of {
		return ""
	}
	return family
}

// Settings lists what a training can be told, with the defaults of a hub's trainings.
func Settings() []Setting {
	p := Params{Family: Selected}.withDefaults()
	out := settings()
	for i := range out {
		out[i].Default = out[i].get(&p)
	}
	return out
}

// Apply returns p with the values, by name of the setting, in place of its own. The error names each value that makes no sense,
// and what would.
func Apply(p Params, values map[string]string) (Params, error) {
	byName := map[string]Setting{}
	for _, s := range settings() {
		byName[s.Name] = s
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s, ok := byName[name]
		if !ok {
			errs = append(errs, fmt.Errorf("setting %q of a training: want one of %s", name, strings.Join(slices.Sorted(maps.Keys(byName)), ", ")))
			continue
		}
		if err := s.set(&p, strings.TrimSpace(values[name])); err != nil {
			errs = append(errs, fmt.Errorf("setting %s of a training is %q: %w", name, values[name], err))
		}
	}
	return p, errors.Join(errs...)
}

// Values returns the settings that a fit with p goes by, those of families that take no part left out.
func Values(p Params) map[string]string {
	p = p.withDefaults()
	families := append(p.families(), p.Family)
	out := map[string]string{}
	for _, s := range settings() {
		if f := s.Family(); f == "" || slices.Contains(families, f) {
			out[s.Name] = s.get(&p)
		}
	}
	return out
}

// Space returns what can be searched of a family's settings.
func Space(family string) (tune.Space, error) {
	var out tune.Space
	for _, s := range settings() {
		if s.search.Name != "" && s.Family() == family {
			out = append(out, s.search)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("family %q has nothing to search: want one of %v", family, Tunable())
	}
	return out, nil
}

// Set returns p with the values that a search found for a family. Values of another space, such as that of an older version, are an error.
func Set(p Params, family string, v tune.Values) (Params, error) {
	space, err := Space(family)
	if err == nil {
		err = space.Holds(v)
	}
	if err != nil {
		return p, fmt.Errorf("settings of family %s: %w", family, err)
	}
	text := map[string]string{}
	for name, x := range v {
		text[name] = strconv.FormatFloat(x, 'g', -1, 64)
	}
	return Apply(p, text)
}

// Tunable returns the families whose settings can be searched.
func Tunable() []string {
	var out []string
	for _, s := range settings() {
		if s.search.Name != "" && !slices.Contains(out, s.Family()) {
			out = append(out, s.Family())
		}
	}
	slices.Sort(out)
	return out
}

// number is a setting that is a number between two bounds, both included.
func number(name, meaning string, low, high float64, at func(p *Params) *float64) Setting {
	s := Setting{Name: name, Meaning: meaning, Want: fmt.Sprintf("a number from %g to %g", low, high)}
	s.get = func(p *Params) string { return strconv.FormatFloat(*at(p), 'g', -1, 64) }
	s.set = func(p *Params, text string) error {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= low && v <= high) {
			return errors.New("want " + s.Want)
		}
		*at(p) = v
		return nil
	}
	return s
}

// penalty is a setting that is a number ≥ 0, or inf; 0 means that the fit chooses it.
func penalty(name, meaning string, at func(p *Params) *float64) Setting {
	s := number(name, meaning+"; 0: chosen on held-out rows; inf: none", 0, math.Inf(1), at)
	s.Want = "a number from 0, or inf"
	return s
}

// whole is a setting that is a whole number between two bounds, both included.
func whole[T int | uint64](name, meaning string, low, high T, at func(p *Params) *T) Setting {
	s := Setting{Name: name, Meaning: meaning, Want: fmt.Sprintf("a whole number from %d to %d", low, high)}
	s.get = func(p *Params) string { return fmt.Sprint(*at(p)) }
	s.set = func(p *Params, text string) error {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 0 || T(v) < low || T(v) > high {
			return errors.New("want " + s.Want)
		}
		*at(p) = T(v)
		return nil
	}
	return s
}

// truth is a setting that holds or does not.
func truth(name, meaning string, at func(p *Params) *bool) Setting {
	s := Setting{Name: name, Meaning: meaning, Want: "true or false"}
	s.get = func(p *Params) string { return strconv.FormatBool(*at(p)) }
	s.set = func(p *Params, text string) error {
		if text != "true" && text != "false" {
			return errors.New("want " + s.Want)
		}
		*at(p) = text == "true"
		return nil
	}
	return s
}

// choice is a setting that is one of some words.
func choice(name, meaning string, at func(p *Params) *string, words ...string) Setting {
	s := Setting{Name: name, Meaning: meaning, Want: "one of " + strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" }), ", ")}
	s.get = func(p *Params) string { return *at(p) }
	s.set = func(p *Params, text string) error {
		if !slices.Contains(words, text) {
			return errors.New("want " + s.Want)
		}
		*at(p) = text
		return nil
	}
	return s
}

// duration is a setting that is a time between two bounds, both included.
func duration(name, meaning string, low, high time.Duration, at func(p *Params) *time.Duration) Setting {
	s := Setting{Name: name, Meaning: meaning, Want: fmt.Sprintf("a time from %s to %s, as 48h", low, high)}
	s.get = func(p *Params) string { return at(p).String() }
	s.set = func(p *Params, text string) error {
		v, err := time.ParseDuration(text)
		if err != nil || v < low || v > high {
			return errors.New("want " + s.Want)
		}
		*at(p) = v
		return nil
	}
	return s
}

// list is a setting that is a list with commas; check returns an error that names what is wrong with it.
func list(name, meaning, want string, at func(p *Params) *[]string, check func(words []string) error) Setting {
	s := Setting{Name: name, Meaning: meaning, Want: want}
	s.get = func(p *Params) string { return strings.Join(*at(p), ",") }
	s.set = func(p *Params, text string) error {
		var words []string
		for w := range strings.SplitSeq(text, ",") {
			if w = strings.TrimSpace(w); w != "" {
				words = append(words, w)
			}
		}
		if err := check(words); err != nil {
			return err
		}
		*at(p) = words
		return nil
	}
	return s
}

// searched lets searches look for a number between two bounds; where ratios count, by ratios.
func (s Setting) searched(low, high float64, ratios, whole bool) Setting {
	s.search = tune.Param{Name: s.Name, Low: low, High: high, Log: ratios, Whole: whole}
	return s
}

// levels is the setting of the quantile levels.
func levels() Setting {
	s := Setting{Name: "levels", Meaning: "quantile levels that are predicted", Want: "ascending numbers between 0 and 1, with commas, as 0.1,0.5,0.9"}
	s.get = func(p *Params) string {
		var words []string
		for _, l := range p.Levels {
			words = append(words, strconv.FormatFloat(l, 'g', -1, 64))
		}
		return strings.Join(words, ",")
	}
	s.set = func(p *Params, text string) error {
		var out []float64
		for w := range strings.SplitSeq(text, ",") {
			v, err := strconv.ParseFloat(strings.TrimSpace(w), 64)
			if err != nil {
				return errors.New("want " + s.Want)
			}
			out = append(out, v)
		}
		if err := forecast.CheckLevels(out); err != nil {
			return fmt.Errorf("%w: want %s", err, s.Want)
		}
		p.Levels = out
		return nil
	}
	return s
}
