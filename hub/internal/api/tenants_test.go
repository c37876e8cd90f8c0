package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/live"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// TestNoRouteReachesAnotherTenant asks every operation of the OpenAPI document as alpha with all that names something of beta: in the path,
// the query and the body. Ids and names come from the database, so a table is in the test as soon as beta has a row in it. Nothing of beta
// may be in an answer, and no row of beta may change.
func TestNoRouteReachesAnotherTenant(t *testing.T) {
	s := storetest.Open(t)
	alpha, beta := newTenant(t, s, "alpha"), newTenant(t, s, "beta")
	accounts := account.New(account.Options{Store: s, Now: func() time.Time { return now }})
	people(t, s, accounts, beta.org, "beta")
	mine := people(t, s, accounts, alpha.org, "alpha")
	srv := serve(t, s, func(o *api.Options) {
		o.Accounts, o.MaxBody = accounts, 1<<20
		follower := live.NewFollower(s, o.Log, o.Now)
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { _ = follower.Run(ctx) })
		t.Cleanup(func() { cancel(); wg.Wait() })
		o.Live = api.Live{Follower: follower, Longest: 50 * time.Millisecond}
		every := []access.Scope{access.Every}
		o.Callers = []api.Authenticator{known{
			"alpha's admin": {Kind: access.User, Subject: mine.account.String(), Session: mine.session, Organisation: alpha.org, Role: access.Admin, Scopes: every, Tier: access.Premium},
			"alpha's key":   {Kind: access.Key, Subject: uuid.NewString(), Organisation: alpha.org, Role: access.Admin, Scopes: access.Scopes(), Tier: access.Premium},
		}}
	})

	ids, names := thingsOf(t, s, beta.org)
	ofAlpha, alphaNames := thingsOf(t, s, alpha.org)
	ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(ofAlpha, id) })
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(alphaNames, n) || len(n) < 4 })
	if len(ids) < 8 || len(names) < 2 {
		t.Fatalf("beta has only the ids %v and the names %v", ids, names)
	}
	before := rowsOf(t, s, beta.org)

	var doc asked
	if err := json.Unmarshal(api.OpenAPI("1"), &doc); err != nil {
		t.Fatal(err)
	}
	asked := 0
	var written strings.Builder // what alpha put into rows of its own, which it may read again
	for _, reads := range []bool{true, false} {
		for route, op := range doc.operations(reads) {
			method, path, _ := strings.Cut(route, " ")
			candidates := []string{""}
			if strings.Contains(path, "{") {
				candidates = append(slices.Clone(ids), names...)
				candidates = append(candidates, "1", "2")
			}
			for _, id := range candidates {
				for _, credential := range []string{"alpha's admin", "alpha's key", alpha.token} {
					target, err := fill(path, id)
					if err != nil {
						t.Fatalf("%s: %v", path, err)
					}
					query := url.Values{}
					for _, p := range op.Parameters {
						if p.In == "query" && p.Name == "last_event_id" {
							query.Set(p.Name, "0")
						} else if p.In == "query" && (p.Name == "site" || p.Name == "point" || p.Name == "agent" || p.Name == "organisation" || strings.HasSuffix(p.Name, "_id")) {
							query.Set(p.Name, names[asked%len(names)])
						}
					}
					body := doc.body(op, ids[asked%len(ids)], names[asked%len(names)])
					req, err := http.NewRequest(strings.ToUpper(method), srv.URL+target+"?"+query.Encode(), strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Authorization", "Bearer "+credential)
					if body != "" {
						req.Header.Set("Content-Type", "application/json")
					}
					a := do(t, srv, req)
					asked++
					if a.status >= 500 {
						t.Errorf("%s %s as %.13s: %d %s", method, target, credential, a.status, a.body)
					}
					if !reads {
						written.WriteString(strings.ToLower(body))
					}
					sent := written.String() + strings.ToLower(id+target+body+strings.Join(query["site"], "")+strings.Join(query["point"], "")+strings.Join(query["agent"], ""))
					for _, marker := range append(ids, names...) {
						if strings.Contains(strings.ToLower(string(a.body)), strings.ToLower(marker)) && !strings.Contains(sent, strings.ToLower(marker)) {
							t.Errorf("%s %s as %.13s tells of %s: %d %s", method, target, credential, marker, a.status, a.body)
						}
					}
					if a.status < 300 && id != "" && slices.Contains(ids, id) {
						t.Errorf("%s %s as %.13s: %d %s for what is another's", method, target, credential, a.status, a.body)
					}
				}
			}
		}
	}
	after := rowsOf(t, s, beta.org)
	for table, rows := range before {
		if after[table] != rows {
			t.Errorf("rows of beta in %s changed from\n%s\nto\n%s", table, rows, after[table])
		}
	}
	if asked < 500 {
		t.Errorf("only %d requests were made", asked)
	}
	t.Logf("%d requests with %d ids and %d names", asked, len(ids), len(names))
}

type member struct{ account, session uuid.UUID }

