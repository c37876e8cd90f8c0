package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/store"
)

// User is an account as Fluxora's first interface shows it, with what its documentation promised.
type User struct {
	ID        int64     `json:"id"`
	Email     string    `json:"email" format:"email"`
	FullName  string    `json:"full_name"`
	Active    bool      `json:"is_active"`
	Superuser bool      `json:"is_superuser" doc:"administers all organisations"`
	CreatedAt time.Time `json:"created_at"`
}

func userOf(p store.Person) User {
	return User{ID: p.Number, Email: p.Email, FullName: p.FullName, Active: p.Active, Superuser: p.Platform, CreatedAt: p.CreatedAt.UTC()}
}

// Token is what a login gives.
type Token struct {
	Access    string `json:"access_token" doc:"for the header Authorization: Bearer …"`
	Refresh   string `json:"refresh_token" doc:"good once, for the next pair; a second use ends the session"`
	Type      string `json:"token_type" enum:"bearer"`
	ExpiresIn int    `json:"expires_in" doc:"seconds that the access token is good for"`
}

func tokenOf(t account.Tokens) Token {
	return Token{Access: t.Access, Refresh: t.Refresh, Type: "bearer", ExpiresIn: int(t.ExpiresIn / time.Second)}
}

// LoginAnswer is a Token with whose it is.
type LoginAnswer struct {
	Token
	User struct {
		ID       int64  `json:"id"`
		Email    string `json:"email"`
		FullName string `json:"full_name"`
	} `json:"user"`
}

type (
	tokenAnswer struct{ Body Token }
	userAnswer  struct{ Body User }
	loginAnswer struct{ Body LoginAnswer }
)

// Whence gives a handler the request itself, for where it comes from.
type Whence struct{ request *http.Request }

// Resolve implements huma.Resolver.
func (w *Whence) Resolve(ctx huma.Context) []error {
	w.request, _ = humago.Unwrap(ctx)
	return nil
}

// from says who makes a request, and from where, for the audit log and for counting failed logins.
func (s *server) from(ctx context.Context, w Whence) account.From {
	f := account.From{Address: address(w.request, s.proxies).String(), Client: w.request.UserAgent()}
	if c := callerOf(ctx); c.Role != access.Nobody {
		f.Actor = string(c.Kind) + " " + c.Subject
	}
	return f
}

// person returns the id of the account that makes a request, which the gate let in as a person.
func person(ctx context.Context) uuid.UUID {
	id, _ := uuid.Parse(callerOf(ctx).Subject)
	return id
}

// answersSecret reports whether the answer of a path may hold a credential.
func answersSecret(path string) bool {
	return strings.HasPrefix(path, "/v1/auth") || strings.HasPrefix(path, "/v1/api-keys") || strings.HasPrefix(path, "/v1/invitations")
}

// write describes an operation that changes something.
func write(id, method, path, summary string, status int, errors ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status,
		Errors: append(errors, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}
}

// refuseAccount turns an error of package account into an answer.
func (s *server) refuseAccount(ctx context.Context, err error, missing string) error {
	var in *account.InputError
	var held *account.ThrottledError
	bearer := http.Header{"Www-Authenticate": {"Bearer"}}
	switch {
	case errors.As(err, &in):
		return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "body." + in.Field, Message: in.Message})
	case errors.As(err, &held):
		return huma.ErrorWithHeaders(huma.Error429TooManyRequests(held.Error()), http.Header{"Retry-After": {strconv.Itoa(int((held.Wait + time.Second - 1) / time.Second))}})
	case errors.Is(err, account.ErrCredentials):
		if e := errors.Unwrap(err); store.Unavailable(err) && e != nil {
			return s.fault(ctx, err, missing)
		}
		return huma.ErrorWithHeaders(huma.Error401Unauthorized("Incorrect username or password"), bearer)
	case errors.Is(err, access.ErrInvalid):
		return huma.ErrorWithHeaders(huma.Error401Unauthorized(err.Error()), bearer)
	case errors.Is(err, access.ErrInactive):
		return huma.Error400BadRequest("Inactive user")
	case errors.Is(err, account.ErrTaken):
		return huma.Error400BadRequest("Email already registered")
	case errors.Is(err, account.ErrClosed), errors.Is(err, account.ErrUninvited), errors.Is(err, access.ErrDenied):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, store.ErrLast):
		return huma.Error409Conflict("that would leave nobody to administer; make somebody else an administrator first")
	case errors.Is(err, store.ErrConflict):
		return huma.Error409Conflict("there is one of that name already")
	case errors.Is(err, account.ErrNoOIDC):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, account.ErrBusy):
		s.log.WarnContext(ctx, "login unanswered", "error", err)
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("too many logins at once; try again"), http.Header{"Retry-After": {strconv.Itoa(retrySeconds)}})
	default:
		return s.fault(ctx, err, missing)
	}
}

