-- +goose Up

-- What examinations of a model and of its points found. The latest ones are kept.
create table watch_report (
    org_id        uuid not null,
    resolution_ms bigint not null,
    at            timestamptz not null default now(),
    model_id      uuid,                                  -- null: there was none
    report        jsonb not null,                        -- live errors and drift, by point
    reason        text not null default '',              -- why a training was asked for; empty when none was
    run_id        uuid,                                  -- that training
    primary key (org_id, resolution_ms, at)
);

-- What was out of the ordinary at a point, with a reason for people.
create table finding (
    org_id   uuid not null,
    point_id uuid not null,
    register text not null,
    kind     text not null,                              -- 'shape' of a day, beside such days; 'forecast', beside what was forecast
    start_at timestamptz not null,
    end_at   timestamptz not null,
    wh       double precision not null,                  -- used
    usual_wh double precision not null,                  -- usual, or forecast
    score    double precision not null,                  -- 0 to 1
    reason   text not null,
    found_at timestamptz not null default now(),
    primary key (org_id, point_id, register, kind, start_at)
);
create index finding_recent on finding (org_id, start_at desc, point_id, register, kind);
