package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/meter"
)

// Organisation is a tenant.
type Organisation struct {
	ID        uuid.UUID
	Name      string
	Tier      string
	CreatedAt time.Time
	Role      string // of the account that asked; empty when it is no member
}

// Organisations returns those that an account is a member of, or all when it is to see all, by name.
func (s *Store) Organisations(ctx context.Context, account uuid.UUID, all bool, after string, limit int) ([]Organisation, error) {
	rows, err := s.db.Query(ctx, `select o.org_id, o.name, o.tier, o.created_at, coalesce(m.role, '') from organisation o
		left join people.membership m on m.org_id = o.org_id and m.account_id = $1
		where ($2 or m.role is not null) and o.name > $3 order by o.name limit $4`, account, all, after, limit)
	if err == nil {
		var out []Organisation
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Organisation]); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("list organisations: %w", err)
}

// PutOrganisation makes an organisation, or returns ErrConflict when there is one of that name.
func (s *Store) PutOrganisation(ctx context.Context, name, tier string, by Audit) (Organisation, error) {
	o := Organisation{ID: newID(), Name: name, Tier: tier}
	if err := meter.CheckName("organisation", name); err != nil {
		return o, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `insert into organisation (org_id, name, tier) values ($1, $2, $3) returning created_at`, o.ID, name, tier).Scan(&o.CreatedAt); err != nil {
			return conflict(err)
		}
		by.Org, by.Action, by.Subject, by.Detail = o.ID, "organisation.create", o.ID.String(), map[string]any{"name": name, "tier": tier}
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return Organisation{}, fmt.Errorf("make organisation: %w", err)
	}
	return o, nil
}

// Member is an account in an organisation.
type Member struct {
	Account  uuid.UUID
	Number   int64
	Email    string
	FullName string
	Active   bool
	Role     string
	Since    time.Time
}

// Members returns at most limit members of an organisation whose addresses come after the given one, by address.
func (s *Store) Members(ctx context.Context, org uuid.UUID, after string, limit int) ([]Member, error) {
	rows, err := s.db.Query(ctx, `select a.account_id, a.number, a.email, a.full_name, a.active, m.role, m.created_at
		from people.membership m join people.account a on a.account_id = m.account_id
		where m.org_id = $1 and a.email > $2 order by a.email limit $3`, org, after, limit)
	if err == nil {
		var out []Member
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Member]); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("list members: %w", err)
}

// SetMember changes the role of a member, or ends its membership when role is empty. With add, an account that is none becomes one. It is
// ErrNotFound when there is no such member (or account), and ErrLast when the organisation would be without an administrator.
func (s *Store) SetMember(ctx context.Context, org, account uuid.UUID, role string, add bool, by Audit) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		// Whoever changes the administrators of an organisation waits for the one who does it now.
		if _, err := tx.Exec(ctx, `select from organisation where org_id = $1 for update`, org); err != nil {
			return err
		}
		var before string
		err := tx.QueryRow(ctx, `select role from people.membership where org_id = $1 and account_id = $2`, org, account).Scan(&before)
		if err != nil && (!add || !errors.Is(err, pgx.ErrNoRows)) {
			return notFound(err, "member")
		}
		if before == "admin" && role != "admin" {
			var others int
			if err := tx.QueryRow(ctx, `select count(*) from people.membership m join people.account a on a.account_id = m.account_id
				where m.org_id = $1 and m.role = 'admin' and a.active and m.account_id <> $2`, org, account).Scan(&others); err != nil {
				return err
			}
			if others == 0 {
				return ErrLast
			}
		}
		if role == "" {
			_, err = tx.Exec(ctx, `delete from people.membership where org_id = $1 and account_id = $2`, org, account)
		} else {
			_, err = tx.Exec(ctx, `insert into people.membership (org_id, account_id, role) select $1, account_id, $3 from people.account where account_id = $2
				on conflict (org_id, account_id) do update set role = excluded.role`, org, account, role)
		}
		if err != nil {
			return err
		}
		by.Org, by.Action, by.Subject, by.Detail = org, "member.change", account.String(), map[string]any{"before": before, "after": role}
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return fmt.Errorf("change member: %w", err)
	}
	return nil
}

// Invitation offers a role in an organisation to an address.
type Invitation struct {
	ID        uuid.UUID
	Email     string
	Role      string
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    *time.Time
}

// PutInvitation keeps an invitation by the SHA-256 of its text.
func (s *Store) PutInvitation(ctx context.Context, org uuid.UUID, v Invitation, sha256 []byte, by Audit) (Invitation, error) {
	v.ID = newID()
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into people.invitation (org_id, invitation_id, email, role, sha256, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)`,
			org, v.ID, v.Email, v.Role, sha256, v.CreatedAt, v.ExpiresAt)
		if err != nil {
			return err
		}
		by.Org, by.Action, by.Subject, by.Detail = org, "invitation.create", v.ID.String(), map[string]any{"email": v.Email, "role": v.Role}
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return Invitation{}, fmt.Errorf("keep invitation: %w", err)
	}
	return v, nil
}

// AcceptInvitation makes an account a member with the role that it was invited to, or returns ErrNotFound when the invitation is not good for its address.
func (s *Store) AcceptInvitation(ctx context.Context, account Person, sha256 []byte, by Audit) (org uuid.UUID, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		var role string
		if org, role, err = useInvitation(ctx, tx, sha256, account.Email); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `insert into people.membership (org_id, account_id, role) values ($1, $2, $3) on conflict (org_id, account_id) do update set role = excluded.role`,
			org, account.ID, role)
		if err != nil {
			return err
		}
		by.Org, by.Action, by.Subject, by.Detail = org, "invitation.accept", account.ID.String(), map[string]any{"role": role}
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("accept invitation: %w", err)
	}
	return org, nil
}

func useInvitation(ctx context.Context, tx pgx.Tx, sha256 []byte, email string) (org uuid.UUID, role string, err error) {
	err = tx.QueryRow(ctx, `update people.invitation set used_at = clock_timestamp() where sha256 = $1 and email = $2 and used_at is null and expires_at > clock_timestamp()
		returning org_id, role`, sha256, email).Scan(&org, &role)
	return org, role, notFound(err, "invitation")
}
