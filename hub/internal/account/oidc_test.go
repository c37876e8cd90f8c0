package account_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
)

// identityProvider is a small OpenID provider. It knows one code, of the login begun last, and says of its user what claims say.
type identityProvider struct {
	*httptest.Server
	key       *rsa.PrivateKey
	challenge string
	claims    jwt.MapClaims
}

func newIdentityProvider(t *testing.T, now func() time.Time) *identityProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &identityProvider{key: key}
	mux := http.NewServeMux()
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		b64 := base64.RawURLEncoding.EncodeToString
		answer(w, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		digest := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		id, secret, _ := r.BasicAuth()
		if r.FormValue("code") != "good" || id != "hub" || secret != "hubs-secret" || base64.RawURLEncoding.EncodeToString(digest[:]) != p.challenge {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant"})
			return
		}
		claims := jwt.MapClaims{"iss": p.URL, "aud": "hub", "iat": now().Unix(), "exp": now().Add(time.Minute).Unix()}
		for k, v := range p.claims {
			claims[k] = v
		}
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
		token.Header["kid"] = "k"
		signed, err := token.SignedString(key)
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": signed})
	})
	return p
}

func TestOpenIDConnect(t *testing.T) {
	w := open(t, nil)
	p := newIdentityProvider(t, w.now)
	settings := account.OIDC{Issuer: p.URL, ClientID: "hub", ClientSecret: "hubs-secret", RedirectURL: "https://hub.example.com/v1/auth/oidc/callback"}
	strict := w.replica(func(o *account.Options) { o.OIDC = settings })
	settings.Org, settings.Role = w.org, access.Analyst
	welcoming := w.replica(func(o *account.Options) { o.OIDC = settings })
	ctx := t.Context()

	// begin begins a login and has the provider say who it is.
	begin := func(a *account.Accounts, claims jwt.MapClaims) (state string) {
		t.Helper()
		target, state, err := a.BeginOIDC(ctx)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if q.Get("state") != state || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("redirect_uri") != settings.RedirectURL {
			t.Fatalf("the browser is sent to %s", target)
		}
		p.challenge, p.claims = q.Get("code_challenge"), jwt.MapClaims{"nonce": q.Get("nonce")}
		for k, v := range claims {
			p.claims[k] = v
		}
		return state
	}
	ann := jwt.MapClaims{"sub": "ann-1", "email": "Ann@example.com", "email_verified": true, "name": "Ann"}
	with := func(k string, v any) jwt.MapClaims {
		out := jwt.MapClaims{k: v}
		for name, old := range ann {
			if name != k {
				out[name] = old
			}
		}
		return out
	}

	state := begin(strict, ann)
	if _, _, err := strict.FinishOIDC(ctx, state, state, "good", account.From{}); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("nobody new is to be let in: %v", err)
	}
	state = begin(welcoming, ann)
	tokens, first, err := welcoming.FinishOIDC(ctx, state, state, "good", account.From{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.Authenticate(ctx, tokens.Access)
	if err != nil || c.Role != access.Analyst || c.Organisation != w.org || first.Email != "ann@example.com" || first.FullName != "Ann" {
		t.Errorf("caller %+v, account %+v, %v", c, first, err)
	}
	if _, _, err := w.Login(ctx, "ann@example.com", "", account.From{}); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("login with an empty password: %v", err)
	}
	if _, _, err := welcoming.FinishOIDC(ctx, state, state, "good", account.From{}); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("finished twice: %v", err)
	}
	state = begin(strict, with("email", "else@example.com"))
	if _, again, err := strict.FinishOIDC(ctx, state, state, "good", account.From{}); err != nil || again.ID != first.ID {
		t.Errorf("by its subject: %+v, %v", again, err)
	}

	bob := w.person(t, "bob@example.com", access.Viewer) // made by an administrator
	state = begin(strict, jwt.MapClaims{"sub": "bob-1", "email": "bob@example.com", "email_verified": true})
	if _, got, err := strict.FinishOIDC(ctx, state, state, "good", account.From{}); err != nil || got.ID != bob.ID {
		t.Errorf("by a verified address: %+v, %v", got, err)
	}
	lurker := w.replica(func(o *account.Options) { o.Registration = account.Open })
	if _, err := lurker.Register(ctx, account.Registration{Email: "eve@example.com", Password: password}, account.From{}); err != nil {
		t.Fatal(err)
	}

	stranger := func(k string, v any) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "new-1", "email": "new@example.com", "email_verified": true}
		c[k] = v
		return c
	}
	for name, tc := range map[string]struct {
		claims                     jwt.MapClaims
		code, stateOf, cookieOf    string
		spoilVerifier, waitTooLong bool
	}{
		"address not verified":          {claims: stranger("email_verified", false), code: "good"},
		"no address":                    {claims: stranger("email", ""), code: "good"},
		"registered without proof":      {claims: stranger("email", "eve@example.com"), code: "good"},
		"another nonce":                 {claims: stranger("nonce", "else"), code: "good"},
		"another audience":              {claims: stranger("aud", "else"), code: "good"},
		"another issuer":                {claims: stranger("iss", "https://else.example.com"), code: "good"},
		"expired":                       {claims: stranger("exp", w.now().Add(-time.Hour).Unix()), code: "good"},
		"unknown code":                  {claims: stranger("sub", "new-1"), code: "bad"},
		"begun in another browser":      {claims: stranger("sub", "new-1"), code: "good", cookieOf: "else"},
		"state that nobody began":       {claims: stranger("sub", "new-1"), code: "good", stateOf: "else", cookieOf: "else"},
		"another's challenge (no PKCE)": {claims: stranger("sub", "new-1"), code: "good", spoilVerifier: true},
		"too late":                      {claims: stranger("sub", "new-1"), code: "good", waitTooLong: true},
	} {
		t.Run(name, func(t *testing.T) {
			state := begin(welcoming, tc.claims)
			cookie := state
			if tc.stateOf != "" {
				state = tc.stateOf
			}
			if tc.cookieOf != "" {
				cookie = tc.cookieOf
			}
			if tc.spoilVerifier {
				p.challenge = "else"
			}
			if tc.waitTooLong {
				w.wait(11 * time.Minute)
			}
			if _, _, err := welcoming.FinishOIDC(ctx, state, cookie, tc.code, account.From{}); !errors.Is(err, access.ErrInvalid) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
	if _, _, err := w.BeginOIDC(ctx); !errors.Is(err, account.ErrNoOIDC) {
		t.Errorf("without settings: %v", err)
	}
}
