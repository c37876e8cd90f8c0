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
    number      int not null,                            -- of the registers of the point, from 1: tells meters apart in the fold
    created_at  timestamptz not null default now(),
    primary key (org_id, register_id),
    unique (org_id, meter_id, name, kind, modulus),
    unique (org_id, point_id, number)
);

create table agent (
    org_id      uuid not null,
    agent_id    uuid not null,
    site_id     uuid not null,
    source      text not null default 'uplink' check (source in ('uplink', 'import')), -- an import is a sender of its own
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
create unique index agent_certificate_holder on agent_certificate (agent_id, serial); -- who knocks says no organisation

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
    refused    bigint not null default 0,                -- readings the agent could not read back; part of received
    created_at timestamptz not null default now(),
    primary key (org_id, agent_id, epoch)
) with (fillfactor = 50);

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

-- Raw readings have two levels. Level 0 is what agents sent, a row a batch, in the order of arrival at the site. Level 1 is
-- per register, in time order, in chunks that do not overlap. Deriving folds level 0 into intervals, merging moves it to
-- level 1. Of several values of one register and instant the one that arrived last is the effective one; table
-- correction keeps the others. Bodies are in the format of package fluxora.dev/shared/chunk; fluxora_readings() unpacks
-- them for SQL. docs/adr/0001-raw-readings.md has the reasons and the measurements.

-- Counts what arrived at a site. Its row is locked by a commit, so arrivals of a site are numbered without holes in the order
-- of commit.
create table site_arrival (
    org_id   uuid not null,
    site_id  uuid not null,
    arrived  bigint not null default 0,                  -- batches
    readings bigint not null default 0,
    primary key (org_id, site_id)
) with (fillfactor = 50);

-- Counts what was derived from it. Its row lock is the lease of the one worker that derives the site.
create table site_derived (
    org_id      uuid not null,
    site_id     uuid not null,
    zone        text not null,                           -- that intervals and rollups were made with; when the site's
    resolution_ms bigint not null,                       -- own differ, everything is made anew
    derived     bigint not null default 0,               -- arrivals up to here are in the intervals
    merged      bigint not null default 0,               -- arrivals up to here are in level 1, and gone from level 0
    readings    bigint not null default 0,               -- derived
    duplicates  bigint not null default 0,               -- of them, those that were held already
    corrections bigint not null default 0,               -- of them, those that replaced another value
    unmerged    bigint not null default 0,               -- readings derived and still in level 0
    derived_at  timestamptz not null default '-infinity',
    merged_at   timestamptz not null default clock_timestamp(),
    failures    int not null default 0,                  -- in a row
    failed_at   timestamptz,
    failure     text not null default '',                -- the last one
    primary key (org_id, site_id)
) with (fillfactor = 50);

create table batch (
    org_id      uuid not null,
    agent_id    uuid not null,
    epoch       bigint not null,
    first       bigint not null,                         -- sequence
    count       bigint not null,                         -- sequences; readings and refused ones
    site_id     uuid not null,
    arrival     bigint not null,                         -- number at the site
    received_at timestamptz not null default clock_timestamp(),
    readings    bigint not null,
    t_min       bigint not null,                         -- ms since 1970, of the earliest reading
    t_max       bigint not null,
    registers   uuid[] not null,                         -- of the bodies, in order
    bodies      bytea[] not null,
    primary key (org_id, agent_id, epoch, first)
);
create unique index batch_arrival on batch (org_id, site_id, arrival);
alter table batch alter column bodies set storage external; -- packed already

create table chunk (
    org_id        uuid not null,
    register_id   uuid not null,
    t_min         bigint not null,                       -- ms since 1970, of the first reading
    t_max         bigint not null,                       -- of the last
    n             int not null,                          -- readings
    received_from timestamptz not null,                  -- arrival of the earliest batch in it
    received_to   timestamptz not null,                  -- of the latest
    body          bytea not null,
    primary key (org_id, register_id, t_min)
);
alter table chunk alter column body set storage external;

