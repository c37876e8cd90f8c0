-- +goose Up

-- What surrounds the points of a site, for features. country may name a part as well: DE-BY (ISO 3166-2).
alter table site
    add column vacations text[],                         -- '2024-06-22/2024-08-19', half-open, in order; null: not known
    add column facts     jsonb;                          -- {"area_m2": 437}; null: none

-- Specs of features by name. A version is never changed: another text is another version.
create table feature_spec (
    org_id     uuid not null,
    name       text not null,
    version    int not null,
    hash       bytea not null,                           -- SHA-256 of spec
    spec       text not null,
    created_at timestamptz not null default now(),
    primary key (org_id, name, version),
    unique (org_id, name, hash)
);
