-- +goose Up

-- Who may call the REST interface. An account belongs to no organisation: memberships tie it to some, each with a role. None of these
-- tables is open to requests of tenants (schema people has no usage for them), because they are read before it is known whose request it is.
create schema people;

create table people.account (
    account_id uuid primary key,
    number     bigint generated always as identity unique, -- its id for clients of the first interface
    email      text not null unique,                     -- folded to lower case
    full_name  text not null default '',
    password   text not null default '',                 -- argon2id in PHC form; '' when it has none and logs in elsewhere
    active     boolean not null default true,
    platform   boolean not null default false,           -- administers all organisations
    vouched    boolean not null default false,           -- an administrator or an identity provider says that the address is its own
    created_at timestamptz not null default now()
);

create table people.membership (
    org_id     uuid not null,
    account_id uuid not null,
    role       text not null check (role in ('viewer', 'analyst', 'operator', 'admin')),
    created_at timestamptz not null default now(),
    primary key (org_id, account_id)
);
create index membership_account on people.membership (account_id);

-- Who an account is for an identity provider.
create table people.identity (
    issuer     text not null,
    subject    text not null,
    account_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (issuer, subject)
);

-- A login. Access tokens name it, so that its end is theirs.
create table people.session (
    session_id uuid primary key,
    account_id uuid not null,
    in_org     uuid,                                     -- whose rows it works on; null when the account has no membership
    client     text not null,                            -- User-Agent
    address    text not null,
    created_at timestamptz not null,
    seen_at    timestamptz not null,
    expires_at timestamptz not null,
    ended_at   timestamptz,
    ended_why  text not null default ''
);
create index session_account on people.session (account_id);

-- Each is good once. One that comes a second time was stolen, or its answer was: the session ends.
create table people.refresh (
    sha256     bytea primary key,
    session_id uuid not null,
    issued_at  timestamptz not null,
    used_at    timestamptz
);
create index refresh_session on people.refresh (session_id);

create table people.api_key (
    org_id     uuid not null,
    key_id     uuid not null,
    name       text not null,
    sha256     bytea not null unique,
    role       text not null check (role in ('viewer', 'analyst', 'operator', 'admin')),
    scopes     text[] not null,
    created_by text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    used_at    timestamptz,                              -- to the minute
    primary key (org_id, key_id)
);

create table people.invitation (
    org_id        uuid not null,
    invitation_id uuid not null,
    email         text not null,
    role          text not null check (role in ('viewer', 'analyst', 'operator', 'admin')),
    sha256        bytea not null unique,
    created_at    timestamptz not null,
    expires_at    timestamptz not null,
    used_at       timestamptz,
    primary key (org_id, invitation_id)
);

-- Public halves of the keys that access tokens are signed with. The private half never leaves the memory of the process that made it.
create table people.signing_key (
    kid        text primary key,
    public     bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null                      -- no token of it is good after this
);

-- Failed logins, by account, by address and by both.
create table people.attempt (
    key      bytea primary key,                          -- hash of what is counted
    failures int not null,
    last_at  timestamptz not null,
    free_at  timestamptz not null                        -- no attempt before this
);

-- Logins under way at an identity provider.
create table people.oidc_login (
    sha256     bytea primary key,                        -- of the state
    nonce      text not null,
    verifier   text not null,
    expires_at timestamptz not null
);

alter table organisation add column tier text not null default 'standard' check (tier in ('free', 'standard', 'premium'));

-- Every change of accounts, keys and organisations. Rows are never changed. What is of no organisation has the nil one.
create table audit (
    org_id   uuid not null,
    audit_id uuid not null,                              -- version 7: grows with time
    at       timestamptz not null default clock_timestamp(),
    actor    text not null,                              -- kind and id, as 'user 0190…', 'command root', 'system'
    action   text not null,                              -- 'account.create'
    subject  text not null,                              -- id of what was changed
    detail   jsonb not null default '{}',
    address  text not null default '',
    primary key (org_id, audit_id)
);
-- +goose StatementBegin
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'table % is only added to', tg_table_name using errcode = '42501';
end $$;
-- +goose StatementEnd
create trigger audit_append_only before update or delete or truncate on audit for each statement execute function refuse_change();

select isolate_tenants();
revoke update, delete on audit from fluxora_request;
