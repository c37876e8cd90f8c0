package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// nasty are values for any parameter. Some are good for some; none may do harm.
var nasty = []string{
	"", " ", "0", "-1", "1", "1.5", "1e999", "NaN", "Infinity", "-9223372036854775809", "99999999999999999999", "0x10", "true", "null", "[]", "{}",
	"\x00", "a\x00b", "\xff\xfe", "\u202e\u0000", "é", "日本語", "😀", "A\u030a", "\ufeff", strings.Repeat("A", 300), strings.Repeat("€", 3000),
	"' or '1'='1", "'; drop table site; --", `"; select pg_sleep(10); --`, "$1", "%s%n", `\`, "{{7*7}}", "${jndi:ldap://x}", "<script>alert(1)</script>",
	"x\r\nSet-Cookie: injected=1", "x\nX-Injected: 1", "../../etc/passwd", "..", ".", "%2e%2e", "/", "//", ";", "a,b",
	"00000000-0000-0000-0000-000000000000", "2026-02-30T00:00:00Z", "2026-03-29T02:30:00", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", "-9999-01-01T00:00:00Z",
	"2026-03-29T00:00:00+99:99", "ImFscGhhIg", "eyJGcm9tIjotOTAwMDAwMDAwMDAwMDAwMDAwMCwiVG8iOjF9", "W10", "bnVsbA", "eyJTaXRlIjoiXHUwMDAwIn0", "IlxkODAwIg",
}

// bodies are for any route that takes one.
var bodies = []string{
	"", " ", "null", "[]", "{}", "true", "7", `"x"`, "{", `{"a":`, "NaN", "1e999", "[1e999]", strings.Repeat("[", 900), strings.Repeat(`{"a":`, 500), `{"a":1}{"b":2}`,
	"\x00", "\xff\xfe", `{"\u0000":1}`, `{"__proto__":{}}`, `{"unknown_member":1}`, "a=b&c=d", "<xml/>", "\x1f\x8b\x08",
}

// values are for any member of a body, in place of what belongs there.
var values = []string{
	"null", "true", "-1", "1e308", "1e999", "0.1", `""`, `"\u0000"`, `"\ud800"`, `"' or 1=1 --"`, `"x\r\nSet-Cookie: injected=1"`, "[]", "[[]]", "{}", `{"a":{}}`,
	`"2099-13-01T00:00:00"`, `"` + strings.Repeat("x", 600) + `"`, "9223372036854775808",
}

// strangers are credentials that open nothing.
var strangers = []string{
	"", "x", "flx_", "flx_" + strings.Repeat("A", 43), "null", "undefined", strings.Repeat("x", 5000), "' or '1'='1", "é",
	"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJwbGF0Zm9ybSJ9.", // alg none
	"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbkBleGFtcGxlLmNvbSIsInR5cGUiOiJhY2Nlc3MifQ.c2lnbmF0dXJl",
	"eyJhbGciOiJFZERTQSIsImtpZCI6Ii4uLy4uL2V0Yy9wYXNzd2QifQ.e30.AAAA", "..", "a.b.c", "a.b.c.d",
}

// leaks must not be in any answer.
var leaks = []string{"SQLSTATE", "pgx", "goroutine", ".go:", "panic", "runtime error", "injected=1\n", "/pkg/mod/", "syntax error at"}

type operation struct {
	method, path string
	open         bool
	parameters   []object
	body         object // schema of the JSON body
}

func operations(t *testing.T) []operation {
	t.Helper()
	var doc object
	if err := json.Unmarshal(api.OpenAPI("1"), &doc); err != nil {
		t.Fatal(err)
	}
	var out []operation
	for _, path := range slices.Sorted(maps.Keys(child(doc, "paths"))) {
		methods := child(child(doc, "paths"), path)
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			op := child(methods, method)
			security, given := op["security"].([]any)
			o := operation{method: strings.ToUpper(method), path: path, open: given && len(security) == 0}
			for _, p := range slices.Sorted(maps.Keys(parameters(op))) {
				o.parameters = append(o.parameters, parameters(op)[p])
			}
			if media := child(child(child(op, "requestBody"), "content"), "application/json"); media != nil {
				o.body = resolve(doc, child(media, "schema"))
			}
			out = append(out, o)
		}
	}
	return out
}

// request makes a request of the operation in which one parameter has the given value and the others are good.
func (o operation) request(t *testing.T, base, token string, good map[string]string, name, value string, body io.Reader) *http.Request {
	t.Helper()
	path, query, headers := o.path, url.Values{}, []string{"Content-Type", "application/json"}
	for _, p := range o.parameters {
		n, in := p["name"].(string), p["in"].(string)
		v, ok := good[n]
		if n == name {
			v, ok = value, true
		}
		switch {
		case in == "path":
			path = strings.ReplaceAll(path, "{"+n+"}", url.PathEscape(v))
		case ok && in == "query":
			query.Set(n, v)
		case ok && in == "header" && n == name && printable(v):
			headers = append(headers, n, v)
		}
	}
	if name == "?" {
		query.Set(value, value)
	}
	req := send(t, o.method, base+path+"?"+query.Encode(), "", body, headers...)
	if token != "" && printable(token) {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) && strings.ToValidUTF8(s, "") == s
}

// TestNoRequestDoesHarm sends nasty values to every place of every route of the document: the answer is what was asked for or a refusal
// with a reason, nothing of the hub's insides shows, and nothing is written by what is refused.
func TestNoRequestDoesHarm(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	everything := access.Caller{Kind: access.User, Subject: v.org.String(), Organisation: v.org, Role: access.Platform, Scopes: []access.Scope{access.Every}, Tier: access.House}
	srv, _, _ := replica(t, s, func(o *api.Options) {
		o.Live.Longest = time.Nanosecond
		o.Callers = []api.Authenticator{known{"everything": everything}}
		o.MaxBody = 64 << 10
	})
	good := map[string]string{"id": v.point.String(), "model": "latest", "site": "alpha-site"}
	sent := 0
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	some := func(all []string) []string { // enough for each route, all of them over the routes and runs
		n := 12
		if testing.Short() {
			n = 3
		}
		all = slices.Clone(all)
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all[:min(n, len(all))]
	}
	check := func(t *testing.T, req *http.Request, only ...int) (status int) {
		t.Helper()
		a := do(t, srv, req)
		sent++
		fail := func(why string) { t.Errorf("%s %s: %d %.300s: %s", req.Method, req.URL, a.status, a.body, why) }
		switch {
		case a.status >= 500 && req.URL.Path != "/readyz":
			fail("want no fault of the hub")
		case len(only) > 0 && !slices.Contains(only, a.status):
			fail(fmt.Sprintf("want one of %v", only))
		case a.status >= 400 && req.Method != http.MethodHead:
			var p struct {
				Detail string
				Error  struct{ Message string }
			}
			if err := json.Unmarshal(a.body, &p); err != nil || len(p.Detail) < 5 || p.Error.Message == "" {
				fail("want a problem with its reason")
			}
			if len(a.body) > 4096 {
				fail("the refusal is longer than a page")
			}
		}
		for _, leak := range leaks {
			if a.status >= 400 && strings.Contains(string(a.body), leak) {
				fail("shows " + leak)
			}
		}
		if a.header.Get("Set-Cookie") != "" || a.header.Get("X-Injected") != "" {
			fail("a header was injected")
		}
		return a.status
	}
	for _, o := range operations(t) {
		t.Run(o.method+" "+o.path, func(t *testing.T) {
			before, changed := rows(t, s), false
			try := func(req *http.Request) {
				if status := check(t, req); status < 300 && o.method != http.MethodGet {
					changed = true
				}
			}
			for _, p := range append(slices.Clone(o.parameters), object{"name": "?"}) {
				for _, value := range some(nasty) {
					try(o.request(t, srv.URL, "everything", good, p["name"].(string), value, strings.NewReader("{}")))
				}
			}
			if o.body != nil {
				for _, b := range append(some(bodies), some(members(o.body))...) {
					try(o.request(t, srv.URL, "everything", good, "", "", strings.NewReader(b)))
				}
				check(t, o.request(t, srv.URL, "everything", good, "", "", strings.NewReader(strings.Repeat(" ", 70<<10)+"{}")), 413)
				wrong := o.request(t, srv.URL, "everything", good, "", "", strings.NewReader("x"))
				wrong.Header.Set("Content-Type", "text/nonsense")
				try(wrong)
			}
			for _, token := range some(strangers) {
				if !o.open {
					check(t, o.request(t, srv.URL, token, good, "", "", strings.NewReader("{}")), 401, 431)
				}
			}
			if !changed {
				for table, n := range rows(t, s) {
					if n != before[table] {
						t.Errorf("table %s changed from %s to %s, though nothing was answered with success", table, before[table], n)
					}
				}
			}
		})
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
		check(t, send(t, method, srv.URL+"/healthz", "everything", strings.NewReader("{}")), 405)
	}
	t.Logf("%d requests", sent)
}

// members returns bodies that are right but for one member, which is wrong, absent or one too many.
func members(schema object) []string {
	plain := func(s object) string {
		if values, ok := s["enum"].([]any); ok && len(values) > 0 {
			b, _ := json.Marshal(values[0])
			return string(b)
		}
		switch fmt.Sprint(s["type"]) {
		case "number", "integer":
			return "1"
		case "boolean":
			return "true"
		case "array":
			return "[]"
		case "string":
			return `"x"`
		default:
			return "{}"
		}
	}
	properties := child(schema, "properties")
	names := slices.Sorted(maps.Keys(properties))
	build := func(odd, value string) string {
		var parts []string
		for _, n := range names {
			v := plain(child(properties, n))
			if n == odd {
				v = value
			}
			if v != "" {
				parts = append(parts, fmt.Sprintf("%q:%s", n, v))
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	var out []string
	for _, n := range names {
		for _, v := range append(values, "") {
			out = append(out, build(n, v))
		}
	}
	return out
}

// rows returns, of each table, how many rows there are and which transactions wrote them. What every request may write is left out.
func rows(t *testing.T, s *store.Store) map[string]string {
	t.Helper()
	tables, err := s.Pool().Query(t.Context(), `select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables
		where schemaname not in ('pg_catalog', 'information_schema', 'queue') and tablename not in ('attempt', 'audit', 'idempotency')`)
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	var parts []string
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, fmt.Sprintf(`select '%s', count(*) || ' rows ' || coalesce(sum(xmin::text::bigint), 0) from %s`, strings.ReplaceAll(name, "'", "''"), name))
	}
	found, err := s.Pool().Query(t.Context(), strings.Join(parts, " union all "))
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	out := map[string]string{}
	for found.Next() {
		var table, n string
		if err := found.Scan(&table, &n); err != nil {
			t.Fatal(err)
		}
		out[table] = n
	}
	if len(out) < 20 {
		t.Fatalf("only %d tables", len(out))
	}
	return out
}
