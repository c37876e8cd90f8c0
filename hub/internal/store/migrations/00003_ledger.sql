-- +goose Up

-- The account of an agent's readings by register of a point and UTC day of the readings' own instants. The hub's side
-- (received to restored) moves in the transaction of the step that derives the readings; the agent's side (what it claims) is
-- what its last Ledger message said. It balances when claimed_delivered = received + settled + lost.
create table ledger (
    org_id      uuid not null,
    agent_id    uuid not null,
    epoch       bigint not null,
    point       text not null,                           -- '' for quarantined messages that name none
    register    text not null,                           -- '' for quarantined messages
    day         date not null,
    received    bigint not null default 0,               -- readings that came under sequences
    duplicates  bigint not null default 0,               -- of them, those that were held already
    corrections bigint not null default 0,               -- of them, those that replaced another value
    resent      bigint not null default 0,               -- readings that came again because the hub asked
    restored    bigint not null default 0,               -- of them, those that were missing or different here
    settled     bigint not null default 0,               -- of a difference, what a resend proved to be held
    lost        bigint not null default 0,               -- of a difference, what the agent holds no more either
    claimed_at  timestamptz,                             -- null until the agent has sent its account
    claimed_received    bigint not null default 0,
    claimed_delivered   bigint not null default 0,
    claimed_quarantined bigint not null default 0,
    claimed_evicted     bigint not null default 0,
    claimed_thinned     bigint not null default 0,
    claimed_pending     bigint not null default 0,
    unbalanced  bigint not null default 0,               -- claimed_delivered - received - settled - lost, when last compared
    primary key (org_id, agent_id, epoch, point, register, day)
) with (fillfactor = 70);
create index ledger_unbalanced on ledger (org_id, agent_id) where unbalanced <> 0;

-- A stretch of time that an agent is to send again. The agent is asked when it is connected; what came is stored up to next_ms, so
-- a session that breaks costs one part.
create table resend (
    org_id      uuid not null,
    resend_id   uuid not null,
    site_id     uuid not null,
    agent_id    uuid not null,
    point       text not null,
    register    text not null,                           -- '' for every register
    from_ms     bigint not null,
    to_ms       bigint not null,
    cause       text not null check (cause in ('operator', 'ledger')),
    next_ms     bigint not null,                         -- everything before it is stored
    held        bigint not null default 0,               -- readings that the agent says it holds there
    readings    bigint not null default 0,               -- that came
    restored    bigint not null default 0,               -- of them, those that were missing or different here; known once derived
    arrival     bigint not null default 0,               -- number at the site of the last batch that came
    requested_at timestamptz not null default now(),
    started_at  timestamptz,
    finished_at timestamptz,                             -- all of it is stored
    primary key (org_id, resend_id)
);
create index resend_open on resend (org_id, agent_id, requested_at) where finished_at is null;

-- Batches that came again carry no sequences: first is minus their arrival, count 0.
alter table batch add column resend_id uuid;

-- The sequence that the agent's next reading would get, at its last hello: what it gave out and the hub lacks ends there.
alter table agent_epoch add column next bigint not null default 1;

-- What was derived before there were ledgers is in nobody's account: of earlier days no difference is told.
alter table agent_epoch add column books_from date not null default '-infinity';
update agent_epoch set books_from = current_date + 1 where not isempty(received);