func (s *server) registerAuth(r *routes) {
	register(r, access.Open(), write("register", http.MethodPost, "/v1/auth/register", "Make an account, as far as the settings allow", http.StatusCreated, http.StatusForbidden),
		func(ctx context.Context, in *struct {
			Whence
			Body struct {
				Email      string `json:"email" format:"email" maxLength:"254"`
				Password   string `json:"password" minLength:"8" maxLength:"256" format:"password"`
				FullName   string `json:"full_name,omitempty" maxLength:"200"`
				Invitation string `json:"invitation,omitempty" maxLength:"200" doc:"text of an invitation to an organisation"`
			}
		},
		) (*userAnswer, error) {
			p, err := s.accounts.Register(ctx, account.Registration{
				Email: in.Body.Email, Password: in.Body.Password, FullName: in.Body.FullName, Invitation: in.Body.Invitation,
			}, s.from(ctx, in.Whence))
			if err != nil {
				return nil, s.refuseAccount(ctx, err, "")
			}
			return &userAnswer{userOf(p)}, nil
		})

	form := write("token", http.MethodPost, "/v1/auth/token", "Log in with a form, as OAuth 2.0's password grant", http.StatusOK, http.StatusUnauthorized, http.StatusTooManyRequests)
	register(r, access.Open(), form, func(ctx context.Context, in *struct {
		Whence
		RawBody []byte `contentType:"application/x-www-form-urlencoded"`
	},
	) (*tokenAnswer, error) {
		v, err := url.ParseQuery(string(in.RawBody))
		if err != nil {
			return nil, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "body", Message: "is no form: want application/x-www-form-urlencoded"})
		}
		var missing []error
		for _, field := range []string{"username", "password"} {
			if len(v[field]) != 1 {
				missing = append(missing, &huma.ErrorDetail{Location: "body." + field, Message: "want this field once"})
			}
		}
		if g := v.Get("grant_type"); g != "" && g != "password" {
			missing = append(missing, &huma.ErrorDetail{Location: "body.grant_type", Message: "want password"})
		}
		if missing != nil {
			return nil, huma.Error422UnprocessableEntity("validation failed", missing...)
		}
		t, _, err := s.accounts.Login(ctx, v.Get("username"), v.Get("password"), s.from(ctx, in.Whence))
		if err != nil {
			return nil, s.refuseAccount(ctx, err, "")
		}
		return &tokenAnswer{tokenOf(t)}, nil
	})
	// Huma takes the raw bytes of a form for a file.
	text := &huma.Schema{Type: huma.TypeString}
	r.api.OpenAPI().Paths["/v1/auth/token"].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/x-www-form-urlencoded": {Schema: &huma.Schema{
		Type: huma.TypeObject, Required: []string{"username", "password"},
		Properties: map[string]*huma.Schema{"username": text, "password": {Type: huma.TypeString, Format: "password"}, "grant_type": text, "scope": text, "client_id": text, "client_secret": text},
	}}}}

	register(r, access.Open(), write("login", http.MethodPost, "/v1/auth/login", "Log in", http.StatusOK, http.StatusUnauthorized, http.StatusTooManyRequests),
		func(ctx context.Context, in *struct {
			Whence
			Body struct {
				Username string `json:"username" maxLength:"254" doc:"the e-mail address"`
				Password string `json:"password" maxLength:"256" format:"password"`
			}
		},
		) (*loginAnswer, error) {
			t, p, err := s.accounts.Login(ctx, in.Body.Username, in.Body.Password, s.from(ctx, in.Whence))
			if err != nil {
				return nil, s.refuseAccount(ctx, err, "")
			}
			return loggedIn(t, p), nil
		})

	register(r, access.Open(), write("refresh", http.MethodPost, "/v1/auth/refresh", "Use up a refresh token for the next pair of tokens", http.StatusOK, http.StatusUnauthorized),
		func(ctx context.Context, in *struct {
			Whence
			Body struct {
				Token string `json:"refresh_token" maxLength:"4096"`
			}
		},
		) (*tokenAnswer, error) {
			t, err := s.accounts.Refresh(ctx, in.Body.Token, s.from(ctx, in.Whence))
			if err != nil {
				return nil, s.refuseAccount(ctx, err, "")
			}
			return &tokenAnswer{tokenOf(t)}, nil
		})

	type keys struct {
		CacheControl string `header:"Cache-Control"`
		Body         struct {
			Keys []account.JWK `json:"keys"`
		}
	}
	register(r, access.Open(), get("jwks", "/.well-known/jwks.json", "Public keys that access tokens are verified with (RFC 7517)"), func(ctx context.Context, _ *struct{}) (*keys, error) {
		found, err := s.accounts.Keys(ctx)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		out := &keys{CacheControl: "public, max-age=300"}
		out.Body.Keys = found
		return out, nil
	})
}

func loggedIn(t account.Tokens, p store.Person) *loginAnswer {
	out := &loginAnswer{LoginAnswer{Token: tokenOf(t)}}
	out.Body.User.ID, out.Body.User.Email, out.Body.User.FullName = p.Number, p.Email, p.FullName
	return out
}
