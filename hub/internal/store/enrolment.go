package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Agent is an agent as its certificate shows it.
type Agent struct {
	Org      uuid.UUID
	ID       uuid.UUID
	Site     uuid.UUID
	SiteName string
	Version  string
	Revoked  bool
	NotAfter time.Time // of the certificate it was found by
}

// PutEnrolmentToken keeps the right to enrol one agent at a site until expires. Only the id is kept: the secret part of a
// token is authenticated by whoever makes it.
func (s *Store) PutEnrolmentToken(ctx context.Context, org, token, site uuid.UUID, expires time.Time) error {
	_, err := s.db.Exec(ctx, `insert into enrolment_token (org_id, token_id, site_id, expires_at) values ($1, $2, $3, $4)`,
		org, token, site, expires)
	if err != nil {
		return fmt.Errorf("put enrolment token: %w", err)
	}
	return nil
}

// Admission is an agent to be let in.
type Admission struct {
	Org, Site   uuid.UUID
	Token       uuid.UUID
	Agent       uuid.UUID
	Version     string
	Certificate string // serial number, hex
	NotAfter    time.Time
}

// Admit uses up the token at the instant now, enrols the agent and notes its certificate, in one transaction. A token serves one
// agent, which may use it again until it expires, because the answer to the first use may have been lost. One that another
// agent used gives ErrTokenUsed; one that is unknown, expired or of another site, and an agent that was revoked, give
// ErrNotFound.
func (s *Store) Admit(ctx context.Context, a Admission, now time.Time) (Site, error) {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var usedBy *uuid.UUID
		err := tx.QueryRow(ctx, `
			select used_by from enrolment_token
			where org_id = $1 and token_id = $2 and site_id = $3 and expires_at > $4 for update`, a.Org, a.Token, a.Site, now).Scan(&usedBy)
		if err != nil {
			return notFound(err, "enrolment token")
		}
		if usedBy != nil && *usedBy != a.Agent {
			return ErrTokenUsed
		}
		if _, err := tx.Exec(ctx, `
			update enrolment_token set used_at = coalesce(used_at, $3), used_by = $4 where org_id = $1 and token_id = $2`,
			a.Org, a.Token, now, a.Agent); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			insert into agent (org_id, agent_id, site_id, version) values ($1, $2, $3, $4)
			on conflict (org_id, agent_id) do update set version = excluded.version
			where agent.site_id = excluded.site_id and agent.revoked_at is null`, a.Org, a.Agent, a.Site, a.Version)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("agent is revoked or of another site: %w", ErrNotFound)
		}
		_, err = tx.Exec(ctx, `
			insert into agent_certificate (org_id, agent_id, serial, not_after) values ($1, $2, $3, $4) on conflict do nothing`,
			a.Org, a.Agent, a.Certificate, a.NotAfter)
		return err
	})
	if err != nil {
		return Site{}, fmt.Errorf("admit agent %s: %w", a.Agent, err)
	}
	return s.Site(ctx, a.Org, a.Site)
}

// PutAgent enrols an agent at a site.
func (s *Store) PutAgent(ctx context.Context, org, agent, site uuid.UUID, version string) error {
	_, err := s.db.Exec(ctx, `
		insert into agent (org_id, agent_id, site_id, version) values ($1, $2, $3, $4)
		on conflict (org_id, agent_id) do update set version = excluded.version`, org, agent, site, version)
	if err != nil {
		return fmt.Errorf("put agent: %w", err)
	}
	return nil
}

// PutImporter returns the id under which imports send readings to a site. It holds no certificate, so nobody can come in
// as it.
func (s *Store) PutImporter(ctx context.Context, org, site uuid.UUID) (uuid.UUID, error) {
	id := uuid.NewSHA1(site, []byte("import"))
	_, err := s.db.Exec(ctx, `
		insert into agent (org_id, agent_id, site_id, source) values ($1, $2, $3, 'import') on conflict do nothing`, org, id, site)
	if err != nil {
		return uuid.Nil, fmt.Errorf("put importer: %w", err)
	}
	return id, nil
}

// PutCertificate keeps that the certificate with the given serial number (hex) was issued to the agent.
func (s *Store) PutCertificate(ctx context.Context, org, agent uuid.UUID, serial string, notAfter time.Time) error {
	_, err := s.db.Exec(ctx, `
		insert into agent_certificate (org_id, agent_id, serial, not_after) values ($1, $2, $3, $4) on conflict do nothing`,
		org, agent, serial, notAfter)
	if err != nil {
		return fmt.Errorf("put certificate: %w", err)
	}
	return nil
}

// AgentByCertificate returns the agent that the certificate with the given serial number (hex) was issued to.
func (s *Store) AgentByCertificate(ctx context.Context, agent uuid.UUID, serial string) (Agent, error) {
	// The organisation is what is looked for here: an agent knows its own id only, which is unique by construction.
	a := Agent{ID: agent}
	err := s.db.QueryRow(ctx, `
		select a.org_id, a.site_id, s.name, a.version, a.revoked_at is not null, c.not_after
		from agent_certificate c
		join agent a on a.org_id = c.org_id and a.agent_id = c.agent_id
		join site s on s.org_id = a.org_id and s.site_id = a.site_id
		where c.agent_id = $1 and c.serial = $2`, agent, serial).
		Scan(&a.Org, &a.Site, &a.SiteName, &a.Version, &a.Revoked, &a.NotAfter)
	return a, notFound(err, "agent certificate")
}

// Fallen returns those agents that were revoked, or whose certificate with the serial number at the same place is not known.
func (s *Store) Fallen(ctx context.Context, agents []uuid.UUID, serials []string) ([]uuid.UUID, error) {
	rows, err := s.db.Query(ctx, `
		select h.agent_id from unnest($1::uuid[], $2::text[]) as h(agent_id, serial)
		where not exists (
			select from agent_certificate c join agent a on a.org_id = c.org_id and a.agent_id = c.agent_id
			where c.agent_id = h.agent_id and c.serial = h.serial and a.revoked_at is null)`, agents, serials)
	if err != nil {
		return nil, fmt.Errorf("look for revoked agents: %w", err)
	}
	fallen, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look for revoked agents: %w", err)
	}
	return fallen, nil
}

// RevokeAgent shuts the agent out from now on.
func (s *Store) RevokeAgent(ctx context.Context, org, agent uuid.UUID) error {
	tag, err := s.db.Exec(ctx, `update agent set revoked_at = coalesce(revoked_at, now()) where org_id = $1 and agent_id = $2`, org, agent)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("revoke agent: %w", err)
	}
	return nil
}

// Secret returns a secret of the hub, or ErrNotFound.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	var v []byte
	err := s.db.QueryRow(ctx, `select value from hub_secret where name = $1`, name).Scan(&v)
	return v, notFound(err, "secret "+name)
}

// PutSecretIfAbsent keeps value under name unless there is one, and returns the one that is kept: hubs that start
// together agree.
func (s *Store) PutSecretIfAbsent(ctx context.Context, name string, value []byte) ([]byte, error) {
	if _, err := s.db.Exec(ctx, `insert into hub_secret (name, value) values ($1, $2) on conflict do nothing`, name, value); err != nil {
		return nil, fmt.Errorf("put secret %s: %w", name, err)
	}
	return s.Secret(ctx, name)
}
