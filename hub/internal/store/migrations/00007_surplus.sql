-- +goose Up

-- An account balances when claimed_delivered + surplus = received + settled + lost. The surplus is what is held here though the agent
-- does not call it delivered: it wrote it off as lost while it was on its way, or does not know of it since its books were lost.
alter table ledger add column surplus bigint not null default 0;
create index ledger_surplus on ledger (org_id, agent_id) where surplus <> 0;
