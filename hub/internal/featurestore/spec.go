package featurestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/feature"
)

// Default is the name of the spec that this build trains with unless it is told another. It is kept in no database.
const Default = "default"

// Specs finds specs by name.
type Specs interface {
	FeatureSpec(ctx context.Context, org uuid.UUID, name string, version int) (store.FeatureSpec, error)
}

// Resolve returns the spec that a person names: default or nothing, a file with the text of one, a name, or a name and version as
// winter@2. specs may be nil where there is no database.
func Resolve(ctx context.Context, specs Specs, org uuid.UUID, name string) (feature.Spec, error) {
	s, _, err := Find(ctx, specs, org, name)
	return s, err
}

// Find does the same and says which one it is, by its name and version where it has one.
func Find(ctx context.Context, specs Specs, org uuid.UUID, name string) (s feature.Spec, found string, err error) {
	if name == "" || name == Default {
		return feature.Default(), Default, nil
	}
	if strings.ContainsAny(name, "./\\") {
		text, err := os.ReadFile(name)
		if err != nil {
			return s, name, fmt.Errorf("feature spec: %w", err)
		}
		s, err = parse(name, string(text))
		return s, name, err
	}
	name, number, versioned := strings.Cut(name, "@")
	version := 0
	if versioned {
		if version, err = strconv.Atoi(number); err != nil || version < 1 {
			return s, name, fmt.Errorf("feature spec %s@%s: want a version from 1, as %s@1", name, number, name)
		}
	}
	if specs == nil {
		return s, name, fmt.Errorf("feature spec %q: want %s or the path of a file, as ./winter.txt", name, Default)
	}
	f, err := specs.FeatureSpec(ctx, org, name, version)
	if errors.Is(err, store.ErrNotFound) {
		return s, name, fmt.Errorf("%w: want %s, one of `features list`, or the path of a file, as ./%s.txt", err, Default, name)
	}
	if err != nil {
		return s, name, err
	}
	s, err = parse(f.Name, f.Text)
	return s, fmt.Sprintf("%s@%d", f.Name, f.Version), err
}

// parse reads a spec and says where it is from when it cannot.
func parse(from, text string) (feature.Spec, error) {
	s, err := feature.ParseSpec(text)
	if err != nil {
		return s, fmt.Errorf("%s: %w", from, err)
	}
	return s, nil
}
