package api

import (
	"context"
	"net/http"

	"fluxora.dev/hub/internal/access"
)

// oidcCookie holds the state of a login under way in the browser that began it.
const oidcCookie = "fluxora_oidc"

func (s *server) registerOIDC(r *routes) {
	type sent struct {
		Status   int
		Location string      `header:"Location"`
		Cookie   http.Cookie `header:"Set-Cookie"`
	}
	begin := get("oidcLogin", "/v1/auth/oidc/login", "Log in at the configured OpenID provider: sends the browser there", http.StatusNotFound)
	begin.DefaultStatus = http.StatusFound
	register(r, access.Open(), begin, func(ctx context.Context, in *struct{ Whence }) (*sent, error) {
		url, state, err := s.accounts.BeginOIDC(ctx)
		if err != nil {
			return nil, s.refuseAccount(ctx, err, "")
		}
		return &sent{Status: http.StatusFound, Location: url, Cookie: s.oidcCookie(in.Whence, state, 600)}, nil
	})

	type answer struct {
		Cookie http.Cookie `header:"Set-Cookie"`
		Body   LoginAnswer
	}
	finish := get("oidcCallback", "/v1/auth/oidc/callback", "Where the OpenID provider sends the browser back to", http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound)
	register(r, access.Open(), finish, func(ctx context.Context, in *struct {
		Whence
		State   string      `query:"state" maxLength:"200"`
		Code    string      `query:"code" maxLength:"4096"`
		Issuer  string      `query:"iss" maxLength:"1000" doc:"ignored; some providers send it (RFC 9207)"`
		Session string      `query:"session_state" maxLength:"1000" doc:"ignored; some providers send it"`
		Scope   string      `query:"scope" maxLength:"1000" doc:"ignored; some providers send it"`
		Error   string      `query:"error" maxLength:"200" doc:"why the provider refuses"`
		Detail  string      `query:"error_description" maxLength:"2000"`
		Cookie  http.Cookie `cookie:"fluxora_oidc"`
	},
	) (*answer, error) {
		t, p, err := s.accounts.FinishOIDC(ctx, in.State, in.Cookie.Value, in.Code, s.from(ctx, in.Whence))
		if err != nil {
			return nil, s.refuseAccount(ctx, err, "")
		}
		return &answer{Cookie: s.oidcCookie(in.Whence, "", -1), Body: loggedIn(t, p).Body}, nil
	})
}

func (s *server) oidcCookie(w Whence, value string, seconds int) http.Cookie {
	secure := w.request.TLS != nil || w.request.Header.Get("X-Forwarded-Proto") == "https"
	return http.Cookie{Name: oidcCookie, Value: value, Path: "/v1/auth/oidc", MaxAge: seconds, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}
}
