package uplink

import (
	"fmt"
	"time"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
)

// Books are the agent's account of its readings. Their methods are called one at a time.
type Books interface {
	// NextLedger returns accounts that changed since the hub compared them, or no entries. No batch is in flight when it is called,
	// so that what it calls delivered is what the hub has. Its ID is echoed by Compared.
	NextLedger() (wire.Ledger, error)
	// Compared notes that the hub compared l.
	Compared(l wire.Ledger)
	// Again has the accounts of what was sent again told once more.
	Again(r wire.Resend)
	// Resent returns the first part of what the hub asks for again, at least a millisecond of it.
	Resent(r wire.Resend) (wire.Resent, error)
}

// accounts is a session's part in keeping both sides' books equal.
type accounts struct {
	due     bool             // accounts are to be told once nothing is in flight
	told    *wire.Ledger     // awaiting its ack
	whole   wire.Resend      // what the hub asked for last
	again   *wire.Resend     // the same from what is acked on; nil when all of it is
	waiting bool             // a part is in flight
	pace    <-chan time.Time // keeps parts apart; nil when one may go
}

// sendLedger tells the hub accounts if it is time to. It reports hold when it waits for what is in flight: no batch must go then.
func (s *session) sendLedger() (sent, hold bool, err error) {
	if s.c.o.Books == nil || !s.books.due || s.books.told != nil {
		return false, false, nil
	}
	if len(s.sender.flights) > 0 {
		return false, true, nil
	}
	s.books.due = false
	l, err := s.c.o.Books.NextLedger()
	if err != nil {
		// Readings are worth more than books: they go on.
		s.c.o.Log.Error("accounts cannot be told", "error", err)
		return false, false, nil
	}
	if len(l.Entries) == 0 {
		return false, false, nil
	}
	s.books.told = &l
	return true, false, s.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Ledger{Ledger: wire.EncodeLedger(l)}})
}

// compared takes the hub's answer to accounts.
func (s *session) compared(a wire.LedgerAck) error {
	if s.books.told == nil || s.books.told.ID != a.ID {
		return fmt.Errorf("%w: ack of ledger %d, which was not sent", wire.ErrInvalid, a.ID)
	}
	told := *s.books.told
	s.books.told = nil
	if a.Unbalanced > 0 {
		s.c.o.Log.Error("the hub's ledger differs; it asks for what it lacks", "accounts", a.Unbalanced)
	}
	s.c.status.compared(a.Compared, a.Unbalanced)
	if a.Compared {
		s.c.o.Books.Compared(told)
		s.books.due = true // there may be more than went into one message
	}
	return nil
}

// asked takes what the hub asks for again. A newer request takes the place of an older.
func (s *session) asked(r wire.Resend) {
	if s.c.o.Books == nil {
		return
	}
	s.c.o.Log.Info("the hub asks for readings again", "point", r.Point, "register", r.Register, "from", r.From, "to", r.To, "request", r.ID)
	s.books.again, s.books.whole, s.books.waiting = &r, r, false
}

// sendResent sends a part of what the hub asked for, one at a time and no faster than the pace.
func (s *session) sendResent() (sent bool, err error) {
	if s.books.again == nil || s.books.waiting || s.books.pace != nil {
		return false, nil
	}
	p, err := s.c.o.Books.Resent(*s.books.again)
	if err != nil {
		// The hub asks again in the next session.
		s.c.o.Log.Error("what the hub asks for cannot be read", "request", s.books.again.ID, "error", err)
		s.books.again = nil
		return false, nil
	}
	if err := s.declare(wire.Batch{Blocks: p.Blocks}); err != nil {
		return false, err
	}
	s.books.waiting, s.books.pace = true, time.After(s.c.o.ResendEvery)
	return true, s.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Resent{Resent: wire.EncodeResent(p)}})
}

// resent takes the ack of a part.
func (s *session) resent(a wire.ResentAck) {
	if s.books.again == nil || s.books.again.ID != a.ID || a.To <= s.books.again.From {
		return // of a request that another took the place of
	}
	s.books.waiting, s.progress = false, true
	s.c.status.resent()
	if s.books.again.From = a.To; a.To >= s.books.again.To {
		s.c.o.Log.Info("what the hub asked for was sent again", "request", a.ID)
		s.c.o.Books.Again(s.books.whole)
		s.books.again = nil
		s.books.due = true
	}
}