-- Values that differ from one held for the same register and instant. The later one counts.
create table correction (
    org_id         uuid not null,
    register_id    uuid not null,
    at             timestamptz not null,
    correction_id  uuid not null,
    before_value   bigint not null,
    before_quality smallint not null,
    after_value    bigint not null,
    after_quality  smallint not null,
    recorded_at    timestamptz not null,                 -- arrival of the later value
    primary key (org_id, register_id, at, correction_id)
);

-- Energy of a register of a point, over all its meters.
create table interval (
    org_id    uuid not null,
    point_id  uuid not null,
    register  text not null,
    start     timestamptz not null,
    wh        bigint not null,
    quality   smallint not null,                         -- 0 measured, 1 estimated, 2 edited, 3 suspect, 4 missing
    recovered boolean not null,                          -- energy real, timing guessed
    primary key (org_id, point_id, register, start)
);

-- Sums of intervals by hour, day and month of the site's zone.
create table rollup (
    org_id    uuid not null,
    point_id  uuid not null,
    register  text not null,
    unit      text not null check (unit in ('hour', 'day', 'month')),
    start     timestamptz not null,
    wh        bigint not null,
    intervals int not null,                              -- summed, missing ones included
    missing   int not null,                              -- of them
    recovered int not null,                              -- of them
    quality   smallint not null,                         -- the worst, missing aside
    primary key (org_id, point_id, register, unit, start)
);

-- What happened to the meters of a point: exchange, rollover, reset, gap and so on.
create table event (
    org_id   uuid not null,
    point_id uuid not null,
    register text not null,
    at       timestamptz not null,                       -- of the reading that shows it
    kind     text not null,
    before   timestamptz not null,                       -- of the last believed reading before it
    from_value bigint not null,                          -- thousandths of the base unit
    to_value bigint not null,
    energy   bigint not null,                            -- mWh
    primary key (org_id, point_id, register, at, kind)
);

-- The fold of a register of a point between two readings.
create table fold (
    org_id        uuid not null,
    point_id      uuid not null,
    register      text not null,
    resolution_ms bigint not null,
    zone          text not null,
    first_at      bigint not null,                       -- ms since 1970, of the earliest reading held
    last_at       bigint not null,                       -- of the latest
    state         bytea not null,
    primary key (org_id, point_id, register)
) with (fillfactor = 50);

-- fluxora_chunk unpacks one body. Bad bytes raise an error; commits refuse them.
-- +goose StatementBegin
create function fluxora_chunk(body bytea) returns table (ordinal int, at_ms bigint, value bigint, quality smallint)
language plpgsql immutable strict parallel safe as $$
declare
    pos   int := 0;
    n     int;
    i     int;
    b     int;
    shift int;
    u     bigint;
    run   bigint;
    step  bigint := 0;
    at    bigint[];
    val   bigint[];
    qual  smallint[];
    t     bigint;
    v     bigint;
    scale bigint;
