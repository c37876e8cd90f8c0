-- +goose Up

-- How the forecasts of a point did against what then happened, summed over all targets that start on a UTC day, whatever their origin,
-- by the model, or without one the rung, that they stand on. Package score keeps it: every row follows from tables forecast and
-- interval alone. The sums are those of forecast.Score.
create table forecast_error (
    org_id    uuid not null,
    point_id  uuid not null,
    register  text not null,
    day       date not null,
    rung      text not null,
    model_id  uuid not null,                             -- of zeros on rungs without a model
    count     bigint not null,                           -- pairs of a forecast and a target whose energy is known
    actual    double precision not null,                 -- Wh, sums over them
    abs_err   double precision not null,
    squ_err   double precision not null,
    err       double precision not null,                 -- forecast minus actual
    pinball   double precision not null,
    covered   bigint not null,
    breadth   double precision not null,
    primary key (org_id, point_id, register, day, rung, model_id)
);

-- Days whose errors no longer follow from forecasts and intervals. Whoever changes either marks the day in the same transaction.
create table forecast_error_due (
    org_id    uuid not null,
    point_id  uuid not null,
    register  text not null,
    day       date not null,
    marks     bigint not null default 1,                 -- changed by each mark, so that none gets lost while the day is scored
    marked_at timestamptz not null default clock_timestamp(), -- the first mark
    primary key (org_id, point_id, register, day)
) with (fillfactor = 70);
create index forecast_error_due_age on forecast_error_due (marked_at);
insert into forecast_error_due (org_id, point_id, register, day)
select distinct org_id, point_id, register, (origin at time zone 'UTC')::date + n from forecast, generate_series(0, 1) n;
