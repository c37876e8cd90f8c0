package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"fluxora.dev/hub/internal/api"
)

// released is the document of the last release. A release copies docs/openapi.json over it, and nothing else changes it.
const released = "../../../docs/openapi.released.json"

// TestNothingReleasedBreaks compares with the last release what a client may rely on.
func TestNothingReleasedBreaks(t *testing.T) {
	raw, err := os.ReadFile(released)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range breaks(t, raw, api.OpenAPI("1")) {
		t.Errorf("breaks clients: %s; keep it, or serve the new shape under another path", what)
	}
}

func TestBreaksAreSeen(t *testing.T) {
	const old = `{"paths":{"/a":{"get":{"parameters":[{"name":"q","in":"query","schema":{"type":"string","enum":["x","y"]}}],
		"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/A"}}}}}},
		"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/In"}}}},"responses":{}}}},
		"components":{"schemas":{"A":{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"list":{"type":"array","items":{"$ref":"#/components/schemas/A"}},"e":{"type":"string","enum":["m","n"]}}},
		"In":{"type":"object","required":["v"],"properties":{"v":{"type":"number","maximum":10},"w":{"type":"string"}}}}}}`
	for _, tc := range []struct{ name, from, to, want string }{
		{"same", "", "", ""},
		{"path", `"/a"`, `"/b"`, "/a: is gone"},
		{"method", `"get"`, `"put"`, "/a get: is gone"},
		{"parameter", `"name":"q"`, `"name":"r"`, "query parameter q: is gone"},
		{"parameter's value", `["x","y"]`, `["x"]`, `value "y" is gone`},
		{"parameter's new value", `["x","y"]`, `["x","y","z"]`, ""},
		{"parameter required", `"name":"q"`, `"name":"q","required":true`, "is required now"},
		{"answer's member", `"id":{`, `"key":{`, "member id: is gone"},
		{"answer's member may lack", `"required":["id"]`, `"required":[]`, "member id: may be absent now"},
		{"answer's value", `["m","n"]`, `["n"]`, `value "m" is gone`},
		{"answer's type", `"id":{"type":"string"}`, `"id":{"type":"number"}`, "member id: was string, is number"},
		{"answer's new member", `"id":{`, `"new":{"type":"string"},"id":{`, ""},
		{"body's member", `,"w":{"type":"string"}`, ``, "member w: is gone"},
		{"body's member required", `"required":["v"]`, `"required":["v","w"]`, "member w: is required now"},
		{"body's bound", `"maximum":10`, `"maximum":9`, "maximum was 10, is 9"},
		{"body's wider bound", `"maximum":10`, `"maximum":11`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := breaks(t, []byte(old), []byte(strings.ReplaceAll(old, tc.from, tc.to)))
			if tc.want == "" && len(got) > 0 || tc.want != "" && !strings.Contains(strings.Join(got, "\n"), tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

type object = map[string]any

// breaks returns what a client of the old document could rely on and the new one does not keep.
func breaks(t *testing.T, old, new []byte) []string {
	t.Helper()
	c := comparison{seen: map[string]bool{}}
	for doc, raw := range map[*object][]byte{&c.old: old, &c.new: new} {
		if err := json.Unmarshal(raw, doc); err != nil {
			t.Fatal(err)
		}
	}
	before, after := child(c.old, "paths"), child(c.new, "paths")
	for path, methods := range before {
		if after[path] == nil {
			c.add(path, "is gone")
			continue
		}
		for method, operation := range methods.(object) {
			now, ok := child(after, path)[method]
			if !ok {
				c.add(path+" "+method, "is gone")
				continue
			}
			c.operation(path+" "+method, operation.(object), now.(object))
		}
	}
	slices.Sort(c.found)
	return c.found
}

// comparison walks two documents side by side.
type comparison struct {
	old, new object
	seen     map[string]bool // pairs of schemas that were compared: they may contain themselves
	found    []string
}

func (c *comparison) add(where, what string) { c.found = append(c.found, where+": "+what) }

func (c *comparison) operation(where string, old, new object) {
	before, after := parameters(old), parameters(new)
	for name, p := range before {
		if after[name] == nil {
			c.add(where+", "+name, "is gone")
			continue
		}
		c.schema(where+", "+name, child(p, "schema"), child(after[name], "schema"), true)
	}
	for name, p := range after {
		if p["required"] == true && (before[name] == nil || before[name]["required"] != true) {
			c.add(where+", "+name, "is required now")
		}
	}
	c.content(where+" body", child(old, "requestBody"), child(new, "requestBody"), true)
	for status, answer := range child(old, "responses") {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		c.content(where+" "+status, answer.(object), child(child(new, "responses"), status), false)
	}
}

func (c *comparison) content(where string, old, new object, sent bool) {
	for media, was := range child(old, "content") {
		now, ok := child(new, "content")[media]
		if !ok {
			c.add(where, "no longer "+media)
			continue
		}
		c.schema(where, child(was.(object), "schema"), child(now.(object), "schema"), sent)
	}
}

// schema compares what clients send (sent) or are answered.
func (c *comparison) schema(where string, old, new object, sent bool) {
	pair := fmt.Sprint(old["$ref"], new["$ref"], sent)
	if old["$ref"] != nil {
		if c.seen[pair] {
			return
		}
		c.seen[pair] = true
	}
	old, new = resolve(c.old, old), resolve(c.new, new)
	if was, is := fmt.Sprint(old["type"]), fmt.Sprint(new["type"]); was != is {
		c.add(where, "was "+was+", is "+is)
		return
	}
	if values, ok := new["enum"].([]any); ok {
		was, _ := old["enum"].([]any)
		for _, v := range was {
			if !slices.Contains(values, v) {
				c.add(where, fmt.Sprintf("value %q is gone", v))
			}
		}
	}
	if sent {
		c.bounds(where, old, new)
	}
	required := func(s object, name string) bool {
		list, _ := s["required"].([]any)
		return slices.Contains(list, any(name))
	}
	for _, name := range slices.Sorted(maps.Keys(child(old, "properties"))) {
		is, ok := child(new, "properties")[name].(object)
		if !ok {
			c.add(where+", member "+name, "is gone")
			continue
		}
		if !sent && required(old, name) && !required(new, name) {
			c.add(where+", member "+name, "may be absent now")
		}
		c.schema(where+", member "+name, child(child(old, "properties"), name), is, sent)
	}
	for name := range child(new, "properties") {
		if sent && required(new, name) && !required(old, name) {
			c.add(where+", member "+name, "is required now")
		}
	}
	if old["items"] != nil {
		c.schema(where+"[]", child(old, "items"), child(new, "items"), sent)
	}
}

func (c *comparison) bounds(where string, old, new object) {
	for key, sign := range map[string]float64{"maximum": 1, "maxLength": 1, "maxItems": 1, "minimum": -1, "minLength": -1, "minItems": -1} {
		is, ok := new[key].(float64)
		was, had := old[key].(float64)
		if ok && (!had || sign*is < sign*was) {
			c.add(where, fmt.Sprintf("%s was %v, is %v", key, old[key], is))
		}
	}
}

func child(o object, key string) object {
	c, _ := o[key].(object)
	return c
}

func resolve(doc, schema object) object {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	return child(child(child(doc, "components"), "schemas"), ref[strings.LastIndex(ref, "/")+1:])
}

// parameters returns those of an operation by place and name.
func parameters(operation object) map[string]object {
	out := map[string]object{}
	list, _ := operation["parameters"].([]any)
	for _, p := range list {
		p := p.(object)
		out[fmt.Sprintf("%s parameter %s", p["in"], p["name"])] = p
	}
	return out
}