begin
    if get_byte(body, 0) <> 1 then
        raise exception 'chunk of version %: want 1', get_byte(body, 0);
    end if;
    pos := 1;
    -- Every loop below that ends in "exit when b < 128" reads one unsigned varint into u.
    u := 0; shift := 0;
    loop b := get_byte(body, pos); pos := pos + 1; u := u | ((b & 127)::bigint << shift); shift := shift + 7; exit when b < 128; end loop;
    n := u;
    at := array_fill(0::bigint, array[n]);
    val := array_fill(0::bigint, array[n]);
    qual := array_fill(0::smallint, array[n]);

    u := 0; shift := 0;
    loop b := get_byte(body, pos); pos := pos + 1; u := u | ((b & 127)::bigint << shift); shift := shift + 7; exit when b < 128; end loop;
    t := ((u >> 1) & 9223372036854775807) # -(u & 1);
    at[1] := t;
    i := 2;
    while i <= n loop
        u := 0; shift := 0;
        loop b := get_byte(body, pos); pos := pos + 1; u := u | ((b & 127)::bigint << shift); shift := shift + 7; exit when b < 128; end loop;
        step := step + (((u >> 1) & 9223372036854775807) # -(u & 1));
        u := 0; shift := 0;
        loop b := get_byte(body, pos); pos := pos + 1; u := u | ((b & 127)::bigint << shift); shift := shift + 7; exit when b < 128; end loop;
        for run in 1 .. u loop
            t := t + step;
            at[i] := t;
            i := i + 1;
        end loop;
    end loop;

    scale := (10::numeric ^ get_byte(body, pos))::bigint;
    pos := pos + 1;
    v := 0;
    for i in 1 .. n loop
        u := 0; shift := 0;
        loop b := get_byte(body, pos); pos := pos + 1; u := u | ((b & 127)::bigint << shift); shift := shift + 7; exit when b < 128; end loop;
        v := v + (((u >> 1) & 9223372036854775807) # -(u & 1));
        val[i] := v * scale;
    end loop;

    i := 1;
    while i <= n loop
        u := 0; shift := 0;
        loop b := get_byte(body, pos); pos := pos + 1; u := u | ((b & 127)::bigint << shift); shift := shift + 7; exit when b < 128; end loop;
        v := u;
        u := 0; shift := 0;
        loop b := get_byte(body, pos); pos := pos + 1; u := u | ((b & 127)::bigint << shift); shift := shift + 7; exit when b < 128; end loop;
        for run in 1 .. u loop
            qual[i] := v;
            i := i + 1;
        end loop;
    end loop;

    return query select o::int, a, w, q from unnest(at, val, qual) with ordinality as r(a, w, q, o);
end $$;
-- +goose StatementEnd

-- fluxora_readings returns the effective readings of a register within [from_at, to_at), in time order: what arrived is here as
-- soon as it is committed.
-- +goose StatementBegin
create function fluxora_readings(org uuid, register uuid, from_at timestamptz, to_at timestamptz)
returns table (at timestamptz, value bigint, quality smallint)
language sql stable strict parallel safe as $$
    with span as materialized (
        select case when from_at = '-infinity' then -9223372036854775807 else ceil(extract(epoch from from_at) * 1000)::bigint end as lo,
               case when to_at = 'infinity' then 9223372036854775807 else ceil(extract(epoch from to_at) * 1000)::bigint end as hi
    ), held as (
        select 0::bigint as arrival, 0::bigint as block, r.*
        from span, chunk c, fluxora_chunk(c.body) r
        where c.org_id = org and c.register_id = register and c.t_min < span.hi and c.t_max >= span.lo
        union all
        select b.arrival, x.block, r.*
        from span, register g
        join point p on p.org_id = g.org_id and p.point_id = g.point_id
        join batch b on b.org_id = p.org_id and b.site_id = p.site_id,
        unnest(b.registers, b.bodies) with ordinality as x(register_id, body, block), fluxora_chunk(x.body) r
        where g.org_id = org and g.register_id = register and x.register_id = register and b.t_min < span.hi and b.t_max >= span.lo
    )
    select distinct on (at_ms) to_timestamp(0) + at_ms * interval '1 millisecond', value, quality
    from held, span
    where at_ms >= span.lo and at_ms < span.hi
    order by at_ms, arrival desc, block desc, ordinal desc
$$;
-- +goose StatementEnd

-- Every effective reading, for people with psql. Programs name the register and the time: they call fluxora_readings.
create view reading as
select g.org_id, s.name as site, p.name as point, m.serial as meter, g.name as register, g.kind, g.register_id, r.at, r.value, r.quality
from register g
join meter m using (org_id, meter_id)
join point p on p.org_id = g.org_id and p.point_id = g.point_id
join site s on s.org_id = p.org_id and s.site_id = p.site_id
cross join lateral fluxora_readings(g.org_id, g.register_id, '-infinity', 'infinity') r;
