-- +goose Up

-- Where a site is, for its weather.
alter table site
    add column latitude  double precision check (latitude between -90 and 90),
    add column longitude double precision check (longitude between -180 and 180);

-- Weather that was observed, by source and UTC day: 24 means over hours, NaN where it is not known.
create table weather_day (
    org_id      uuid not null,
    site_id     uuid not null,
    source      text not null,                           -- 'station', which goes before others, or the name of a provider
    day         date not null,
    temperature real[] not null check (cardinality(temperature) = 24), -- °C
    radiation   real[] not null check (cardinality(radiation) = 24),   -- W/m²
    primary key (org_id, site_id, source, day)
);

-- Weather as it was forecast, hour by hour.
create table weather_forecast (
    org_id      uuid not null,
    site_id     uuid not null,
    issued_at   timestamptz not null,                    -- when the hub had it
    source      text not null,
    start_at    timestamptz not null,
    temperature real[] not null,
    radiation   real[] not null,
    primary key (org_id, site_id, issued_at)
);

-- What is to be asked of the provider next, for each site with a place.
create table weather_site (
    org_id     uuid not null,
    site_id    uuid not null,
    next_at    timestamptz not null default now(),
    fetched_at timestamptz,
    back_to    date,                                     -- how far back observations were asked for
    failures   int not null default 0,                   -- since it was fetched last
    error      text not null default '',
    primary key (org_id, site_id)
);
create index weather_due on weather_site (next_at);

-- Requests made of a provider in a day, of all hubs on this database together.
create table weather_quota (
    provider text not null,
    day      date not null,
    requests int not null,
    primary key (provider, day)
);
