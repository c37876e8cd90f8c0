-- +goose Up

-- The most that a point's connection can carry, W, by the settings of its agent; 0 when unknown. Agent and hub fold by the same.
alter table point add column max_watts double precision not null default 0;

-- What people decided about quarantined messages, at the hub. The message stays, as the record.
create table quarantine_decision (
    org_id     uuid not null,
    agent_id   uuid not null,
    epoch      bigint not null,
    id         bigint not null,
    decided_at timestamptz not null default now(),
    how        text not null check (how in ('released', 'dropped')),
    decided_by text not null,
    why        text not null,
    point      text not null default '',                 -- that it was released as
    register   text not null default '',
    readings   int not null default 0,                   -- in it
    primary key (org_id, agent_id, epoch, id)
);
