package settings

import (
	"reflect"
	"strings"
)

// keyOf returns the key of a struct field, or "" when it has none.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if !f.IsExported() || name == "-" {
		return ""
	}
	return name
}

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	if v.Kind() != reflect.Struct {
		return reflect.Value{}, false
	}
	for i := range v.NumField() {
		if k := keyOf(v.Type().Field(i)); k != "" && k == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if k := keyOf(t.Field(i)); k != "" {
			names = append(names, k)
		}
	}
	return names
}

// leafKeys returns the keys that one text can set: everything but structs and lists or maps of structs.
func leafKeys(t reflect.Type, above string) []string {
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		k := keyOf(f)
		if k == "" {
			continue
		}
		switch ft := f.Type; {
		case reflect.PointerTo(ft).Implements(textType):
			keys = append(keys, join(above, k))
		case ft.Kind() == reflect.Struct:
			keys = append(keys, leafKeys(ft, join(above, k))...)
		case ft.Kind() == reflect.Map, ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
		default:
			keys = append(keys, join(above, k))
		}
	}
	return keys
}

// suggest returns "; did you mean …?" when one of the names is near to the wrong one, else the list of names when short.
func suggest(wrong string, names []string) string {
	best, at := "", len(wrong)/3+2
	for _, n := range names {
		if d := distance(strings.ToLower(wrong), strings.ToLower(n), at); d < at {
			best, at = n, d
		}
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	if len(names) > 0 && len(names) <= 12 {
		return ": want one of " + strings.Join(names, ", ")
	}
	return ""
}

// distance returns the Levenshtein distance of a and b, or at least most when it is no smaller.
func distance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal, row[j+1] = above, min(cost, above+1, row[j]+1)
		}
	}
	return row[len(b)]
}
