package ingest

import (
	"context"
	"time"

	"fluxora.dev/hub/internal/guard"
	"fluxora.dev/proto/wire"
)

// What an agent is told that is refused as a copy. It stays in the agent's log and status, so it says what to do.
const (
	doubledReason = "another agent with this identity has come since: this is a copy of it (a cloned card, an old backup). If this one is to go on, " +
		"run `fluxora-hub agent readmit`; if both are, enrol this one anew with an empty data directory"
	newEpochReason = "readmitted: begin a new epoch and come back"
)

const doubledAfter = time.Minute // how soon one that was refused asks again: an operator may have let it in

// knock has the store decide whether the agent is a copy. It returns what the agent is sent away with, or nil when it is let in. That
// comes before it may take the place of a live session.
func (l *session) knock(ctx context.Context, h wire.Hello) (*wire.ComeBack, error) {
	s := l.server
	var count uint64
	if h.Lineage != nil {
		count = s.o.Authority.SessionCount(l.agent.ID, h.Lineage.Last, h.Lineage.Receipt)
	}
	lineage, verdict, err := s.o.Store.Knock(ctx, l.agent, h, count, l.caller.remote)
	if err != nil {
		return nil, s.storeFailed(ctx, "look whether an agent is a copy", l.agent.ID, err)
	}
	log := s.o.Log.With("agent", l.agent.ID, "site", l.agent.SiteName, "from", l.caller.remote, "epoch", h.Epoch, "next", h.Next, "pending", h.Pending)
	switch verdict {
	case guard.Doubled:
		s.count.clones.Add(1)
		log.Error("two agents have one identity: this one is refused, since another came after the session that it knows; " +
			"`fluxora-hub agent readmit` lets it in instead of the other")
		return &wire.ComeBack{After: doubledAfter, Reason: doubledReason, Doubled: true}, nil
	case guard.NewEpoch:
		log.Warn("a readmitted agent is told to begin a new epoch")
		return &wire.ComeBack{After: time.Second, Reason: newEpochReason, NewEpoch: true}, nil
	case guard.Readmitted:
		s.count.readmitted.Add(1)
		log.Warn("an agent that was refused is readmitted")
	case guard.Unguarded:
		s.count.unguarded.Add(1)
		log.Warn("an agent was downgraded to a version that cannot be told from a copy of it", "version", h.Version)
	case guard.Forgotten:
		s.count.forgotten.Add(1)
		log.Error("an agent knows a newer session than this hub: the database was set back")
	}
	if h.Lineage != nil && len(h.Lineage.Next) > 0 {
		l.receipt = s.o.Authority.Receipt(l.agent.ID, lineage.Current, lineage.Count)
	}
	return nil, nil
}
