package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"fluxora.dev/shared/meter"
)

// Quarantined is a message that was not taken, and what became of it.
type Quarantined struct {
	ID       uint64   `json:"id"`
	Reason   string   `json:"reason"`
	Detail   string   `json:"detail"`
	Topic    string   `json:"topic"`
	Point    string   `json:"point,omitempty"`
	Received string   `json:"received"` // by the agent's clock
	Size     int      `json:"size"`     // bytes kept
	Payload  string   `json:"payload,omitempty"`
	Binary   []byte   `json:"payload_base64,omitempty"` // when it is no text
	Settled  *Settled `json:"settled,omitempty"`
}

// Settled is how a person settled it.
type Settled struct {
	How      string `json:"how"` // released or dropped
	At       string `json:"at"`
	By       string `json:"by"`
	Why      string `json:"why"`
	Readings int    `json:"readings,omitempty"` // stored by it
	Repeats  int    `json:"repeats,omitempty"`  // there already
}

// Settling is what a person asks for. By and Why are needed.
type Settling struct {
	By           string         `json:"by"`
	Why          string         `json:"why"`
	Point        string         `json:"point,omitempty"`    // to release it as of another point
	Register     meter.Register `json:"register,omitempty"` // or of another register
	At           *time.Time     `json:"at,omitempty"`       // the instant of its first reading; the others keep their distances
	AcceptAbsurd bool           `json:"accept_absurd,omitempty"`
}

// ErrSettled marks a message that cannot be settled so; the error has the reason.
var ErrSettled = errors.New("not settled")

// Quarantine is what was not taken, for people to look into.
type Quarantine interface {
	// Quarantined returns up to limit messages after an id, without payloads.
	Quarantined(after uint64, limit int) ([]Quarantined, error)
	// QuarantinedMessage returns one with its payload, or ErrUnknown.
	QuarantinedMessage(id uint64) (Quarantined, error)
	Release(ctx context.Context, id uint64, s Settling) (Settled, error)
	Drop(ctx context.Context, id uint64, s Settling) (Settled, error)
}

// PayloadOf puts a payload into q, as text when it is such.
func (q *Quarantined) PayloadOf(b []byte) {
	if utf8.Valid(b) {
		q.Payload = string(b)
	} else {
		q.Binary = b
	}
}

func (h *handler) quarantineRoutes(mux *http.ServeMux) {
	q := h.o.Quarantine
	if q == nil {
		return
	}
	mux.Handle("GET /v1/quarantine", h.guard(h.json(func(r *http.Request) (any, error) {
		values := r.URL.Query()
		if err := onlyParams(values, "after", "limit"); err != nil {
			return nil, err
		}
		after, limit := uint64(0), 100
		if s := values.Get("after"); s != "" {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				return nil, bad("after=%.20q: want an id", s)
			}
			after = n
		}
		if s := values.Get("limit"); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 || n > 1000 {
				return nil, bad("limit=%.20q: want 1 to 1000", s)
			}
			limit = n
		}
		qs, err := q.Quarantined(after, limit)
		if err != nil {
			return nil, err
		}
		answer := map[string]any{"quarantine": append([]Quarantined{}, qs...)}
		if len(qs) == limit {
			answer["next"] = qs[limit-1].ID // the after of the next request
		}
		return answer, nil
	})))
	mux.Handle("GET /v1/quarantine/{id}", h.guard(h.json(func(r *http.Request) (any, error) {
		if err := onlyParams(r.URL.Query()); err != nil {
			return nil, err
		}
		id, err := idOf(r)
		if err != nil {
			return nil, err
		}
		return q.QuarantinedMessage(id)
	})))
	settle := func(fn func(context.Context, uint64, Settling) (Settled, error)) http.Handler {
		return h.guard(h.json(func(r *http.Request) (any, error) {
			id, err := idOf(r)
			if err != nil {
				return nil, err
			}
			s, err := settlingOf(r)
			if err != nil {
				return nil, err
			}
			done, err := fn(r.Context(), id, s)
			if errors.Is(err, ErrSettled) {
				return nil, badRequest{err}
			}
			return done, err
		}))
	}
	mux.Handle("POST /v1/quarantine/{id}/release", settle(q.Release))
	mux.Handle("POST /v1/quarantine/{id}/drop", settle(q.Drop))
}

func idOf(r *http.Request) (uint64, error) {
	s := r.PathValue("id")
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("message %.20q is %w", s, ErrUnknown)
	}
	return id, nil
}

// settlingOf reads a request. It insists on JSON by name, which a form on a foreign web page cannot send unasked.
func settlingOf(r *http.Request) (s Settling, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return s, bad("content type %.40q: want application/json", r.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, bad("body: %w: want {\"by\": …, \"why\": …} and for a release perhaps point, register, at, accept_absurd", err)
	}
	if s.By == "" || s.Why == "" || len(s.By)+len(s.Why) > 1000 {
		return s, bad("by %.40q, why %.40q: want who does it and why, for the record", s.By, s.Why)
	}
	if s.Register != "" {
		info, err := meter.LookupRegister(string(s.Register))
		if err != nil {
			return s, bad("%w", err)
		}
		s.Register = info.Name
	}
	return s, nil
}
