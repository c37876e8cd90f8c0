-- +goose Up

-- Requests of tenants are served by a role of their own, fluxora_request, which owns nothing and obeys row-level security. It sees the
-- rows of the organisation that the setting fluxora.org of its transaction names, and none without it. The hub makes the role before
-- it migrates, because roles belong to the server and not to the database.

-- isolate_tenants puts every table with an organisation under that rule that is not yet. The hub calls it after migrations, so a new
-- table cannot be forgotten. Tables of schema public are opened to requests, those of other schemas are not.
-- +goose StatementBegin
create function isolate_tenants() returns void language plpgsql as $$
declare
    t record;
begin
    perform pg_advisory_xact_lock(hashtextextended('isolate_tenants', 0));
    for t in
        select n.nspname, c.relname
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped
        where c.relkind in ('r', 'p') and n.nspname !~ '^pg_'
          and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant')
    loop
        execute format('alter table %I.%I enable row level security', t.nspname, t.relname);
        execute format('create policy tenant on %I.%I using (org_id = nullif(current_setting(''fluxora.org'', true), '''')::uuid)', t.nspname, t.relname);
        if t.nspname = 'public' then
            execute format('grant select, insert, update, delete on %I.%I to fluxora_request', t.nspname, t.relname);
        end if;
    end loop;
end $$;
-- +goose StatementEnd
select isolate_tenants();

-- What opens an organisation is not for its requests.
revoke all on api_token from fluxora_request;

-- A view looks with the eyes of its owner unless it is told otherwise.
alter view reading set (security_invoker = on);
grant select on reading to fluxora_request;
