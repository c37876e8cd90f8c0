package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// hubOf serves accounts with one that administers everything, root@example.com, password "root's password".
func hubOf(t *testing.T, registration string) (*httptest.Server, *store.Store, *account.Accounts) {
	t.Helper()
	s := storetest.Open(t)
	org, err := s.EnsureOrganisation(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	a := account.New(account.Options{Store: s, Registration: registration})
	if _, err := a.Create(t.Context(), account.Newcomer{Email: "root@example.com", Password: "root's password", Platform: true, Org: org, Role: access.Admin}, account.From{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	return serve(t, s, func(o *api.Options) { o.Accounts, o.Now = a, time.Now }), s, a
}

// say makes a request with a JSON body, or a form when it begins with no brace.
func say(t *testing.T, srv *httptest.Server, token, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		if !strings.HasPrefix(body, "{") {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(t, srv, req)
}

// expect fails unless an answer has the status and every text, and returns its body.
func expect(t *testing.T, a answer, status int, texts ...string) map[string]any {
	t.Helper()
	if a.status != status {
		t.Fatalf("%d %s, want %d", a.status, a.body, status)
	}
	for _, want := range texts {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("%s lacks %s", a.body, want)
		}
	}
	var out map[string]any
	if len(a.body) > 0 && a.body[0] == '{' {
		if err := json.Unmarshal(a.body, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestExistingClients goes through what web and mobile clients of the first interface do with accounts.
func TestExistingClients(t *testing.T) {
	srv, _, _ := hubOf(t, account.Open)
	form := func(email, password string) string {
		return url.Values{"username": {email}, "password": {password}}.Encode()
	}
	expect(t, say(t, srv, "", "POST", "/v1/auth/register", `{"email":"Ann@Example.com","password":"ann's password","full_name":"Ann"}`), 201,
		`"id":2`, `"email":"ann@example.com"`, `"full_name":"Ann"`, `"is_active":true`, `"is_superuser":false`, `"created_at":"`)
	expect(t, say(t, srv, "", "POST", "/v1/auth/register/", `{"email":"ann@EXAMPLE.com","password":"ann's password"}`), 400, `"message":"Email already registered"`, `"code":"HTTP_400"`)
	expect(t, say(t, srv, "", "POST", "/v1/auth/register", `{"email":"bob@example.com","password":"short"}`), 422, `"code":"VALIDATION_ERROR"`, `"body","password"`)
	expect(t, say(t, srv, "", "POST", "/v1/auth/register", `{"email":"nobody","password":"long enough"}`), 422, `"body","email"`)
	expect(t, say(t, srv, "", "POST", "/v1/auth/register", `{"email":"a@b.c","password":"long enough","admin":true}`), 422, "admin")

	token := expect(t, say(t, srv, "", "POST", "/v1/auth/token", form("ann@example.com", "ann's password")), 200, `"token_type":"bearer"`)
	wrong := say(t, srv, "", "POST", "/v1/auth/token", form("ann@example.com", "wrong password"))
	expect(t, wrong, 401, `"message":"Incorrect username or password"`)
	if wrong.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("WWW-Authenticate is %q", wrong.header.Get("WWW-Authenticate"))
	}
	expect(t, say(t, srv, "", "POST", "/v1/auth/token", form("nobody@example.com", "ann's password")), 401, `"message":"Incorrect username or password"`)
	expect(t, say(t, srv, "", "POST", "/v1/auth/token", "username=x"), 422, "password")
	expect(t, say(t, srv, "", "POST", "/v1/auth/token", "%zz"), 422)
	expect(t, say(t, srv, "", "POST", "/v1/auth/token", form("a", "b")+"&grant_type=client_credentials"), 422, "grant_type")
	ann := token["access_token"].(string)
	login := expect(t, say(t, srv, "", "POST", "/v1/auth/login", `{"username":"ann@example.com","password":"ann's password"}`), 200, `"user":{"id":2,"email":"ann@example.com","full_name":"Ann"}`, `"refresh_token":"`)

	expect(t, say(t, srv, ann, "GET", "/v1/auth/me", ""), 200, `"email":"ann@example.com"`)
	expect(t, say(t, srv, ann, "GET", "/v1/users/", ""), 403, "not enough permissions")
	expect(t, say(t, srv, "", "GET", "/v1/auth/me", ""), 401)

	fresh := expect(t, say(t, srv, "", "POST", "/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, token["refresh_token"])), 200)
	expect(t, say(t, srv, "", "POST", "/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, token["refresh_token"])), 401, "used before")
	expect(t, say(t, srv, fresh["access_token"].(string), "GET", "/v1/auth/me", ""), 401)
	ann = login["access_token"].(string)

	same := expect(t, say(t, srv, ann, "PATCH", "/v1/auth/me", `{"full_name":"Ann B","email":null}`), 200, `"full_name":"Ann B"`)
	if same["access_token"] != nil || same["token_type"] != nil {
		t.Errorf("tokens without need: %v", same)
	}
	expect(t, say(t, srv, ann, "PATCH", "/v1/auth/me", `{"email":"root@example.com"}`), 400, "Email already registered")
	changed := expect(t, say(t, srv, ann, "PATCH", "/v1/auth/me", `{"password":"another password"}`), 200, `"token_type":"bearer"`)
	expect(t, say(t, srv, ann, "GET", "/v1/auth/me", ""), 401)
	ann = changed["access_token"].(string)
	changed = expect(t, say(t, srv, ann, "PATCH", "/v1/auth/me", `{"email":"ann2@example.com"}`), 200, `"email":"ann2@example.com"`)
	ann = changed["access_token"].(string)
	expect(t, say(t, srv, "", "POST", "/v1/auth/token", form("ann@example.com", "another password")), 401)

	root := expect(t, say(t, srv, "", "POST", "/v1/auth/token", form("root@example.com", "root's password")), 200)["access_token"].(string)
	list := say(t, srv, root, "GET", "/v1/users/?skip=1&limit=1", "")
	if list.status != 200 || !strings.HasPrefix(string(list.body), `[{"id":2,`) {
		t.Errorf("users: %d %s", list.status, list.body)
	}
	expect(t, say(t, srv, root, "GET", "/v1/users/?limit=1001", ""), 422)
	expect(t, say(t, srv, root, "GET", "/v1/users/2", ""), 200, `"email":"ann2@example.com"`)
	expect(t, say(t, srv, root, "GET", "/v1/users/99", ""), 404, `"message":"User not found"`)
	expect(t, say(t, srv, root, "GET", "/v1/users/0", ""), 422)
	expect(t, say(t, srv, root, "PATCH", "/v1/users/2", `{"is_active":false}`), 200, `"is_active":false`)
	expect(t, say(t, srv, ann, "GET", "/v1/auth/me", ""), 400, `"message":"Inactive user"`)
	expect(t, say(t, srv, "", "POST", "/v1/auth/token", form("ann2@example.com", "another password")), 400, `"message":"Inactive user"`)
	expect(t, say(t, srv, root, "POST", "/v1/users/2/activate", ""), 200, `"is_active":true`)
	expect(t, say(t, srv, ann, "GET", "/v1/auth/me", ""), 401) // a new login is wanted
	expect(t, say(t, srv, root, "POST", "/v1/users/2/deactivate/", ""), 200, `"is_active":false`)
	expect(t, say(t, srv, root, "POST", "/v1/users/1/deactivate", ""), 400, "You cannot deactivate your own account.")
	expect(t, say(t, srv, root, "PATCH", "/v1/users/1", `{"is_active":false}`), 400)
	expect(t, say(t, srv, root, "DELETE", "/v1/users/1", ""), 400)
	expect(t, say(t, srv, root, "DELETE", "/v1/users/2", ""), 204)
	expect(t, say(t, srv, root, "DELETE", "/v1/users/2", ""), 404)
	expect(t, say(t, srv, root, "DELETE", "/v1/auth/me", ""), 409, "administer")

	expect(t, say(t, srv, "", "POST", "/v1/auth/register", `{"email":"ann2@example.com","password":"a third password"}`), 201)
	expect(t, say(t, srv, ann, "GET", "/v1/auth/me", ""), 401) // a token of the account that was deleted
	third := expect(t, say(t, srv, "", "POST", "/v1/auth/token", form("ann2@example.com", "a third password")), 200)["access_token"].(string)
	expect(t, say(t, srv, third, "DELETE", "/v1/auth/me", ""), 204)
	expect(t, say(t, srv, third, "GET", "/v1/auth/me", ""), 401)
}

// TestOrganisationRoutes goes through what an administrator of an organisation does.
func TestOrganisationRoutes(t *testing.T) {
	srv, _, _ := hubOf(t, account.Invited)
	root := expect(t, say(t, srv, "", "POST", "/v1/auth/login", `{"username":"root@example.com","password":"root's password"}`), 200)["access_token"].(string)
	expect(t, say(t, srv, "", "POST", "/v1/auth/register", `{"email":"a@example.com","password":"long enough"}`), 403, "registration is closed")

	made := expect(t, say(t, srv, root, "POST", "/v1/organisations", `{"name":"acme"}`), 201, `"tier":"standard"`)
	expect(t, say(t, srv, root, "POST", "/v1/organisations", `{"name":"acme"}`), 409)
	expect(t, say(t, srv, root, "POST", "/v1/organisations", `{"name":"not a name"}`), 422, "body.name")
	expect(t, say(t, srv, root, "POST", "/v1/users", fmt.Sprintf(`{"email":"boss@example.com","password":"boss's password","organisation":%q,"role":"admin"}`, made["id"])), 201)
	boss := expect(t, say(t, srv, "", "POST", "/v1/auth/login", `{"username":"boss@example.com","password":"boss's password"}`), 200)["access_token"].(string)
	expect(t, say(t, srv, boss, "GET", "/v1/organisations", ""), 200, `"name":"acme"`, `"role":"admin"`)
	expect(t, say(t, srv, boss, "POST", "/v1/organisations", `{"name":"mine"}`), 403)
	expect(t, say(t, srv, boss, "GET", "/v1/users", ""), 403)

	invitation := expect(t, say(t, srv, boss, "POST", "/v1/invitations", `{"email":"new@example.com","role":"analyst"}`), 201)["invitation"]
	expect(t, say(t, srv, "", "POST", "/v1/auth/register", fmt.Sprintf(`{"email":"new@example.com","password":"long enough","invitation":%q}`, invitation)), 201)
	members := expect(t, say(t, srv, boss, "GET", "/v1/members", ""), 200, `"email":"boss@example.com"`, `"email":"new@example.com"`, `"role":"analyst"`)
	if strings.Contains(fmt.Sprint(members), "root@") {
		t.Errorf("members of acme: %v", members)
	}
	member := members["members"].([]any)[1].(map[string]any)["id"].(string)
	self := members["members"].([]any)[0].(map[string]any)["id"].(string)
	expect(t, say(t, srv, boss, "PATCH", "/v1/members/"+member, `{"role":"operator"}`), 204)
	expect(t, say(t, srv, boss, "PATCH", "/v1/members/"+self, `{"role":"viewer"}`), 409)
	expect(t, say(t, srv, boss, "DELETE", "/v1/members/"+self, ""), 409)
	expect(t, say(t, srv, boss, "PATCH", "/v1/members/"+member, `{"role":"platform"}`), 422)

	key := expect(t, say(t, srv, boss, "POST", "/v1/api-keys", `{"name":"grafana","role":"viewer","scopes":["readings:read"]}`, "Idempotency-Key", "k1"), 201, `"key":"flk_`)
	expect(t, say(t, srv, boss, "POST", "/v1/api-keys", `{"name":"x","role":"viewer","scopes":["*"]}`), 422, "scopes")
	text := key["key"].(string)
	expect(t, say(t, srv, text, "GET", "/v1/sites", ""), 200)
	expect(t, say(t, srv, text, "GET", "/v1/models", ""), 403, "scope")
	expect(t, say(t, srv, text, "GET", "/v1/auth/me", ""), 403, "logged in")
	if list := say(t, srv, boss, "GET", "/v1/api-keys", ""); !strings.Contains(string(list.body), `"used_at"`) || strings.Contains(string(list.body), "flk_") {
		t.Errorf("keys: %s", list.body)
	}
	expect(t, say(t, srv, boss, "DELETE", "/v1/api-keys/"+key["id"].(string), ""), 204)
	expect(t, say(t, srv, text, "GET", "/v1/sites", ""), 401, "revoked")

	sessions := expect(t, say(t, srv, boss, "GET", "/v1/auth/sessions", ""), 200, `"current":true`)
	if n := len(sessions["sessions"].([]any)); n != 1 {
		t.Errorf("%d sessions", n)
	}
	page := expect(t, say(t, srv, boss, "GET", "/v1/audit?limit=2", ""), 200, `"action":"key.create"`, `"action":"key.revoke"`)
	expect(t, say(t, srv, boss, "GET", "/v1/audit?cursor="+page["next"].(string), ""), 200, `"action":"organisation.create"`, `"action":"member.change"`)
	expect(t, say(t, srv, boss, "POST", "/v1/auth/logout", ""), 204)
	expect(t, say(t, srv, boss, "GET", "/v1/auth/me", ""), 401, "over")

	// Who administers everything works on any organisation, one at a time.
	expect(t, say(t, srv, root, "GET", "/v1/members", ""), 200, "root@example.com")
	expect(t, say(t, srv, root, "POST", "/v1/auth/organisation", fmt.Sprintf(`{"organisation":%q}`, made["id"])), 204)
	expect(t, say(t, srv, root, "GET", "/v1/members", ""), 200, "boss@example.com")
	expect(t, say(t, srv, "", "GET", "/.well-known/jwks.json", ""), 200, `"kty":"OKP"`, `"crv":"Ed25519"`, `"alg":"EdDSA"`)
}

func TestLoginsAreThrottled(t *testing.T) {
	srv, _, _ := hubOf(t, "")
	for range 6 {
		expect(t, say(t, srv, "", "POST", "/v1/auth/token", "username=root@example.com&password=wrong"), 401)
	}
	a := say(t, srv, "", "POST", "/v1/auth/token", "username=root@example.com&password=root%27s+password")
	expect(t, a, 429, "too many failed logins")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
