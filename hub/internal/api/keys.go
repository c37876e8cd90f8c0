package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/store"
)

// APIKey is a credential of a program.
type APIKey struct {
	ID        string     `json:"id" format:"uuid"`
	Text      string     `json:"key,omitempty" doc:"for the header Authorization: Bearer …; only in the answer that made it"`
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	Scopes    []string   `json:"scopes"`
	CreatedBy string     `json:"created_by" doc:"as in the audit log"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	UsedAt    *time.Time `json:"used_at,omitempty" doc:"to the minute; absent before the first use"`
}

// APIKeys is the newest keys of your organisation.
type APIKeys struct {
	Keys []APIKey `json:"keys"`
}

func keyOut(k store.APIKey) APIKey {
	return APIKey{
		ID: k.ID.String(), Name: k.Name, Role: k.Role, Scopes: k.Scopes, CreatedBy: k.CreatedBy,
		CreatedAt: k.CreatedAt.UTC(), ExpiresAt: k.ExpiresAt.UTC(), RevokedAt: k.RevokedAt, UsedAt: k.UsedAt,
	}
}

func (s *server) registerKeys(r *routes) {
	register(r, access.With(access.Admin, access.ReadAccounts), get("apiKeys", "/v1/api-keys", "API keys of your organisation, the newest thousand"), func(ctx context.Context, _ *struct{}) (*struct{ Body APIKeys }, error) {
		rows, err := s.accounts.APIKeys(ctx, org(ctx))
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		out := &struct{ Body APIKeys }{APIKeys{Keys: make([]APIKey, len(rows))}}
		for i, k := range rows {
			out.Body.Keys[i] = keyOut(k)
		}
		return out, nil
	})

	change := access.With(access.Admin, access.WriteAccounts)
	register(r, change, write("createApiKey", http.MethodPost, "/v1/api-keys", "Make an API key; nobody can give it more than it has", http.StatusCreated), func(ctx context.Context, in *struct {
		Whence
		Body struct {
			Name   string   `json:"name" minLength:"1" maxLength:"100"`
			Role   string   `json:"role" enum:"viewer,analyst,operator,admin"`
			Scopes []string `json:"scopes" minItems:"1" maxItems:"50" example:"readings:read"`
			Days   int      `json:"days,omitempty" default:"90" minimum:"1" maximum:"730" doc:"that the key is good for"`
		}
	},
	) (*struct{ Body APIKey }, error) {
		w := account.KeyWish{Name: in.Body.Name, Life: time.Duration(in.Body.Days) * 24 * time.Hour}
		w.Role, _ = access.ParseRole(in.Body.Role) // one of the enumeration
		for _, scope := range in.Body.Scopes {
			w.Scopes = append(w.Scopes, access.Scope(scope))
		}
		text, k, err := s.accounts.CreateKey(ctx, callerOf(ctx), w, s.from(ctx, in.Whence))
		if err != nil {
			return nil, s.refuseAccount(ctx, err, "")
		}
		out := &struct{ Body APIKey }{keyOut(k)}
		out.Body.Text = text
		return out, nil
	})

	register(r, change, write("revokeApiKey", http.MethodDelete, "/v1/api-keys/{id}", "Make an API key useless", http.StatusNoContent, http.StatusNotFound), func(ctx context.Context, in *struct {
		Whence
		PathID
	},
	) (*struct{}, error) {
		if err := s.accounts.RevokeKey(ctx, org(ctx), uuid.MustParse(in.ID), s.from(ctx, in.Whence)); err != nil {
			return nil, s.fault(ctx, err, "no such API key")
		}
		return nil, nil
	})
}
