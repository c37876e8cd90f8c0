-- +goose Up

-- How a model did on a point beside the baseline, over the targets of a UTC day and the very same intervals, as the point's agent
-- measured it. Agents tell the days of the last weeks, and again when late readings changed one: a row is what was told last.
-- The sums are those of forecast.Score.
create table live_day (
    org_id       uuid not null,
    model_id     uuid not null,
    point_id     uuid not null,
    register     text not null,
    day          date not null,
    count        bigint not null,                        -- intervals compared
    actual       double precision not null,              -- Wh, sums over them
    abs_err      double precision not null,              -- of the model
    squ_err      double precision not null,
    err          double precision not null,              -- forecast minus actual
    pinball      double precision not null,
    covered      bigint not null,
    breadth      double precision not null,
    base_abs_err double precision not null,              -- of the baseline
    base_squ_err double precision not null,
    base_err     double precision not null,
    base_pinball double precision not null,
    base_covered bigint not null,
    base_breadth double precision not null,
    told_at      timestamptz not null default now(),
    primary key (org_id, model_id, point_id, register, day)
);
create index live_day_age on live_day (org_id, day);
