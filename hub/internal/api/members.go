package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// Organisation is a tenant.
type Organisation struct {
	ID        string    `json:"id" format:"uuid"`
	Name      string    `json:"name"`
	Tier      string    `json:"tier" enum:"free,standard,premium"`
	Role      string    `json:"role,omitempty" doc:"yours there; absent when you are no member"`
	CreatedAt time.Time `json:"created_at"`
}

// Organisations is a page of organisations, by name.
type Organisations struct {
	Organisations []Organisation `json:"organisations"`
	Next          string         `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

// Member is a person in your organisation.
type Member struct {
	ID       string    `json:"id" format:"uuid"`
	Email    string    `json:"email"`
	FullName string    `json:"full_name"`
	Active   bool      `json:"active"`
	Role     string    `json:"role" enum:"viewer,analyst,operator,admin"`
	Since    time.Time `json:"since"`
}

// Members is a page of the people in your organisation, by address.
type Members struct {
	Members []Member `json:"members"`
	Next    string   `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

// Invitation offers a role in your organisation to an address.
type Invitation struct {
	ID        string    `json:"id" format:"uuid"`
	Text      string    `json:"invitation" doc:"what the invited registers or accepts with; shown only now"`
	Email     string    `json:"email"`
	Role      string    `json:"role"`
	ExpiresAt time.Time `json:"expires_at"`
}

func organisationOf(o store.Organisation) Organisation {
	return Organisation{ID: o.ID.String(), Name: o.Name, Tier: o.Tier, Role: o.Role, CreatedAt: o.CreatedAt.UTC()}
}

func (s *server) registerMembers(r *routes) {
	register(r, access.Person(access.Viewer), get("organisations", "/v1/organisations", "Organisations that you are a member of; all of them for who administers all"),
		func(ctx context.Context, in *Page) (*struct{ Body Organisations }, error) {
			var after string
			if err := decodeCursor(in.Cursor, &after); err != nil {
				return nil, err
			}
			if err := checkNames(in.Cursor, after); err != nil {
				return nil, err
			}
			rows, err := s.accounts.Organisations(ctx, callerOf(ctx), after, in.Limit+1)
			if err != nil {
				return nil, s.fault(ctx, err, "")
			}
			rows, more := cut(rows, in.Limit)
			out := &struct{ Body Organisations }{Organisations{Organisations: make([]Organisation, len(rows))}}
			for i, o := range rows {
				out.Body.Organisations[i] = organisationOf(o)
			}
			if more {
				out.Body.Next = encodeCursor(rows[len(rows)-1].Name)
			}
			return out, nil
		})

	register(r, access.With(access.Platform, access.WriteAccounts), write("createOrganisation", http.MethodPost, "/v1/organisations", "Make an organisation", http.StatusCreated, http.StatusConflict),
		func(ctx context.Context, in *struct {
			Whence
			Body struct {
				Name string `json:"name" maxLength:"128"`
				Tier string `json:"tier,omitempty" enum:"free,standard,premium" default:"standard"`
			}
		},
		) (*struct{ Body Organisation }, error) {
			o, err := s.accounts.CreateOrganisation(ctx, in.Body.Name, in.Body.Tier, s.from(ctx, in.Whence))
			if errors.Is(err, store.ErrCorrupt) {
				return nil, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "body.name", Message: "is no name", Value: in.Body.Name})
			}
			if err != nil {
				return nil, s.refuseAccount(ctx, err, "")
			}
			return &struct{ Body Organisation }{organisationOf(o)}, nil
		})

	register(r, access.With(access.Admin, access.ReadAccounts), get("members", "/v1/members", "People of your organisation, by address"), func(ctx context.Context, in *Page) (*struct{ Body Members }, error) {
		var after string
		if err := decodeCursor(in.Cursor, &after); err != nil {
			return nil, err
		}
		rows, err := s.accounts.Members(ctx, org(ctx), after, in.Limit+1)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		rows, more := cut(rows, in.Limit)
		out := &struct{ Body Members }{Members{Members: make([]Member, len(rows))}}
		for i, m := range rows {
			out.Body.Members[i] = Member{ID: m.Account.String(), Email: m.Email, FullName: m.FullName, Active: m.Active, Role: m.Role, Since: m.Since.UTC()}
		}
		if more {
			out.Body.Next = encodeCursor(rows[len(rows)-1].Email)
		}
		return out, nil
	})

	change := access.With(access.Admin, access.WriteAccounts)
	set := func(ctx context.Context, w Whence, id string, role access.Role) (*struct{}, error) {
		if err := s.accounts.SetRole(ctx, callerOf(ctx), uuid.MustParse(id), role, s.from(ctx, w)); err != nil {
			return nil, s.refuseAccount(ctx, err, "no such member")
		}
		return nil, nil
	}
	register(r, change, write("changeMember", http.MethodPatch, "/v1/members/{id}", "Change the role of a member", http.StatusNoContent, http.StatusNotFound, http.StatusConflict), func(ctx context.Context, in *struct {
		Whence
		PathID
		Body struct {
			Role string `json:"role" enum:"viewer,analyst,operator,admin"`
		}
	},
	) (*struct{}, error) {
		role, _ := access.ParseRole(in.Body.Role) // one of the enumeration
		return set(ctx, in.Whence, in.ID, role)
	})
	register(r, change, write("removeMember", http.MethodDelete, "/v1/members/{id}", "End a membership. The account stays", http.StatusNoContent, http.StatusNotFound, http.StatusConflict), func(ctx context.Context, in *struct {
		Whence
		PathID
	},
	) (*struct{}, error) {
		return set(ctx, in.Whence, in.ID, access.Nobody)
	})

	register(r, change, write("invite", http.MethodPost, "/v1/invitations", "Invite somebody to your organisation", http.StatusCreated), func(ctx context.Context, in *struct {
		Whence
		Body struct {
			Email string `json:"email" maxLength:"254"`
			Role  string `json:"role" enum:"viewer,analyst,operator,admin"`
			Days  int    `json:"days,omitempty" default:"7" minimum:"1" maximum:"30" doc:"that the invitation is good for"`
		}
	},
	) (*struct{ Body Invitation }, error) {
		role, _ := access.ParseRole(in.Body.Role) // one of the enumeration
		text, v, err := s.accounts.Invite(ctx, callerOf(ctx), in.Body.Email, role, time.Duration(in.Body.Days)*24*time.Hour, s.from(ctx, in.Whence))
		if err != nil {
			return nil, s.refuseAccount(ctx, err, "")
		}
		return &struct{ Body Invitation }{Invitation{ID: v.ID.String(), Text: text, Email: v.Email, Role: v.Role, ExpiresAt: v.ExpiresAt.UTC()}}, nil
	})
}
