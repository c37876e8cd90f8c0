package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/store"
)

// PathNumber names an account as clients of the first interface do.
type PathNumber struct {
	ID int64 `path:"id" minimum:"1"`
}

func (s *server) registerUsers(r *routes) {
	read, change := access.With(access.Platform, access.ReadAccounts), access.With(access.Platform, access.WriteAccounts)
	const missing = "User not found"

	register(r, read, get("users", "/v1/users", "All accounts, by number"), func(ctx context.Context, in *struct {
		Skip  int `query:"skip" default:"0" minimum:"0" maximum:"1000000000"`
		Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	},
	) (*struct{ Body []User }, error) {
		rows, err := s.accounts.People(ctx, in.Skip, in.Limit)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		out := &struct{ Body []User }{make([]User, len(rows))}
		for i, p := range rows {
			out.Body[i] = userOf(p)
		}
		return out, nil
	})

	register(r, read, get("user", "/v1/users/{id}", "An account", http.StatusNotFound), func(ctx context.Context, in *PathNumber) (*userAnswer, error) {
		p, err := s.accounts.ByNumber(ctx, in.ID)
		if err != nil {
			return nil, s.fault(ctx, err, missing)
		}
		return &userAnswer{userOf(p)}, nil
	})

	register(r, change, write("createUser", http.MethodPost, "/v1/users", "Make an account", http.StatusCreated), func(ctx context.Context, in *struct {
		Whence
		Body struct {
			Email        string `json:"email" maxLength:"254"`
			Password     string `json:"password" maxLength:"256"`
			FullName     string `json:"full_name,omitempty" maxLength:"200"`
			Superuser    bool   `json:"is_superuser,omitempty"`
			Organisation string `json:"organisation,omitempty" format:"uuid" doc:"that it becomes a member of; yours without it"`
			Role         string `json:"role,omitempty" enum:"viewer,analyst,operator,admin" default:"viewer"`
		}
	},
	) (*userAnswer, error) {
		n := account.Newcomer{Email: in.Body.Email, Password: in.Body.Password, FullName: in.Body.FullName, Platform: in.Body.Superuser, Org: callerOf(ctx).Organisation}
		n.Role, _ = access.ParseRole(in.Body.Role) // one of the enumeration
		if in.Body.Organisation != "" {
			n.Org = uuid.MustParse(in.Body.Organisation)
		}
		p, err := s.accounts.Create(ctx, n, s.from(ctx, in.Whence))
		if err != nil {
			return nil, s.refuseAccount(ctx, err, "no such organisation")
		}
		return &userAnswer{userOf(p)}, nil
	})

	// alter changes the account of a number; somebody who administers cannot shut itself out.
	alter := func(ctx context.Context, w Whence, number int64, c account.Change) (*userAnswer, error) {
		p, err := s.other(ctx, number, c.Active != nil && !*c.Active, "You cannot deactivate your own account.")
		if err != nil {
			return nil, err
		}
		if p, err = s.accounts.Change(ctx, p.ID, c, s.from(ctx, w)); err != nil {
			return nil, s.refuseAccount(ctx, err, missing)
		}
		return &userAnswer{userOf(p)}, nil
	}
	register(r, change, write("changeUser", http.MethodPatch, "/v1/users/{id}", "Change an account", http.StatusOK, http.StatusNotFound, http.StatusConflict), func(ctx context.Context, in *struct {
		Whence
		PathNumber
		Body struct {
			Email     *string `json:"email,omitempty" maxLength:"254" nullable:"true"`
			Password  *string `json:"password,omitempty" maxLength:"256" nullable:"true"`
			FullName  *string `json:"full_name,omitempty" maxLength:"200" nullable:"true"`
			Active    *bool   `json:"is_active,omitempty" nullable:"true"`
			Superuser *bool   `json:"is_superuser,omitempty" nullable:"true"`
		}
	},
	) (*userAnswer, error) {
		b := in.Body
		return alter(ctx, in.Whence, in.ID, account.Change{Email: b.Email, Password: b.Password, FullName: b.FullName, Active: b.Active, Platform: b.Superuser})
	})
	type named struct {
		Whence
		PathNumber
	}
	for name, active := range map[string]bool{"activate": true, "deactivate": false} {
		register(r, change, write(name+"User", http.MethodPost, "/v1/users/{id}/"+name, "Switch an account on or off", http.StatusOK, http.StatusNotFound, http.StatusConflict),
			func(ctx context.Context, in *named) (*userAnswer, error) {
				return alter(ctx, in.Whence, in.ID, account.Change{Active: &active})
			})
	}
	register(r, change, write("deleteUser", http.MethodDelete, "/v1/users/{id}", "Delete an account", http.StatusNoContent, http.StatusNotFound, http.StatusConflict),
		func(ctx context.Context, in *named) (*struct{}, error) {
			p, err := s.other(ctx, in.ID, true, "You cannot delete your own account.")
			if err != nil {
				return nil, err
			}
			if err := s.accounts.Delete(ctx, p.ID, s.from(ctx, in.Whence)); err != nil {
				return nil, s.refuseAccount(ctx, err, missing)
			}
			return nil, nil
		})
}

// other returns the account of a number, and refuses when it must be another's than the caller's and is not.
func (s *server) other(ctx context.Context, number int64, must bool, refusal string) (store.Person, error) {
	p, err := s.accounts.ByNumber(ctx, number)
	if err != nil {
		return p, s.fault(ctx, err, "User not found")
	}
	if must && p.ID == person(ctx) {
		return p, huma.Error400BadRequest(refusal)
	}
	return p, nil
}
