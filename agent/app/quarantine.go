package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"fluxora.dev/agent/internal/ingest"
	"fluxora.dev/agent/internal/status"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// quarantine shows the quarantine to people and does what they decide. What was decided is kept beside the messages, in one
// named value of the store, for as long as the message is.
type quarantine struct{ *agent }

var _ status.Quarantine = quarantine{}

// settledRecord names the value that holds what was decided: JSON, by id.
const settledRecord = "quarantine-settled"

// Quarantined implements status.Quarantine.
func (q quarantine) Quarantined(after uint64, limit int) ([]status.Quarantined, error) {
	ms, err := q.store.Quarantined(after+1, limit)
	if err != nil {
		return nil, err
	}
	q.settling.Lock()
	defer q.settling.Unlock()
	settled, err := q.settled()
	if err != nil {
		return nil, err
	}
	out := make([]status.Quarantined, len(ms))
	for i, m := range ms {
		out[i] = quarantinedOf(m, settled)
	}
	return out, nil
}

func quarantinedOf(m store.Quarantined, settled map[uint64]status.Settled) status.Quarantined {
	out := status.Quarantined{
		ID: m.ID, Reason: m.Reason, Detail: m.Detail, Topic: m.Topic, Point: m.Point, Received: m.Received.String(), Size: len(m.Payload),
	}
	if s, ok := settled[m.ID]; ok {
		out.Settled = &s
	}
	return out
}

// message returns one message. The caller holds settling.
func (q quarantine) message(id uint64) (m store.Quarantined, settled map[uint64]status.Settled, err error) {
	ms, err := q.store.Quarantined(id, 1)
	if err != nil {
		return m, nil, err
	}
	if len(ms) == 0 || ms[0].ID != id {
		return m, nil, fmt.Errorf("message %d is %w", id, status.ErrUnknown)
	}
	settled, err = q.settled()
	return ms[0], settled, err
}

// QuarantinedMessage implements status.Quarantine.
func (q quarantine) QuarantinedMessage(id uint64) (status.Quarantined, error) {
	q.settling.Lock()
	defer q.settling.Unlock()
	m, settled, err := q.message(id)
	if err != nil {
		return status.Quarantined{}, err
	}
	out := quarantinedOf(m, settled)
	out.PayloadOf(m.Payload)
	return out, nil
}

// Release implements status.Quarantine. Only what was dropped or never settled can be released. A crash between the readings
// and the record leaves the message unsettled; releasing it again then finds them to be repeats.
func (q quarantine) Release(ctx context.Context, id uint64, s status.Settling) (status.Settled, error) {
	return q.settle(id, s, func(m store.Quarantined, done *status.Settled) error {
		how := ingest.Release{Point: s.Point, Register: s.Register, AcceptAbsurd: s.AcceptAbsurd}
		if s.At != nil {
			how.At = meter.MillisOf(*s.At)
		}
		got, err := q.ingest.Release(ctx, m, how)
		done.How, done.Readings, done.Repeats = "released", got.Readings, got.Repeats
		if errors.Is(err, ingest.ErrNotReleased) {
			err = fmt.Errorf("%w: %w", status.ErrSettled, err)
		}
		if err == nil {
			q.books.Release(m.Point, m.Received)
		}
		return err
	})
}

// Drop implements status.Quarantine. The message is kept, as the record of what was dropped.
func (q quarantine) Drop(_ context.Context, id uint64, s status.Settling) (status.Settled, error) {
	return q.settle(id, s, func(_ store.Quarantined, done *status.Settled) error {
		done.How = "dropped"
		return nil
	})
}

func (q quarantine) settle(id uint64, s status.Settling, fn func(store.Quarantined, *status.Settled) error) (status.Settled, error) {
	q.settling.Lock()
	defer q.settling.Unlock()
	m, settled, err := q.message(id)
	if err != nil {
		return status.Settled{}, err
	}
	if was, ok := settled[id]; ok && was.How == "released" {
		return was, fmt.Errorf("%w: message %d was released at %s by %s", status.ErrSettled, id, was.At, was.By)
	}
	done := status.Settled{At: meter.MillisOf(q.now()).String(), By: s.By, Why: s.Why}
	if err := fn(m, &done); err != nil {
		return status.Settled{}, err
	}
	settled[id] = done
	if oldest, err := q.store.Quarantined(0, 1); err == nil && len(oldest) > 0 {
		for id := range settled {
			if id < oldest[0].ID {
				delete(settled, id) // the message itself is gone
			}
		}
	}
	b, err := json.Marshal(settled)
	if err == nil {
		err = q.store.Put(settledRecord, b)
	}
	if err != nil {
		return status.Settled{}, fmt.Errorf("keep what was decided: %w", err)
	}
	if err := q.history.Write(); err != nil { // a crash would forget it in the books alone
		q.log.Error("what was decided is not in the books of the disk yet", "error", err)
	}
	q.log.Info("quarantined message settled", "id", id, "how", done.How, "by", done.By, "why", done.Why, "readings", done.Readings, "repeats", done.Repeats)
	return done, nil
}

// settled returns what was decided so far. The caller holds settling.
func (q quarantine) settled() (map[uint64]status.Settled, error) {
	out := make(map[uint64]status.Settled)
	b, err := q.store.Value(settledRecord)
	if err != nil || b == nil {
		return out, err
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("read what was decided: %w", err)
	}
	return out, nil
}

// Ask sends a request to the running agent's interface and returns its answer. Body is encoded as JSON unless it is nil.
func Ask(ctx context.Context, c Config, method, path string, body any) ([]byte, error) {
	if c.HTTP.Listen == "" {
		return nil, errors.New("the agent has no interface to ask: set http.listen")
	}
	token, err := secret(c.HTTP.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("http.token_file: %w", err)
	}
	host, port, err := net.SplitHostPort(c.HTTP.Listen)
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+net.JoinHostPort(host, port)+path, in)
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the running agent: %w", err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("ask the running agent: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		var e struct{ Error struct{ Message string } }
		if json.Unmarshal(b, &e) == nil && e.Error.Message != "" {
			return nil, errors.New(e.Error.Message)
		}
		return nil, fmt.Errorf("the agent answers %s", answer.Status)
	}
	return b, nil
}