// people gives an organisation an administrator with a session, a key and an invitation.
func people(t *testing.T, s *store.Store, a *account.Accounts, org uuid.UUID, name string) member {
	t.Helper()
	from := account.From{Actor: name + "-actor", Address: "192.0.2.1"}
	p, err := a.Create(t.Context(), account.Newcomer{Email: name + "@example.com", Password: "password of " + name, FullName: name + " person", Org: org, Role: access.Admin}, from)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := a.Begin(t.Context(), p.ID, from)
	if err != nil {
		t.Fatal(err)
	}
	by := access.Caller{Organisation: org, Role: access.Admin, Scopes: []access.Scope{access.Every}}
	if _, _, err := a.CreateKey(t.Context(), by, account.KeyWish{Name: name + "-key", Role: access.Viewer, Scopes: access.Reads(), Life: 1e15}, from); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Invite(t.Context(), by, name+"-guest@example.com", access.Viewer, 1e14, from); err != nil {
		t.Fatal(err)
	}
	return member{p.ID, tokens.Session}
}

// scoped lists the tables with an organisation, and those of accounts with the condition that ties their rows to one.
func scoped(t *testing.T, s *store.Store) map[string]string {
	t.Helper()
	out := map[string]string{
		"people.account":  `account_id in (select account_id from people.membership where org_id = $1)`,
		"people.session":  `in_org = $1`,
		"people.identity": `account_id in (select account_id from people.membership where org_id = $1)`,
	}
	rows, err := s.Pool().Query(t.Context(), `select table_schema || '.' || table_name from information_schema.columns
		where column_name = 'org_id' and table_schema in ('public', 'people') and table_name <> 'reading'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		out[table] = `org_id = $1`
	}
	return out
}

// thingsOf returns every id and every name that an organisation has anywhere.
func thingsOf(t *testing.T, s *store.Store, org uuid.UUID) (ids, names []string) {
	t.Helper()
	for table, where := range scoped(t, s) {
		rows, err := s.Pool().Query(t.Context(), `select kv.key, kv.value from `+table+` x, jsonb_each_text(to_jsonb(x)) kv
			where `+where+` and (kv.key like '%\_id' or kv.key in ('name', 'email', 'full_name', 'actor'))`, org)
		if err != nil {
			t.Fatal(err)
		}
		var key, value *string
		_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
			if value == nil {
				return nil
			}
			if _, err := uuid.Parse(*value); err == nil {
				ids = append(ids, *value)
			} else if !strings.HasSuffix(*key, "_id") {
				names = append(names, *value)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(ids)
	slices.Sort(names)
	return slices.Compact(ids), slices.Compact(names)
}

// rowsOf returns all rows of an organisation, by table.
func rowsOf(t *testing.T, s *store.Store, org uuid.UUID) map[string]string {
	t.Helper()
	out := map[string]string{}
	for table, where := range scoped(t, s) {
		var rows string
		if err := s.Pool().QueryRow(t.Context(), `select coalesce(string_agg(left(x::text, 2000), E'\n' order by x::text), '') from `+table+` x where `+where, org).Scan(&rows); err != nil {
			t.Fatal(table, err)
		}
		out[table] = rows
	}
	return out
}

// fill puts a value in the place of every parameter of a path.
func fill(path, value string) (string, error) {
	for {
		i := strings.Index(path, "{")
		if i < 0 {
			return path, nil
		}
		j := strings.Index(path, "}")
		if j < i {
			return "", fmt.Errorf("path with an odd brace")
		}
		path = path[:i] + url.PathEscape(value) + path[j+1:]
	}
}

// document is what of an OpenAPI document is needed to make requests.
type asked struct {
	Paths      map[string]map[string]askable
	Components struct{ Schemas map[string]part }
}

// operations yields those that read, or those that write.
func (d *asked) operations(reads bool) iter.Seq2[string, askable] {
	return func(yield func(string, askable) bool) {
		for path, operations := range d.Paths {
			for method, op := range operations {
				if (method == "get") == reads && !yield(method+" "+path, op) {
					return
				}
			}
		}
	}
}

type askable struct {
	Parameters  []struct{ Name, In string }
	RequestBody struct {
		Content map[string]struct{ Schema part }
	}
}

type part struct {
	Ref        string `json:"$ref"`
	Type       any
	Format     string
	Enum       []any
	Minimum    *float64
	Properties map[string]part
	Items      *part
	MinItems   int
}

// body returns a body that an operation takes, with the given id and name wherever one can be.
func (d *asked) body(op askable, id, name string) string {
	for kind, content := range op.RequestBody.Content {
		if strings.Contains(kind, "json") {
			b, _ := json.Marshal(d.value(content.Schema, "", id, name, 0))
			return string(b)
		}
	}
	return ""
}

func (d *asked) value(s part, field, id, name string, depth int) any {
	if s.Ref != "" {
		s = d.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	kind, _ := s.Type.(string)
	if list, ok := s.Type.([]any); ok && len(list) > 0 {
		kind, _ = list[0].(string)
	}
	switch {
	case depth > 6:
		return nil
	case len(s.Enum) > 0:
		return s.Enum[0]
	case kind == "object":
		out := map[string]any{}
		for k, p := range s.Properties {
			out[k] = d.value(p, k, id, name, depth+1)
		}
		return out
	case kind == "array":
		if s.Items == nil {
			return []any{}
		}
		return []any{d.value(*s.Items, field, id, name, depth+1)}
	case kind == "integer", kind == "number":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case kind == "boolean":
		return true
	case s.Format == "uuid", strings.HasSuffix(field, "_id"):
		return id
	case s.Format == "date-time":
		return "2026-03-30T00:00:00Z"
	case s.Format == "date":
		return "2026-03-30"
	case field == "email":
		return "beta@example.com"
	default:
		return name
	}
}
