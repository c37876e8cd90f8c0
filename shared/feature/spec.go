package feature

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Version is the version of the meaning of the features. It is raised when code changes what any feature computes.
const Version = 1

// ErrSpec says that a spec asks for features this build does not know.
var ErrSpec = errors.New("unknown feature spec")

const (
	maxFeatures = 512
	maxText     = 64 << 10
	maxBack     = 400 * 24 * time.Hour
)

// Spec is an ordered list of features. It is immutable; the zero value has none.
type Spec struct {
	names []string
	ops   []op
	text  string
}

// ParseSpec reads the text form of a spec (package comment). The error wraps ErrSpec and names the line.
func ParseSpec(text string) (Spec, error) {
	if len(text) > maxText {
		return Spec{}, fmt.Errorf("%w: %d bytes: want at most %d", ErrSpec, len(text), maxText)
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if want := "fluxora-features " + strconv.Itoa(Version); lines[0] != want {
		return Spec{}, fmt.Errorf("%w: first line %.40q: want %q", ErrSpec, lines[0], want)
	}
	lines = lines[1:]
	if len(lines) == 0 || len(lines) > maxFeatures {
		return Spec{}, fmt.Errorf("%w: %d features: want 1 to %d", ErrSpec, len(lines), maxFeatures)
	}
	s := Spec{text: text}
	seen := make(map[string]bool, len(lines))
	for i, line := range lines {
		o, err := parseOp(strings.Split(line, " "))
		if err != nil {
			return Spec{}, fmt.Errorf("%w: line %d, %.60q: %v", ErrSpec, i+2, line, err)
		}
		if seen[line] {
			return Spec{}, fmt.Errorf("%w: line %d: %.60q a second time", ErrSpec, i+2, line)
		}
		seen[line] = true
		s.names, s.ops = append(s.names, line), append(s.ops, o)
	}
	return s, nil
}

// Len returns the number of features.
func (s Spec) Len() int { return len(s.ops) }

// Names returns the features in order. The slice is the caller's.
func (s Spec) Names() []string { return append([]string(nil), s.names...) }

// Column returns the number of the feature with the given name, or -1.
func (s Spec) Column(name string) int {
	for i, n := range s.names {
		if n == name {
			return i
		}
	}
	return -1
}

// String returns the text form, which ParseSpec reads back.
func (s Spec) String() string { return s.text }

// Hash identifies the spec: equal hashes mean equal features, in the same order, with the same meaning.
func (s Spec) Hash() [32]byte { return sha256.Sum256([]byte(s.text)) }

// HexHash returns Hash in hexadecimal.
func (s Spec) HexHash() string { h := s.Hash(); return hex.EncodeToString(h[:]) }

// Reach returns how far before the origin the features may look. An agent that keeps that much loses nothing.
func (s Spec) Reach() time.Duration {
	reach := ScaleWindow
	for _, o := range s.ops {
		reach = max(reach, o.reach())
	}
	return reach + 3*time.Hour // clocks change by up to three hours in the zones of the world
}
