package api

import (
	"context"
	"time"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// Quarantined is a message that an agent did not take, and what a person decided about it.
type Quarantined struct {
	Agent    string    `json:"agent" format:"uuid"`
	Epoch    uint64    `json:"epoch" doc:"of the agent's store"`
	ID       uint64    `json:"id" doc:"number within the epoch"`
	Site     string    `json:"site"`
	Point    string    `json:"point,omitempty"`
	Reason   string    `json:"reason" doc:"one word, as malformed or future"`
	Detail   string    `json:"detail" doc:"what was wrong, where, and what would be right"`
	Topic    string    `json:"topic"`
	Payload  []byte    `json:"payload" doc:"its first 4096 bytes"`
	Received time.Time `json:"received" doc:"by the agent's clock"`
	Stored   time.Time `json:"stored" doc:"at the hub"`
	Settled  *Settled  `json:"settled,omitempty"`
}

// Settled is what a person decided.
type Settled struct {
	How      string    `json:"how" enum:"released,dropped"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Why      string    `json:"why"`
	Point    string    `json:"point,omitempty" doc:"that it was released as"`
	Register string    `json:"register,omitempty"`
	Readings int       `json:"readings,omitempty" doc:"in it"`
}

// QuarantinePage is a page of messages, by agent, epoch and number.
type QuarantinePage struct {
	Quarantine []Quarantined `json:"quarantine"`
	Next       string        `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

type quarantineAnswer struct{ Body QuarantinePage }

type quarantineQuery struct {
	Page
	Site string `query:"site" maxLength:"64" doc:"only this site's"`
}

func (s *server) registerQuarantine(r *routes) {
	register(r, access.With(access.Operator, access.ReadFleet), get("quarantine", "/v1/quarantine", "Messages that agents did not take"), func(ctx context.Context, in *quarantineQuery) (*quarantineAnswer, error) {
		var after store.QuarantineKey
		if err := decodeCursor(in.Cursor, &after); err != nil {
			return nil, err
		}
		rows, err := s.store.QuarantineRows(ctx, org(ctx), in.Site, after, in.Limit+1)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		rows, more := cut(rows, in.Limit)
		out := &quarantineAnswer{QuarantinePage{Quarantine: make([]Quarantined, len(rows))}}
		for i, r := range rows {
			q := Quarantined{
				Agent: r.Agent.String(), Epoch: r.Epoch, ID: r.ID, Site: r.Site, Point: r.Point, Reason: r.Reason, Detail: r.Detail,
				Topic: r.Topic, Payload: r.Payload, Received: r.ReceivedAt.UTC(), Stored: r.StoredAt.UTC(),
			}
			if d := r.Decision; d != nil {
				q.Settled = &Settled{How: d.How, At: d.At.UTC(), By: d.By, Why: d.Why, Point: d.Point, Register: d.Register, Readings: d.Readings}
			}
			out.Body.Quarantine[i] = q
		}
		if more {
			out.Body.Next = encodeCursor(rows[len(rows)-1].QuarantineKey)
		}
		return out, nil
	})
}
