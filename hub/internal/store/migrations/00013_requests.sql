-- +goose Up

-- An idempotency key of a caller: the answer to the first request with it, so that the same request again gets it again and has no
-- second effect. status is null while the first is under way.
create table idempotency (
    org_id     uuid not null,
    caller     text not null, -- kind and id
    route      text not null, -- method and path
    key        text not null,
    sha256     bytea not null, -- of the query and the body
    claimed_at timestamptz not null,
    expires_at timestamptz not null,
    status     int,
    header     jsonb,
    body       bytea,
    primary key (org_id, caller, route, key)
);
create index on idempotency (org_id, expires_at);

-- What happened, for who follows it live and who was away for a while. Each organisation counts by itself, without gaps, in the order
-- of commits: whoever has seen seq n has seen all before it.
create table live_event (
    org_id uuid not null,
    seq    bigint not null,
    at     timestamptz not null default now(),
    kind   text not null, -- reading, forecast, alert or job
    site   text not null default '',
    data   jsonb not null,
    primary key (org_id, seq)
);
create index on live_event (org_id, at);

-- The newest seq of an organisation, also after its events were forgotten. Taking the next one locks the row until the transaction ends.
create table live_event_counter (
    org_id uuid primary key,
    seq    bigint not null
);
