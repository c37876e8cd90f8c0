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

// kind is what an op computes.
type kind uint8

const (
	lead kind = iota
	dayLag
	weekLag
	dayStat
	weekStat
	change
	dayDrift
	weekDrift
	// From here on the value depends on the origin alone.
	window
	windowDrift
	windowStray
	level
	complete
	age
	// From here on it depends on the target's calendar alone.
	hour
	quarter
	clockMinute
	weekday
	weekend
	yearday
	midYear
	halfSeason
)

// stat is a summary of several values.
type stat uint8

const (
	mean stat = iota
	std
	least
	most
)

var statNames = [...]string{"mean", "std", "min", "max"}

var calendarNames = [...]string{"hour", "quarter", "clock", "weekday", "weekend", "yearday", "season", "half-season"}

// op is a feature, parsed.
type op struct {
	kind kind
	stat stat
	k    int
	a, b time.Duration
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

func parseOp(w []string) (op, error) {
	args := w[1:]
	switch w[0] {
	case "lead":
		return op{kind: lead}, want(args, 0)
	case "day", "week":
		o := op{kind: dayLag}
		limit := 60
		if w[0] == "week" {
			o.kind, limit = weekLag, 53
		}
		if len(args) == 2 {
			var err error
			if o.a, err = parseLength(args[1], -12*time.Hour, 12*time.Hour); err != nil {
				return o, err
			}
			args = args[:1]
		}
		return o, errors.Join(want(args, 1), parseCount(args, &o.k, limit))
	case "change":
		o := op{kind: change}
		return o, errors.Join(want(args, 1), parseCount(args, &o.k, 28))
	case "drift":
		return parseDrift(args)
	case "stray":
		o := op{kind: windowStray}
		if err := want(args, 1); err != nil {
			return o, err
		}
		var err error
		o.a, err = parseLength(args[0], time.Hour, maxBack-driftBack)
		return o, err
	case "days", "weeks":
		o := op{kind: dayStat}
		limit := 60
		if w[0] == "weeks" {
			o.kind, limit = weekStat, 53
		}
		if err := want(args, 2); err != nil {
			return o, err
		}
		return o, errors.Join(parseStat(args[0], &o.stat), parseCount(args[1:], &o.k, limit))
	case "window":
		o := op{kind: window}
		if err := want(args, 2); err != nil {
			return o, err
		}
		var err error
		o.a, err = parseLength(args[1], time.Hour, maxBack)
		return o, errors.Join(err, parseStat(args[0], &o.stat))
	case "level":
		o := op{kind: level}
		if err := want(args, 2); err != nil {
			return o, err
		}
		var err, err2 error
		o.a, err = parseLength(args[0], time.Hour, maxBack)
		o.b, err2 = parseLength(args[1], time.Hour, maxBack)
		return o, errors.Join(err, err2)
	case "complete", "age":
		o := op{kind: complete}
		if w[0] == "age" {
			o.kind = age
		}
		if err := want(args, 1); err != nil {
			return o, err
		}
		var err error
		o.a, err = parseLength(args[0], time.Hour, maxBack)
		return o, err
	}
	for i, n := range calendarNames {
		if w[0] == n {
			return op{kind: hour + kind(i)}, want(args, 0)
		}
	}
	return op{}, errors.New("no such feature")
}

// parseDrift reads "day K", "week K" or "LENGTH".
func parseDrift(args []string) (op, error) {
	if len(args) == 1 {
		var err error
		o := op{kind: windowDrift}
		o.a, err = parseLength(args[0], time.Hour, maxBack-driftBack)
		return o, err
	}
	if err := want(args, 2); err != nil {
		return op{}, err
	}
	switch args[0] {
	case "day":
		o := op{kind: dayDrift}
		return o, parseCount(args[1:], &o.k, 28)
	case "week":
		o := op{kind: weekDrift}
		return o, parseCount(args[1:], &o.k, 28)
	}
	return op{}, fmt.Errorf("drift of %.20q: want day, week or a length", args[0])
}

func want(args []string, n int) error {
	if len(args) != n {
		return fmt.Errorf("%d parameters: want %d", len(args), n)
	}
	return nil
}

func parseCount(args []string, k *int, limit int) error {
	if len(args) == 0 {
		return errors.New("no count")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > limit || strconv.Itoa(n) != args[0] {
		return fmt.Errorf("count %.20q: want 1 to %d", args[0], limit)
	}
	*k = n
	return nil
}

func parseStat(s string, out *stat) error {
	for i, n := range statNames {
		if s == n {
			*out = stat(i)
			return nil
		}
	}
	return fmt.Errorf("statistic %.20q: want one of %v", s, statNames)
}

func parseLength(s string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most || d == 0 || d%time.Hour != 0 || s != strconv.Itoa(int(d/time.Hour))+"h" {
		return 0, fmt.Errorf("length %.20q: want whole hours from %s to %s, as 24h", s, least, most)
	}
	return d, nil
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
		back := max(o.a, o.b)
		switch o.kind {
		case dayLag, dayStat:
			back = time.Duration(o.k)*24*time.Hour - o.a
		case weekLag, weekStat:
			back = time.Duration(o.k)*7*24*time.Hour - o.a
		case change:
			back = time.Duration(o.k+1) * 24 * time.Hour
		case dayDrift:
			back = time.Duration(o.k)*24*time.Hour + driftBack
		case weekDrift:
			back = time.Duration(o.k)*7*24*time.Hour + driftBack
		case windowDrift, windowStray:
			back = o.a + driftBack
		}
		reach = max(reach, back)
	}
	return reach + 3*time.Hour // clocks change by up to three hours in the zones of the world
}
