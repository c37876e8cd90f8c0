-- +goose Up

-- What a training was made of and all that it found out, so that it can be compared and repeated.
alter table training_run
    add column code         text not null default '',     -- version of the program that trained
    add column spec         text not null default '',     -- hash of the feature spec, hex
    add column trained_from timestamptz,                  -- range of the history that was there
    add column trained_to   timestamptz,
    add column params       jsonb not null default '{}',  -- settings and seed
    add column report       jsonb not null default '{}',  -- of the fit and of the backtest, fold by fold
    add column left_ms      bigint,                       -- estimate of the time left, while it works
    drop constraint training_run_state_check,
    add constraint training_run_state_check check (state in ('queued', 'running', 'done', 'failed', 'cancelled'));

-- What an unfinished training has come to, so that the next attempt goes on from there. Gone with the end of the run.
create table training_checkpoint (
    org_id   uuid not null,
    run_id   uuid not null,
    key      text not null,
    body     bytea not null,
    saved_at timestamptz not null default now(),
    primary key (org_id, run_id, key)
);
alter table training_checkpoint alter column body set storage external;

-- Where a model version came from.
alter table model
    add column run_id    uuid,                            -- training that made it
    add column parent_id uuid;                            -- model that was active then, and that it was measured against

-- Names that people give to model versions.
create table model_alias (
    org_id   uuid not null,
    alias    text not null,
    model_id uuid not null,
    set_at   timestamptz not null default now(),
    primary key (org_id, alias)
);

-- The life of every model version, written by the table itself so that no path can forget it.
create table model_change (
    org_id   uuid not null,
    model_id uuid not null,
    number   bigint generated always as identity,
    at       timestamptz not null default now(),
    state    text not null,
    reason   text not null,
    primary key (org_id, model_id, number)
);
insert into model_change (org_id, model_id, at, state, reason)
    select org_id, model_id, coalesce(retired_at, promoted_at, created_at), state, reason from model;
-- +goose StatementBegin
create function note_model_change() returns trigger language plpgsql as $$
begin
    insert into model_change (org_id, model_id, state, reason) values (new.org_id, new.model_id, new.state, new.reason);
    return null;
end $$;
-- +goose StatementEnd
create trigger model_made after insert on model for each row execute function note_model_change();
create trigger model_changed after update of state on model for each row when (old.state <> new.state) execute function note_model_change();

-- Which agent held which model version when: from one row of a state to the next of the same agent and model. State '' means that it
-- holds it no more.
create table agent_model_change (
    org_id   uuid not null,
    agent_id uuid not null,
    number   bigint generated always as identity,
    model_id uuid not null,
    at       timestamptz not null default now(),
    state    text not null,
    detail   text not null default '',
    primary key (org_id, agent_id, number)
);
create index agent_model_change_model on agent_model_change (org_id, model_id);
insert into agent_model_change (org_id, agent_id, model_id, at, state, detail)
    select org_id, agent_id, model_id, changed_at, state, detail from agent_model;
-- +goose StatementBegin
create function note_agent_model() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into agent_model_change (org_id, agent_id, model_id, state) values (old.org_id, old.agent_id, old.model_id, '');
    else
        insert into agent_model_change (org_id, agent_id, model_id, state, detail) values (new.org_id, new.agent_id, new.model_id, new.state, new.detail);
    end if;
    return null;
end $$;
-- +goose StatementEnd
create trigger agent_model_put after insert or delete on agent_model for each row execute function note_agent_model();
create trigger agent_model_changed after update of state on agent_model for each row when (old.state <> new.state) execute function note_agent_model();

-- A search for settings of a model family, and its trials.
create table study (
    org_id        uuid not null,
    study_id      uuid not null,
    resolution_ms bigint not null,
    family        text not null,
    seed          bigint not null,
    space         jsonb not null,
    trials        int not null,                           -- wanted
    folds         int not null,
    trained_to    timestamptz not null,                   -- no history after it is looked at, so that trials stay comparable
    best          jsonb,                                  -- values of the best trial, once the study is done
    started_at    timestamptz not null default now(),
    finished_at   timestamptz,
    primary key (org_id, study_id)
);
create index study_recent on study (org_id, resolution_ms, family, started_at desc);
create table trial (
    org_id     uuid not null,
    study_id   uuid not null,
    number     int not null,
    state      text not null check (state in ('running', 'done', 'pruned', 'failed')),
    assigned   jsonb not null,                            -- value by setting
    folds      double precision[] not null default '{}',
    score      double precision,
    reason     text not null default '',
    started_at timestamptz not null default now(),
    beat_at    timestamptz not null default now(),
    ended_at   timestamptz,
    primary key (org_id, study_id, number)
);
