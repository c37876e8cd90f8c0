-- +goose Up

-- live_append adds one event to an organisation's. The counter's row stays locked until the transaction ends, which is what makes the
-- order of seq that of commits: call it last.
-- +goose StatementBegin
create function live_append(org uuid, what text, at_site text, about jsonb) returns void language plpgsql as $$
declare
    n bigint;
begin
    insert into live_event_counter as c (org_id, seq) values (org, 1) on conflict (org_id) do update set seq = c.seq + 1 returning seq into n;
    insert into live_event (org_id, seq, kind, site, data) values (org, n, what, at_site, about);
end $$;
-- +goose StatementEnd

-- Trainings tell how far they are by themselves, whichever process works them; progress in steps of 5 %.
-- +goose StatementBegin
create function training_run_tell() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' or (new.state, new.stage, floor(new.percent / 5), new.outcome) is distinct from (old.state, old.stage, floor(old.percent / 5), old.outcome) then
        perform live_append(new.org_id, 'job', '', jsonb_build_object(
            'run', new.run_id, 'state', new.state, 'stage', new.stage, 'percent', new.percent, 'outcome', new.outcome, 'reason', new.reason));
    end if;
    return null;
end $$;
-- +goose StatementEnd
create trigger training_run_tell after insert or update on training_run for each row execute function training_run_tell();
