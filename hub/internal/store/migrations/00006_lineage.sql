-- +goose Up

-- By which sessions an agent is told from a copy of it: see package guard.
alter table agent
    add column session          bytea,                       -- name of the session begun last; null before the first
    add column session_before   bytea not null default '',   -- of the one that it followed
    add column session_count    bigint not null default 0,
    add column readmit          boolean not null default false, -- the next that would be refused is let in
    add column doubled          bigint not null default 0,   -- how often one was refused since the last readmission
    add column doubled_at       timestamptz,                 -- when last
    add column doubled_from     text not null default '';    -- and its address
