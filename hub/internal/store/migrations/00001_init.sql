-- +goose Up

-- Every row belongs to an organisation, and the organisation comes first in every key, so that the schema can be sharded by
-- it. Ids are UUIDs made by the hub (version 7), never sequences that all shards would share.

create table organisation (
    org_id     uuid primary key,
    name       text not null unique,
    created_at timestamptz not null default now()
);

create table site (
    org_id        uuid not null,
    site_id       uuid not null,
    name          text not null,
    zone          text not null default 'UTC',          -- IANA name
    country       text,                                 -- ISO 3166-1 alpha-2
    resolution_ms bigint not null default 3600000,      -- of intervals and forecasts
    horizon       int not null default 48,              -- intervals
    levels        double precision[] not null default '{0.1,0.5,0.9}',
    revision      bigint not null default 1,            -- grows with each change of what agents are told
    created_at    timestamptz not null default now(),
    primary key (org_id, site_id),
    unique (org_id, name)
);

create table point (
    org_id     uuid not null,
    point_id   uuid not null,
    site_id    uuid not null,
    name       text not null,
    created_at timestamptz not null default now(),
    primary key (org_id, point_id),
    unique (org_id, site_id, name)
);

create table meter (
    org_id     uuid not null,
    meter_id   uuid not null,
    point_id   uuid not null,
    serial     text not null,                            -- '' when the publisher does not tell it
    created_at timestamptz not null default now(),
    primary key (org_id, meter_id),
    unique (org_id, point_id, serial)
);

-- A register of one physical meter: the series that readings belong to.
create table register (
    org_id      uuid not null,
    register_id uuid not null,
    meter_id    uuid not null,
    point_id    uuid not null,
    name        text not null,                           -- 'energy-import'
    kind        text not null check (kind in ('counter', 'energy', 'power')),
    modulus     bigint not null default 0,               -- mWh at which a counter wraps; 0 when unknown
    created_at  timestamptz not null default now(),
    primary key (org_id, register_id),
    unique (org_id, meter_id, name, kind)
);

create table agent (
    org_id      uuid not null,
    agent_id    uuid not null,
    site_id     uuid not null,
    version     text not null default '',
    revoked_at  timestamptz,
    enrolled_at timestamptz not null default now(),
    seen_at     timestamptz,
    pending     bigint not null default 0,               -- readings the agent said it still holds unacked
    clock_ms    bigint,                                  -- agent clock minus hub clock at the last hello
    primary key (org_id, agent_id)
);

create table agent_certificate (
    org_id     uuid not null,
    agent_id   uuid not null,
    serial     text not null,                            -- hex
    not_after  timestamptz not null,
    created_at timestamptz not null default now(),
    primary key (org_id, agent_id, serial)
);

create table enrolment_token (
    org_id     uuid not null,
    token_id   uuid not null,
    site_id    uuid not null,
    expires_at timestamptz not null,
    used_at    timestamptz,
    used_by    uuid,
    created_at timestamptz not null default now(),
    primary key (org_id, token_id)
);

-- What of an agent's epoch is committed. The cursor is the end of the first range when that starts at sequence 1.
create table agent_epoch (
    org_id     uuid not null,
    agent_id   uuid not null,
    epoch      bigint not null,
    received   int8multirange not null default '{}',
    created_at timestamptz not null default now(),
    primary key (org_id, agent_id, epoch)
);

-- Series numbers of an agent's epoch.
create table agent_series (
    org_id      uuid not null,
    agent_id    uuid not null,
    epoch       bigint not null,
    series      bigint not null,
    register_id uuid not null,
    primary key (org_id, agent_id, epoch, series)
);

create table forecast (
    org_id        uuid not null,
    point_id      uuid not null,
    register      text not null,
    origin        timestamptz not null,
    resolution_ms bigint not null,
    levels        double precision[] not null,
    wh            double precision[] not null,           -- steps × levels, row-major
    rung          text not null,
    model_id      uuid,
    completeness  double precision not null,
    issued_at     timestamptz not null,
    received_at   timestamptz not null default now(),
    primary key (org_id, point_id, register, origin)
);

create table quarantine (
    org_id      uuid not null,
    agent_id    uuid not null,
    epoch       bigint not null,
    id          bigint not null,
    reason      text not null,
    detail      text not null,
    topic       text not null,
    payload     bytea not null,
    point       text not null default '',
    received_at timestamptz not null,                    -- arrival at the agent, on its clock
    stored_at   timestamptz not null default now(),
    primary key (org_id, agent_id, epoch, id)
);

create table model (
    org_id      uuid not null,
    model_id    uuid not null,
    family      text not null,
    state       text not null check (state in ('candidate', 'active', 'previous', 'retired', 'rejected')),
    spec        text not null,                           -- hash of the feature spec, hex
    resolution_ms bigint not null,
    trained_from timestamptz not null,
    trained_to   timestamptz not null,
    points      int not null,
    rows        bigint not null,
    scores      jsonb not null,                          -- of the backtest: candidate, active and baseline
    sha256      bytea not null,
    signature   bytea not null,
    artifact    bytea not null,
    reason      text not null default '',                -- why it was promoted or rejected
    created_at  timestamptz not null default now(),
    promoted_at timestamptz,
    retired_at  timestamptz,
    primary key (org_id, model_id)
);
create unique index model_one_active on model (org_id, resolution_ms) where state = 'active';

-- What agents said became of models.
create table agent_model (
    org_id     uuid not null,
    agent_id   uuid not null,
    model_id   uuid not null,
    state      text not null,
    detail     text not null default '',
    changed_at timestamptz not null default now(),
    primary key (org_id, agent_id, model_id)
);

-- Secrets of the hub itself: CA key, artifact key, hash of the API token. One row a name.
create table hub_secret (
    name       text primary key,
    value      bytea not null,
    created_at timestamptz not null default now()
);
