package settings

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// node decodes n into v, going on behind every problem so that all are found in one run.
func (l *loader) node(n ast.Node, key string, v reflect.Value) {
	if key != "" {
		l.places[key] = l.place(n)
	}
	if _, ok := n.(*ast.NullNode); ok {
		return // a key without a value leaves the default
	}
	switch {
	case v.Addr().Type().Implements(textType):
		l.scalar(n, key, v)
	case v.Kind() == reflect.Struct:
		l.mapping(n, key, func(name string, kv *ast.MappingValueNode) {
			f, ok := fieldNamed(v, name)
			if !ok {
				l.problem(l.place(kv.Key), join(key, name), "no such key%s", suggest(name, fieldNames(v.Type())))
				return
			}
			l.node(kv.Value, join(key, name), f)
		})
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		l.mapping(n, key, func(name string, kv *ast.MappingValueNode) {
			e := reflect.New(v.Type().Elem()).Elem()
			l.node(kv.Value, join(key, name), e)
			v.SetMapIndex(reflect.ValueOf(name), e)
		})
	case v.Kind() == reflect.Slice:
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			l.problem(l.place(n), key, "is %s: want a list", strings.ToLower(n.Type().String()))
			return
		}
		s := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
		for i, e := range seq.Values {
			l.node(e, fmt.Sprintf("%s[%d]", key, i), s.Index(i))
		}
		v.Set(s)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		l.node(n, key, v.Elem())
	default:
		l.scalar(n, key, v)
	}
}

// mapping calls entry for each entry of n, and reports a node that is no mapping and keys that stand twice.
func (l *loader) mapping(n ast.Node, key string, entry func(name string, kv *ast.MappingValueNode)) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		l.problem(l.place(n), key, "is %s: want keys with values", strings.ToLower(n.Type().String()))
		return
	}
	seen := map[string]string{}
	for _, kv := range values {
		name := kv.Key.GetToken().Value
		if first, ok := seen[name]; ok {
			l.problem(l.place(kv.Key), join(key, name), "stands here a second time (first at %s)", first)
			continue
		}
		seen[name] = l.place(kv.Key)
		entry(name, kv)
	}
}

func (l *loader) scalar(n ast.Node, key string, v reflect.Value) {
	s, ok := n.(ast.ScalarNode)
	if !ok {
		l.problem(l.place(n), key, "is %s: want a single value", strings.ToLower(n.Type().String()))
		return
	}
	text := s.GetToken().Value
	if lit, ok := n.(*ast.LiteralNode); ok {
		text = lit.Value.Value
	}
	if err := setText(v, text); err != nil {
		l.problem(l.place(n), key, "%s", err)
	}
}

// setText parses text into the scalar v.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration: want a number with a unit, as 500ms, 10s, 15m or 48h", text)
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no whole number of %d bits", text, v.Type().Bits())
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no whole number ≥ 0 of %d bits", text, v.Type().Bits())
		}
		v.SetUint(u)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil || f != f || f-f != 0 {
			return fmt.Errorf("%q is no finite number", text)
		}
		v.SetFloat(f)
	case reflect.Slice: // from the environment or a flag: separated by commas
		parts := strings.Split(text, ",")
		s := reflect.MakeSlice(v.Type(), len(parts), len(parts))
		for i, p := range parts {
			if err := setText(s.Index(i), strings.TrimSpace(p)); err != nil {
				return err
			}
		}
		v.Set(s)
	default:
		return fmt.Errorf("a %s cannot be given as one value", v.Type())
	}
	return nil
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
