package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Source says where the settings come from.
type Source struct {
	Path  string            // YAML file; empty for none
	Env   []string          // "NAME=value" entries, as from os.Environ
	Known []string          // variables with the prefix that are no keys, such as the one that names the file itself
	Flags map[string]string // key → value, as given on the command line
	Names map[string]string // key → the flag that gives it, as "--site"; "--set KEY" where there is no entry

	Prefix string // of environment variables, "FLUXORA_AGENT_"
}

// Checker is a configuration that can find fault with itself beyond what types say.
type Checker interface {
	// Check must call report once for each wrong value, with its key in dots ("mqtt.url", "points[2].name"), what is wrong
	// and what would be right.
	Check(report func(key, format string, args ...any))
}

// Problem is one wrong key or value.
type Problem struct {
	Place string // "agent.yaml:3:7", "environment FLUXORA_AGENT_SITE", "flag --set site" or "default"
	Key   string
	What  string
}

// Problems is every wrong key and value of a configuration, in the order of their places.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Place + ": " + p.What
		if p.Key != "" {
			lines[i] = p.Place + ": " + p.Key + ": " + p.What
		}
	}
	return strings.Join(lines, "\n")
}

const maxFile = 1 << 20

// Load fills into, a pointer to a struct, and checks it. The error is Problems, or tells why the file could not be read.
func Load(src Source, into any) error {
	l := loader{places: map[string]string{}}
	root := reflect.ValueOf(into)
	if root.Kind() != reflect.Pointer || root.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("load settings into %T: want a pointer to a struct", into)
	}
	if src.Path != "" {
		if err := l.file(src.Path, root.Elem()); err != nil {
			return err
		}
	}
	l.environment(src, root.Elem())
	for _, key := range sortedKeys(src.Flags) {
		l.set(key, src.Flags[key], "flag "+cmp.Or(src.Names[key], "--set "+key), root.Elem())
	}
	if c, ok := into.(Checker); ok && !l.unreadable {
		known := len(l.problems)
		c.Check(func(key, format string, args ...any) {
			// What could not be read has its default, or nothing; that it is wrong is known already.
			if !slices.ContainsFunc(l.problems[:known], func(p Problem) bool { return p.Key == key }) {
				l.problems = append(l.problems, Problem{l.placeOf(key), key, fmt.Sprintf(format, args...)})
			}
		})
	}
	if len(l.problems) > 0 {
		return l.problems
	}
	return nil
}

type loader struct {
	path       string
	unreadable bool              // the file is no YAML, so what is missing means nothing
	places     map[string]string // key → where it was set
	problems   Problems
}

func (l *loader) problem(place, key, format string, args ...any) {
	l.problems = append(l.problems, Problem{place, key, fmt.Sprintf(format, args...)})
}

// placeOf returns where key, or the nearest key above it, was set.
func (l *loader) placeOf(key string) string {
	for k := key; k != ""; {
		if p, ok := l.places[k]; ok {
			return p
		}
		i := strings.LastIndexAny(k, ".[")
		if i < 0 {
			break
		}
		k = k[:i]
	}
	return "default"
}

func (l *loader) file(path string, root reflect.Value) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("settings file %s does not exist", path)
	case err != nil:
		return fmt.Errorf("read settings: %w", err)
	case info.Size() > maxFile:
		return fmt.Errorf("settings file %s has %d bytes: want at most %d", path, info.Size(), maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	l.path = path
	parsed, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntax(err)
		return nil
	}
	if len(parsed.Docs) > 1 {
		l.unreadable = true
		l.problem(path, "", "holds %d YAML documents: want one", len(parsed.Docs))
		return nil
	}
	for _, doc := range parsed.Docs {
		if doc.Body != nil {
			l.node(doc.Body, "", root)
		}
	}
	return nil
}

// syntax reports what keeps the file from being YAML at all.
func (l *loader) syntax(err error) {
	l.unreadable = true
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		p := at.GetToken().Position
		l.problem(fmt.Sprintf("%s:%d:%d", l.path, p.Line, p.Column), "", "%s", at.GetMessage())
		return
	}
	l.problem(l.path, "", "%s", err)
}

func (l *loader) place(n ast.Node) string {
	p := n.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", l.path, p.Line, p.Column)
}

// environment applies the variables with the prefix.
func (l *loader) environment(src Source, root reflect.Value) {
	if src.Prefix == "" {
		return
	}
	keys := map[string]string{}
	for _, key := range leafKeys(root.Type(), "") {
		keys[variable(src.Prefix, key)] = key
	}
	env := slices.Clone(src.Env)
	sort.Strings(env)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, src.Prefix) || slices.Contains(src.Known, name) {
			continue
		}
		key, ok := keys[name]
		if !ok {
			l.problem("environment "+name, "", "no such setting%s", suggest(name, sortedKeys(keys)))
			continue
		}
		l.set(key, value, "environment "+name, root)
	}
}

func variable(prefix, key string) string {
	return prefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// set gives the leaf named by key the value text.
func (l *loader) set(key, text, place string, root reflect.Value) {
	v := root
	for _, name := range strings.Split(key, ".") {
		f, ok := fieldNamed(v, name)
		if !ok {
			l.problem(place, key, "no such setting%s", suggest(key, leafKeys(root.Type(), "")))
			return
		}
		v = f
	}
	l.places[key] = place
	if err := setText(v, text); err != nil {
		l.problem(place, key, "%s", err)
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
