-- +goose Up

-- Who may read the REST interface. The token itself is shown once and never stored.
create table api_token (
    org_id     uuid not null,
    token_id   uuid not null,
    sha256     bytea not null,
    created_at timestamptz not null default now(),
    primary key (org_id, token_id)
);

-- One row for each training that was asked for; the trainer keeps stage, percent and beat_at current while it works, so a
-- person can watch it from another process and a trainer that died is noticed.
create table training_run (
    org_id        uuid not null,
    run_id        uuid not null,
    resolution_ms bigint not null,
    cause         text not null,                         -- 'first', 'schedule', 'demand'
    state         text not null check (state in ('queued', 'running', 'done', 'failed')),
    stage         text not null default '',
    percent       double precision not null default 0,
    attempt       int not null default 0,
    outcome       text not null default '',              -- 'promoted', 'rejected', 'skipped'
    reason        text not null default '',
    intervals     bigint not null default 0,             -- of history there were when it began
    model_id      uuid,
    scores        jsonb not null default '[]',
    requested_at  timestamptz not null default now(),
    started_at    timestamptz,
    beat_at       timestamptz,
    finished_at   timestamptz,
    primary key (org_id, run_id)
);
create index training_run_recent on training_run (org_id, resolution_ms, requested_at desc);

-- Tables of the job queue, made by its own migrations.
create schema if not exists queue;
