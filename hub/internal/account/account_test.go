package account_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

const password = "correct horse"

// world is a store with accounts on a clock that tests turn.
type world struct {
	*account.Accounts
	store *store.Store
	org   uuid.UUID
	clock *atomic.Int64 // ns after start
}

var start = time.Now().Truncate(time.Second)

func (w *world) now() time.Time { return start.Add(time.Duration(w.clock.Load())) }

func (w *world) wait(d time.Duration) { w.clock.Add(int64(d)) }

func open(t testing.TB, change func(*account.Options)) *world {
	t.Helper()
	w := &world{store: storetest.Open(t), clock: new(atomic.Int64)}
	w.Accounts = w.replica(change)
	var err error
	if w.org, err = w.store.EnsureOrganisation(t.Context(), "alpha"); err != nil {
		t.Fatal(err)
	}
	return w
}

// replica returns accounts of another process on the same database.
func (w *world) replica(change func(*account.Options)) *account.Accounts {
	o := account.Options{Store: w.store, Now: w.now}
	if change != nil {
		change(&o)
	}
	return account.New(o)
}

func (w *world) person(t testing.TB, email string, role access.Role) store.Person {
	t.Helper()
	p, err := w.Create(t.Context(), account.Newcomer{Email: email, Password: password, Org: w.org, Role: role}, account.From{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) login(t testing.TB, email string) account.Tokens {
	t.Helper()
	tokens, _, err := w.Login(t.Context(), email, password, account.From{Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func (w *world) refused(t testing.TB, credential, want string) {
	t.Helper()
	if _, err := w.Authenticate(t.Context(), credential); !errors.Is(err, access.ErrInvalid) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want a refusal that says %q", err, want)
	}
}

func TestLogin(t *testing.T) {
	w := open(t, nil)
	p := w.person(t, "Ann.Example@Example.COM ", access.Operator)
	if p.Email != "ann.example@example.com" || p.Number != 1 {
		t.Errorf("account %+v", p)
	}
	if _, err := w.Create(t.Context(), account.Newcomer{Email: "ANN.example@example.com", Password: password}, account.From{Actor: "test"}); !errors.Is(err, account.ErrTaken) {
		t.Errorf("the same address in other letters: %v, want that it is taken", err)
	}
	tokens := w.login(t, "ANN.EXAMPLE@example.com")
	c, err := w.Authenticate(t.Context(), tokens.Access)
	if err != nil || c.Kind != access.User || c.Subject != p.ID.String() || c.Organisation != w.org || c.Role != access.Operator || c.Tier != access.Standard || !c.Has(access.WriteFleet) {
		t.Errorf("caller %+v, %v", c, err)
	}
	if c, err := w.replica(nil).Authenticate(t.Context(), tokens.Access); err != nil || c.Subject != p.ID.String() {
		t.Errorf("on another replica: %+v, %v", c, err)
	}
	for _, tc := range []struct{ email, password string }{
		{"ann.example@example.com", "wrong"}, {"ann.example@example.com", ""}, {"nobody@example.com", password}, {"", ""}, {"no address", password}, {"a\x00b@example.com", "x\x00"},
	} {
		if _, _, err := w.Login(t.Context(), tc.email, tc.password, account.From{Address: "192.0.2.9"}); !errors.Is(err, account.ErrCredentials) || err.Error() != account.ErrCredentials.Error() {
			t.Errorf("login as %q with %q: %v", tc.email, tc.password, err)
		}
	}
	for name, email := range map[string]string{"none": "", "no host": "ann@", "a name": "Ann <ann@example.com>", "two": "a@b.c, d@e.f", "long": strings.Repeat("x", 300) + "@example.com", "NUL": "a\x00@b.c", "line": "a@b.c\r\nBcc: d@e.f"} {
		if _, err := account.FoldEmail(email); err == nil {
			t.Errorf("address with %s was taken: %q", name, email)
		}
	}
	for _, bad := range []string{"", "1234567", strings.Repeat("x", 257), "with\x00NUL....", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		var in *account.InputError
		if _, err := w.Create(t.Context(), account.Newcomer{Email: "b@example.com", Password: bad}, account.From{Actor: "test"}); !errors.As(err, &in) || in.Field != "password" {
			t.Errorf("password %q: %v", bad, err)
		}
	}
}

// TestTokens makes tokens by hand with the hub's own and other keys.
func TestTokens(t *testing.T) {
	w := open(t, nil)
	p := w.person(t, "a@example.com", access.Viewer)
	good := w.login(t, "a@example.com")
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	if err := w.store.PutSigningKey(t.Context(), store.SigningKey{ID: "ours", Public: public, CreatedAt: w.now(), ExpiresAt: w.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	_, strange, _ := ed25519.GenerateKey(rand.Reader)
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{
			"iss": "fluxora-hub", "aud": "fluxora", "sub": p.ID.String(), "sid": good.Session.String(),
			"iat": w.now().Unix(), "nbf": w.now().Unix(), "exp": w.now().Add(time.Minute).Unix(),
		}
		if change != nil {
			change(c)
		}
		return c
	}
	sign := func(method jwt.SigningMethod, key any, header map[string]any, c jwt.MapClaims) string {
		token := jwt.NewWithClaims(method, c)
		token.Header["kid"], token.Header["typ"] = "ours", "at+jwt"
		for k, v := range header {
			if token.Header[k] = v; v == nil {
				delete(token.Header, k)
			}
		}
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ours := func(change func(jwt.MapClaims)) string {
		return sign(jwt.SigningMethodEdDSA, private, nil, claims(change))
	}
	set := func(k string, v any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[k] = v } }
	without := func(k string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, k) } }
	unix := func(d time.Duration) int64 { return w.now().Add(d).Unix() }
	other := w.person(t, "b@example.com", access.Viewer)

	for name, token := range map[string]string{
		"as it should be": ours(nil), "expired within the skew": ours(set("exp", unix(-20*time.Second))), "of a clock ahead, within the skew": ours(func(c jwt.MapClaims) { c["iat"], c["nbf"] = unix(20*time.Second), unix(20*time.Second) }),
		"for others, too": ours(set("aud", []string{"else", "fluxora"})),
	} {
		if _, err := w.Authenticate(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	parts := strings.Split(good.Access, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	for name, token := range map[string]string{
		"expired":                 ours(set("exp", unix(-time.Minute))),
		"no exp":                  ours(without("exp")),
		"no nbf":                  ours(without("nbf")),
		"no iat":                  ours(without("iat")),
		"no iss":                  ours(without("iss")),
		"no aud":                  ours(without("aud")),
		"no sid":                  ours(without("sid")),
		"no sub":                  ours(without("sub")),
		"not yet":                 ours(set("nbf", unix(time.Minute))),
		"issued in the future":    ours(set("iat", unix(time.Minute))),
		"other issuer":            ours(set("iss", "else")),
		"other audience":          ours(set("aud", "else")),
		"other session":           ours(set("sid", uuid.NewString())),
		"session no id":           ours(set("sid", "x")),
		"other account's subject": ours(set("sub", other.ID.String())),
		"exp a text":              ours(set("exp", "never")),
		"exp huge":                ours(set("exp", 1e300)),
		"other key":               sign(jwt.SigningMethodEdDSA, strange, nil, claims(nil)),
		"unknown key":             sign(jwt.SigningMethodEdDSA, strange, map[string]any{"kid": "else"}, claims(nil)),
		"no key id":               sign(jwt.SigningMethodEdDSA, private, map[string]any{"kid": nil}, claims(nil)),
		"key id no text":          sign(jwt.SigningMethodEdDSA, private, map[string]any{"kid": 7}, claims(nil)),
		"other type":              sign(jwt.SigningMethodEdDSA, private, map[string]any{"typ": "JWT"}, claims(nil)),
		"alg none":                sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims(nil)),
		"HS256 by the public key": sign(jwt.SigningMethodHS256, []byte(public), nil, claims(nil)),
		"HS512 by the public key": sign(jwt.SigningMethodHS512, []byte(public), nil, claims(nil)),
		"no signature":            parts[0] + "." + parts[1] + ".",
		"other's signature":       strings.Join(strings.Split(ours(nil), ".")[:2], ".") + "." + parts[2],
		"claims exchanged":        parts[0] + "." + b64([]byte(`{"sub":"x"}`)) + "." + parts[2],
		"header none":             b64([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + ".",
		"nonsense":                "a.b.c",
		"empty parts":             "..",
		"padded":                  good.Access + "=",
	} {
		t.Run(name, func(t *testing.T) { w.refused(t, token, "access token") })
	}
	for _, foreign := range []string{"", "flx_abc", "x", "a.b", "a.b.c.d", strings.Repeat(".", 4000)} {
		if _, err := w.Authenticate(t.Context(), foreign); !errors.Is(err, access.ErrForeign) {
			t.Errorf("%.20q: %v, want that another may know it", foreign, err)
		}
	}
	w.wait(14 * time.Minute)
	if _, err := w.Authenticate(t.Context(), good.Access); err != nil {
		t.Errorf("after 14 minutes: %v", err)
	}
	w.wait(2 * time.Minute)
	w.refused(t, good.Access, "expired")
}

func TestSigningKeysRotate(t *testing.T) {
	w := open(t, nil)
	w.person(t, "a@example.com", access.Viewer)
	first := w.login(t, "a@example.com")
	w.wait(24*time.Hour - 5*time.Minute)
	last := w.login(t, "a@example.com")
	w.wait(10 * time.Minute)
	next := w.login(t, "a@example.com")
	kid := func(token string) any {
		parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Header["kid"]
	}
	if kid(first.Access) != kid(last.Access) || kid(last.Access) == kid(next.Access) {
		t.Error("a key is to sign for a day")
	}
	for _, token := range []string{last.Access, next.Access} {
		if _, err := w.Authenticate(t.Context(), token); err != nil {
			t.Errorf("a token of one of two keys: %v", err)
		}
	}
	keys, err := w.Keys(t.Context())
	if err != nil || len(keys) != 2 || keys[0].ID != kid(next.Access) || keys[1].ID != kid(last.Access) {
		t.Fatalf("keys %+v, %v", keys, err)
	}
	x, _ := base64.RawURLEncoding.DecodeString(keys[0].X)
	if _, err := jwt.Parse(next.Access, func(*jwt.Token) (any, error) { return ed25519.PublicKey(x), nil }, jwt.WithTimeFunc(w.now)); err != nil {
		t.Errorf("verified by the published key: %v", err)
	}
}

func TestRefresh(t *testing.T) {
	w := open(t, nil)
	w.person(t, "a@example.com", access.Viewer)
	ctx := t.Context()
	one := w.login(t, "a@example.com")
	other := w.login(t, "a@example.com")
	two, err := w.Refresh(ctx, one.Refresh, account.From{})
	if err != nil || two.Refresh == one.Refresh || two.Session != one.Session {
		t.Fatalf("%+v, %v", two, err)
	}
	if _, err := w.Authenticate(ctx, two.Access); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Refresh(ctx, one.Refresh, account.From{}); !errors.Is(err, access.ErrInvalid) || !strings.Contains(err.Error(), "used before") {
		t.Errorf("a second time: %v", err)
	}
	for _, token := range []string{one.Refresh, two.Refresh, "flr_unknown", "", one.Access} {
		if _, err := w.Refresh(ctx, token, account.From{}); !errors.Is(err, access.ErrInvalid) {
			t.Errorf("refresh with %.10s after the session ended: %v", token, err)
		}
	}
	w.refused(t, one.Access, "session")
	w.refused(t, two.Access, "session")
	if _, err := w.Refresh(ctx, other.Refresh, account.From{}); err != nil {
		t.Errorf("another session: %v", err)
	}

	// Of many at once one gets the successor, and the session is over.
	racy := w.login(t, "a@example.com")
	var good atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := w.Refresh(ctx, racy.Refresh, account.From{}); err == nil {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	if good.Load() != 1 {
		t.Errorf("%d of 8 refreshed with one token, want 1", good.Load())
	}
	w.refused(t, racy.Access, "session")

	long := w.login(t, "a@example.com")
	w.wait(31 * 24 * time.Hour)
	if _, err := w.Refresh(ctx, long.Refresh, account.From{}); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("after a month: %v", err)
	}
}

// TestWhatEndsSessions takes things away on one replica and looks on it at once, and on another after two seconds.
func TestWhatEndsSessions(t *testing.T) {
	w := open(t, nil)
	w.person(t, "root@example.com", access.Admin)
	other := w.replica(nil)
	from := account.From{Actor: "test"}
	no, fresh := false, "another horse"
	email := "new@example.com"
	for _, tc := range []struct {
		name string
		take func(context.Context, store.Person, account.Tokens) error
		want error
	}{
		{"password", func(ctx context.Context, p store.Person, _ account.Tokens) error {
			_, err := w.Change(ctx, p.ID, account.Change{Password: &fresh}, from)
			return err
		}, access.ErrInvalid},
		{"address", func(ctx context.Context, p store.Person, _ account.Tokens) error {
			_, err := w.Change(ctx, p.ID, account.Change{Email: &email}, from)
			return err
		}, access.ErrInvalid},
		{"switched off", func(ctx context.Context, p store.Person, _ account.Tokens) error {
			_, err := w.Change(ctx, p.ID, account.Change{Active: &no}, from)
			return err
		}, access.ErrInactive},
		{"deleted", func(ctx context.Context, p store.Person, _ account.Tokens) error { return w.Delete(ctx, p.ID, from) }, access.ErrInvalid},
		{"logged out", func(ctx context.Context, p store.Person, s account.Tokens) error {
			return w.End(ctx, p.ID, s.Session, from)
		}, access.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address := strings.ReplaceAll(tc.name, " ", "-") + "@example.com"
			p := w.person(t, address, access.Viewer)
			s := w.login(t, address)
			for _, a := range []*account.Accounts{w.Accounts, other} {
				if _, err := a.Authenticate(t.Context(), s.Access); err != nil {
					t.Fatal(err)
				}
			}
			if err := tc.take(t.Context(), p, s); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Authenticate(t.Context(), s.Access); !errors.Is(err, tc.want) {
				t.Errorf("at once: %v, want %v", err, tc.want)
			}
			w.wait(2*time.Second + 1)
			if _, err := other.Authenticate(t.Context(), s.Access); !errors.Is(err, tc.want) {
				t.Errorf("on another replica after two seconds: %v, want %v", err, tc.want)
			}
			if _, err := w.Refresh(t.Context(), s.Refresh, account.From{}); err == nil {
				t.Error("the refresh token is still good")
			}
		})
	}

	// Who registers the address of a deleted account is somebody else.
	p := w.person(t, "again@example.com", access.Admin)
	s := w.login(t, "again@example.com")
	if err := w.Delete(t.Context(), p.ID, from); err != nil {
		t.Fatal(err)
	}
	if q := w.person(t, "again@example.com", access.Viewer); q.ID == p.ID || q.Number == p.Number {
		t.Errorf("account %d is account %d again", q.Number, p.Number)
	}
	w.refused(t, s.Access, "session")

	// A role is not in the token.
	w.person(t, "role@example.com", access.Operator)
	s = w.login(t, "role@example.com")
	c, err := w.Authenticate(t.Context(), s.Access)
	if err != nil {
		t.Fatal(err)
	}
	admin := access.Caller{Organisation: w.org, Role: access.Admin}
	if err := w.SetRole(t.Context(), admin, uuid.MustParse(c.Subject), access.Viewer, from); err != nil {
		t.Fatal(err)
	}
	if c, err = w.Authenticate(t.Context(), s.Access); err != nil || c.Role != access.Viewer {
		t.Errorf("after the role was taken: %+v, %v", c, err)
	}
	if err := w.SetRole(t.Context(), admin, uuid.MustParse(c.Subject), access.Nobody, from); err != nil {
		t.Fatal(err)
	}
	if c, err = w.Authenticate(t.Context(), s.Access); err != nil || c.Role != access.Viewer || c.Tier != access.Standard {
		t.Errorf("after the membership ended: %+v, %v", c, err)
	}
}

func TestThrottle(t *testing.T) {
	w := open(t, nil)
	w.person(t, "a@example.com", access.Viewer)
	w.person(t, "b@example.com", access.Viewer)
	ctx := t.Context()
	try := func(email, pw, address string) error {
		_, _, err := w.Login(ctx, email, pw, account.From{Address: address})
		return err
	}
	var held *account.ThrottledError
	if err := try("a@example.com", password, "198.51.100.7"); err != nil { // its home
		t.Fatal(err)
	}
	for range 6 {
		if err := try("a@example.com", "wrong", "192.0.2.1"); !errors.Is(err, account.ErrCredentials) {
			t.Fatal(err)
		}
	}
	if err := try("a@example.com", password, "192.0.2.1"); !errors.As(err, &held) || held.Wait > 2*time.Second {
		t.Fatalf("after 6 failures from one address: %v, want to wait a second", err)
	}
	if _, _, err := w.replica(nil).Login(ctx, "a@example.com", password, account.From{Address: "192.0.2.1"}); !errors.As(err, &held) {
		t.Errorf("on another replica: %v", err)
	}
	if err := try("b@example.com", password, "192.0.2.1"); err != nil {
		t.Errorf("another account from there: %v", err)
	}
	// A botnet fails from everywhere, for a day.
	var longest time.Duration
	for i := range 40 {
		if err := try("a@example.com", "wrong", fmt.Sprintf("203.0.113.%d", i)); errors.As(err, &held) {
			longest = max(longest, held.Wait)
			w.wait(held.Wait)
		}
	}
	if longest != 15*time.Minute {
		t.Errorf("the longest delay is %s, want a quarter of an hour", longest)
	}
	if err := try("a@example.com", "wrong", "203.0.113.250"); !errors.Is(err, account.ErrCredentials) {
		t.Fatal(err)
	}
	if err := try("a@example.com", password, "203.0.113.251"); !errors.As(err, &held) {
		t.Errorf("from an unknown address: %v, want to wait", err)
	}
	if err := try("a@example.com", password, "198.51.100.7"); err != nil {
		t.Errorf("from its home while others fail: %v", err)
	}
	w.wait(15 * time.Minute)
	if err := try("a@example.com", password, "203.0.113.251"); err != nil {
		t.Errorf("after the delay: %v", err)
	}
	// Nobody is told apart from somebody.
	for range 7 {
		_ = try("nobody@example.com", "wrong", "192.0.2.77")
	}
	if err := try("nobody@example.com", "wrong", "192.0.2.77"); !errors.As(err, &held) {
		t.Errorf("an address that nobody has: %v, want to wait as well", err)
	}
	// One address on many accounts; of IPv6, one network.
	for i := range 110 {
		err := try(fmt.Sprintf("x%d@example.com", i), "wrong", fmt.Sprintf("2001:db8::%x", i))
		if errors.As(err, &held) {
			return
		}
	}
	t.Error("one address failed on 110 accounts without a delay")
}

func TestPasswordsAreHashedAnew(t *testing.T) {
	w := open(t, nil)
	p := w.person(t, "a@example.com", access.Viewer)
	// 1 MiB and one pass, of "correct horse".
	old := account.HashOf(password, 1, 1)
	if err := w.store.Rehash(t.Context(), p.ID, p.Password, old); err != nil {
		t.Fatal(err)
	}
	w.login(t, "a@example.com")
	q, err := w.Person(t.Context(), p.ID)
	if err != nil || q.Password == old || !strings.HasPrefix(q.Password, "$argon2id$v=19$m=32768,t=2,p=1$") {
		t.Errorf("kept as %.40s, %v", q.Password, err)
	}
	w.login(t, "a@example.com")
	if r, _ := w.Person(t.Context(), p.ID); r.Password != q.Password {
		t.Error("hashed anew without need")
	}
	for _, bad := range []string{"x", "$argon2id$v=19$m=99999999999,t=1,p=1$AAAA$AAAA", "$argon2i$v=19$m=1024,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=1024,t=0,p=0$AAAA$AAAA", "$argon2id$v=19$m=4294967295,t=4294967295,p=255$AAAA$AAAA"} {
		if account.Matches(password, bad) {
			t.Errorf("%s matches", bad)
		}
	}
}

// TestManyLogins has many log in at once, more than may be hashed at once.
func TestManyLogins(t *testing.T) {
	w := open(t, nil)
	w.person(t, "a@example.com", access.Viewer)
	n := 256
	if testing.Short() {
		n = 32
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, _, err := w.Login(t.Context(), "a@example.com", password, account.From{Address: fmt.Sprintf("192.0.2.%d", i%256)}); err != nil {
				t.Errorf("login %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if most := account.MostAtOnce(w.Accounts); most > 4 {
		t.Errorf("%d passwords may be hashed at once, want at most 4", most)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.Login(ended, "a@example.com", password, account.From{}); err == nil {
		t.Error("a login whose caller is gone succeeded")
	}
}
