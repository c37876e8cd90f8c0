package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/quarantine"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/meter"
)

// Quarantined is a message that an agent refused, and what became of it.
type Quarantined struct {
	ID       string    `json:"id"` // agent/epoch/number
	Site     string    `json:"site"`
	Point    string    `json:"point,omitempty"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Topic    string    `json:"topic"`
	Payload  []byte    `json:"payload_base64"`
	Received time.Time `json:"received"`
	Settled  *Settled  `json:"settled,omitempty"`
}

// Settled is what a person decided about it.
type Settled struct {
	How      string    `json:"how"` // released or dropped
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Why      string    `json:"why"`
	Point    string    `json:"point,omitempty"`
	Register string    `json:"register,omitempty"`
	Readings int       `json:"readings,omitempty"`
}

// Settling is what a person asks for.
type Settling struct {
	ID      string // of Quarantined
	By, Why string
	As      string    // point or point/register, when not what the topic says
	At      time.Time // of its first reading, when its own is wrong

	AcceptAbsurd bool
}

// Quarantined lists messages of a site, of all sites when it is empty, after the one with the given id.
func (a *Admin) Quarantined(ctx context.Context, site, after string, limit int) ([]Quarantined, error) {
	var k store.QuarantineKey
	if after != "" {
		var err error
		if k, err = quarantineKey(after); err != nil {
			return nil, err
		}
	}
	rows, err := a.b.store.QuarantineRows(ctx, a.b.org, site, k, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Quarantined, len(rows))
	for i, r := range rows {
		out[i] = Quarantined{
			ID: fmt.Sprintf("%s/%d/%d", r.Agent, r.Epoch, r.ID), Site: r.Site, Point: r.Point, Reason: r.Reason, Detail: r.Detail,
			Topic: r.Topic, Payload: r.Payload, Received: r.ReceivedAt.UTC(),
		}
		if d := r.Decision; d != nil {
			out[i].Settled = &Settled{How: d.How, At: d.At.UTC(), By: d.By, Why: d.Why, Point: d.Point, Register: d.Register, Readings: d.Readings}
		}
	}
	return out, nil
}

// Release stores the readings of a message and returns how many there were, when the intervals they touch are made anew.
func (a *Admin) Release(ctx context.Context, s Settling) (readings int, err error) {
	k, err := quarantineKey(s.ID)
	if err != nil {
		return 0, err
	}
	how := quarantine.Release{By: s.By, Why: s.Why, AcceptAbsurd: s.AcceptAbsurd}
	var register string
	how.Point, register, _ = strings.Cut(s.As, "/")
	how.Register = meter.Register(register)
	if !s.At.IsZero() {
		how.At = meter.MillisOf(s.At)
	}
	if readings, err = quarantine.Do(ctx, a.b.store, a.b.org, k, how); err != nil {
		return 0, unknownMessage(err, s.ID)
	}
	return readings, derive.New(a.b.store, derive.Options{Log: a.b.o.Log}).Drain(ctx)
}

// Drop decides that a message is of no use. It stays on record.
func (a *Admin) Drop(ctx context.Context, s Settling) error {
	k, err := quarantineKey(s.ID)
	if err != nil {
		return err
	}
	return unknownMessage(quarantine.Drop(ctx, a.b.store, a.b.org, k, s.By, s.Why), s.ID)
}

func unknownMessage(err error, id string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no message %s: `fluxora-hub quarantine list` shows them", id)
	}
	return err
}

func quarantineKey(s string) (k store.QuarantineKey, err error) {
	parts := strings.Split(s, "/")
	if len(parts) == 3 {
		var e1, e2, e3 error
		k.Agent, e1 = uuid.Parse(parts[0])
		k.Epoch, e2 = strconv.ParseUint(parts[1], 10, 64)
		k.ID, e3 = strconv.ParseUint(parts[2], 10, 64)
		if errors.Join(e1, e2, e3) == nil {
			return k, nil
		}
	}
	return k, fmt.Errorf("message %.80q: want agent/epoch/number, as `fluxora-hub quarantine list` shows it", s)
}
