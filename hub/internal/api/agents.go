package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// Agent is one agent as the hub last heard of it.
type Agent struct {
	ID           string     `json:"id" format:"uuid"`
	Site         string     `json:"site" doc:"name of its site"`
	Version      string     `json:"version" doc:"of its software"`
	Enrolled     time.Time  `json:"enrolled"`
	Seen         *time.Time `json:"seen,omitempty" doc:"when the hub last heard of it"`
	Revoked      *time.Time `json:"revoked,omitempty"`
	Received     int64      `json:"received" doc:"readings of it that the hub has committed"`
	Backlog      int64      `json:"backlog" doc:"readings it said it still holds unacked"`
	LagSeconds   *float64   `json:"lag_seconds,omitempty" doc:"from the newest reading of its site to now"`
	ClockSeconds *float64   `json:"clock_seconds,omitempty" doc:"its clock minus the hub's, at the last hello"`
	Model        string     `json:"model,omitempty" doc:"id of the model version it said it uses"`
	ModelState   string     `json:"model_state,omitempty" doc:"what became of that model: active, previous or refused"`
	Doubled      *Doubled   `json:"doubled,omitempty" doc:"another with its identity that was refused: a copied card or an old backup"`
	Readmit      bool       `json:"readmit,omitempty" doc:"the next that would be refused as a copy is let in"`
}

// Doubled says how often another agent showed the identity of one.
type Doubled struct {
	Refused int64     `json:"refused" doc:"how often, since one was readmitted last"`
	Last    time.Time `json:"last"`
	From    string    `json:"from" doc:"its address"`
}

// Agents is a page of agents, by id.
type Agents struct {
	Agents []Agent `json:"agents"`
	Next   string  `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

type agentsAnswer struct{ Body Agents }

func (s *server) registerAgents(r *routes) {
	register(r, access.With(access.Viewer, access.ReadFleet), get("agents", "/v1/agents", "Agents with lag, backlog and the model in use"), func(ctx context.Context, in *Page) (*agentsAnswer, error) {
		var after uuid.UUID
		if err := decodeCursor(in.Cursor, &after); err != nil {
			return nil, err
		}
		rows, err := s.store.AgentRows(ctx, org(ctx), after, in.Limit+1)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		rows, more := cut(rows, in.Limit)
		out := &agentsAnswer{Agents{Agents: AgentsOf(rows, s.now())}}
		if more {
			out.Body.Next = encodeCursor(rows[len(rows)-1].ID)
		}
		return out, nil
	})
}

// AgentsOf returns what rows say, as it is now.
func AgentsOf(rows []store.AgentRow, now time.Time) []Agent {
	out := make([]Agent, len(rows))
	for i, r := range rows {
		a := Agent{
			ID: r.ID.String(), Site: r.Site, Version: r.Version, Enrolled: r.EnrolledAt.UTC(), Seen: utc(r.SeenAt), Revoked: utc(r.RevokedAt),
			Received: r.Received, Backlog: r.Pending, ModelState: r.ModelState, Readmit: r.Readmit,
		}
		if r.Model != nil {
			a.Model = r.Model.String()
		}
		if r.DoubledAt != nil {
			a.Doubled = &Doubled{r.Doubled, r.DoubledAt.UTC(), r.DoubledFrom}
		}
		if r.LastMs != nil {
			lag := max(0, now.Sub(time.UnixMilli(*r.LastMs)).Seconds())
			a.LagSeconds = &lag
		}
		if r.ClockMs != nil {
			clock := float64(*r.ClockMs) / 1000
			a.ClockSeconds = &clock
		}
		out[i] = a
	}
	return out
}
