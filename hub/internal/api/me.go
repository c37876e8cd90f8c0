package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
)

// Changed is an account after its owner changed it. Another address or password ends all its sessions, so there are new tokens then.
type Changed struct {
	User    User    `json:"user"`
	Access  *string `json:"access_token"`
	Refresh *string `json:"refresh_token"`
	Type    *string `json:"token_type"`
}

// Session is a login.
type Session struct {
	ID           string    `json:"id" format:"uuid"`
	Current      bool      `json:"current" doc:"the one that asks"`
	Client       string    `json:"client" doc:"the header User-Agent at login"`
	Address      string    `json:"address" doc:"that it was refreshed from last"`
	Organisation string    `json:"organisation,omitempty" format:"uuid" doc:"whose rows it works on"`
	CreatedAt    time.Time `json:"created_at"`
	SeenAt       time.Time `json:"seen_at" doc:"to the minute"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// Sessions is all sessions of an account that go on, newest first.
type Sessions struct {
	Sessions []Session `json:"sessions"`
}

// PathID names what a path is about.
type PathID struct {
	ID string `path:"id" format:"uuid"`
}

func (s *server) registerMe(r *routes) {
	me := access.Person(access.Viewer)
	register(r, me, get("me", "/v1/auth/me", "Your account"), func(ctx context.Context, _ *struct{}) (*userAnswer, error) {
		p, err := s.accounts.Person(ctx, person(ctx))
		if err != nil {
			return nil, s.fault(ctx, err, "User not found")
		}
		return &userAnswer{userOf(p)}, nil
	})

	type changed struct{ Body Changed }
	register(r, me, write("changeMe", http.MethodPatch, "/v1/auth/me", "Change your account", http.StatusOK), func(ctx context.Context, in *struct {
		Whence
		Body struct {
			Email    *string `json:"email,omitempty" maxLength:"254" nullable:"true"`
			Password *string `json:"password,omitempty" maxLength:"256" nullable:"true"`
			FullName *string `json:"full_name,omitempty" maxLength:"200" nullable:"true"`
		}
	},
	) (*changed, error) {
		id, from := person(ctx), s.from(ctx, in.Whence)
		before, err := s.accounts.Person(ctx, id)
		if err != nil {
			return nil, s.fault(ctx, err, "User not found")
		}
		p, err := s.accounts.Change(ctx, id, account.Change{Email: in.Body.Email, Password: in.Body.Password, FullName: in.Body.FullName}, from)
		if err != nil {
			return nil, s.refuseAccount(ctx, err, "User not found")
		}
		out := &changed{Changed{User: userOf(p)}}
		if p.Email != before.Email || p.Password != before.Password {
			t, err := s.accounts.Begin(ctx, id, from)
			if err != nil {
				return nil, s.refuseAccount(ctx, err, "User not found")
			}
			kind := "bearer"
			out.Body.Access, out.Body.Refresh, out.Body.Type = &t.Access, &t.Refresh, &kind
		}
		return out, nil
	})

	register(r, me, write("deleteMe", http.MethodDelete, "/v1/auth/me", "Delete your account", http.StatusNoContent, http.StatusConflict),
		func(ctx context.Context, in *struct{ Whence }) (*struct{}, error) {
			if err := s.accounts.Delete(ctx, person(ctx), s.from(ctx, in.Whence)); err != nil {
				return nil, s.refuseAccount(ctx, err, "User not found")
			}
			return nil, nil
		})

	register(r, me, get("sessions", "/v1/auth/sessions", "Your sessions, newest first"), func(ctx context.Context, _ *struct{}) (*struct{ Body Sessions }, error) {
		rows, err := s.accounts.Sessions(ctx, person(ctx))
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		out := &struct{ Body Sessions }{Sessions{Sessions: make([]Session, len(rows))}}
		for i, v := range rows {
			out.Body.Sessions[i] = Session{
				ID: v.ID.String(), Current: v.ID == callerOf(ctx).Session, Client: v.Client, Address: v.Address,
				CreatedAt: v.CreatedAt.UTC(), SeenAt: v.SeenAt.UTC(), ExpiresAt: v.ExpiresAt.UTC(),
			}
			if v.Org != nil {
				out.Body.Sessions[i].Organisation = v.Org.String()
			}
		}
		return out, nil
	})

	end := func(ctx context.Context, w Whence, session uuid.UUID) (*struct{}, error) {
		if err := s.accounts.End(ctx, person(ctx), session, s.from(ctx, w)); err != nil {
			return nil, s.fault(ctx, err, "no such session")
		}
		return nil, nil
	}
	register(r, me, write("endSession", http.MethodDelete, "/v1/auth/sessions/{id}", "End one of your sessions", http.StatusNoContent, http.StatusNotFound), func(ctx context.Context, in *struct {
		Whence
		PathID
	},
	) (*struct{}, error) {
		return end(ctx, in.Whence, uuid.MustParse(in.ID)) // huma has checked the format
	})
	register(r, me, write("logout", http.MethodPost, "/v1/auth/logout", "End this session", http.StatusNoContent), func(ctx context.Context, in *struct{ Whence }) (*struct{}, error) {
		return end(ctx, in.Whence, callerOf(ctx).Session)
	})

	register(r, me, write("enterOrganisation", http.MethodPost, "/v1/auth/organisation", "Have this session work on another organisation of yours", http.StatusNoContent, http.StatusNotFound),
		func(ctx context.Context, in *struct {
			Whence
			Body struct {
				Organisation string `json:"organisation" format:"uuid"`
			}
		},
		) (*struct{}, error) {
			if err := s.accounts.Enter(ctx, person(ctx), callerOf(ctx).Session, uuid.MustParse(in.Body.Organisation), s.from(ctx, in.Whence)); err != nil {
				return nil, s.fault(ctx, err, "you are no member of such an organisation")
			}
			return nil, nil
		})

	type joined struct {
		Body struct {
			Organisation string `json:"organisation" format:"uuid"`
		}
	}
	register(r, me, write("acceptInvitation", http.MethodPost, "/v1/auth/invitation", "Become a member of the organisation that you were invited to", http.StatusOK), func(ctx context.Context, in *struct {
		Whence
		Body struct {
			Invitation string `json:"invitation" maxLength:"200"`
		}
	},
	) (*joined, error) {
		org, err := s.accounts.Accept(ctx, person(ctx), in.Body.Invitation, s.from(ctx, in.Whence))
		if err != nil {
			return nil, s.refuseAccount(ctx, err, "User not found")
		}
		out := &joined{}
		out.Body.Organisation = org.String()
		return out, nil
	})
}
