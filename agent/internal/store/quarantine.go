package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/meter"
)

// MaxQuarantinedPayload is how much of a payload the quarantine keeps.
const MaxQuarantinedPayload = 4096

// Quarantined is a message or a reading that could not be decoded or believed.
type Quarantined struct {
	ID       uint64 // given by Quarantine, ascending within the epoch
	Reason   string // a code of package meter, as "malformed"
	Detail   string // what was wrong, where, and what would be right
	Topic    string
	Payload  []byte // as received, cut to MaxQuarantinedPayload
	Received meter.Millis
	Point    string // empty when unknown
}

// quarantineState is the account of the quarantine, guarded by mu. What is kept has IDs in [Oldest, Next), not all of them; those
// below Sent are acked.
type quarantineState struct {
	Next, Sent, Oldest uint64
	Kept               uint64
	Bytes              int64
	Dropped            uint64 // deleted, never sent, for lack of room
}

// QuarantineStats says how full the quarantine is.
type QuarantineStats struct {
	Kept, Dropped uint64
	Unsent        uint64 // at most
	Bytes         int64
}

// QuarantineStats returns the account of the quarantine.
func (s *Store) QuarantineStats() QuarantineStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.quar
	return QuarantineStats{Kept: q.Kept, Unsent: min(q.Next-q.Sent, q.Kept), Dropped: q.Dropped, Bytes: q.Bytes}
}

// Quarantine stores messages durably, numbering them, in one commit. When the quarantine is full, the oldest of the reason that
// takes the most room are deleted, so that a flood of one reason leaves the others alone; they are counted if the hub never got
// them.
func (s *Store) Quarantine(qs []Quarantined) error {
	if len(qs) == 0 {
		return nil
	}
	s.quarantining.Lock() // the account is taken over only after the commit
	defer s.quarantining.Unlock()
	var now quarantineState
	err := s.flush(func(tx *bbolt.Tx) error {
		s.mu.Lock()
		now = s.quar
		s.mu.Unlock()
		b := tx.Bucket(bucketQuarantine)
		for _, q := range qs {
			q.ID = now.Next
			q.Payload = q.Payload[:min(len(q.Payload), MaxQuarantinedPayload)]
			q.Detail = q.Detail[:min(len(q.Detail), 1024)]
			q.Topic = q.Topic[:min(len(q.Topic), 1024)]
			v, err := json.Marshal(q)
			if err != nil {
				return err
			}
			if err := b.Put(sequenceKey(q.ID), v); err != nil {
				return err
			}
			now.Next++
			now.Kept++
			now.Bytes += int64(len(v))
		}
		if err := s.makeRoom(b, &now); err != nil {
			return err
		}
		return putCounts(tx, now)
	})
	if err != nil {
		return fmt.Errorf("quarantine %d messages: %w", len(qs), err)
	}
	s.mu.Lock()
	dropped := now.Dropped - s.quar.Dropped
	now.Sent = max(now.Sent, s.quar.Sent) // an ack may have come meanwhile
	s.quar = now
	s.announce()
	s.mu.Unlock()
	if dropped > 0 {
		s.o.Log.Error("the quarantine is full: the oldest of the most frequent reason were deleted before the hub had them", "count", dropped)
	}
	return nil
}

// makeRoom deletes messages of a quarantine that is over its bounds, until a tenth is free, so that it need not look through all of
// them at each message of a flood.
func (s *Store) makeRoom(b *bbolt.Bucket, now *quarantineState) error {
	if now.Kept <= uint64(s.o.QuarantineCount) && now.Bytes <= s.o.QuarantineBytes {
		return nil
	}
	type message struct{ id, size uint64 }
	type share struct {
		messages []message // oldest first
		bytes    uint64
	}
	by := make(map[string]*share)
	now.Kept, now.Bytes = 0, 0
	err := b.ForEach(func(k, v []byte) error {
		var q struct{ Reason string } // one that cannot be read is of no reason
		_ = json.Unmarshal(v, &q)
		if by[q.Reason] == nil {
			by[q.Reason] = &share{}
		}
		of := by[q.Reason]
		of.messages = append(of.messages, message{binary.BigEndian.Uint64(k), uint64(len(v))})
		of.bytes += uint64(len(v))
		now.Kept++
		now.Bytes += int64(len(v))
		return nil
	})
	if err != nil {
		return err
	}
	most, mostBytes := uint64(s.o.QuarantineCount-s.o.QuarantineCount/10), s.o.QuarantineBytes-s.o.QuarantineBytes/10
	for now.Kept > most || now.Bytes > mostBytes {
		var victim *share
		for _, reason := range slices.Sorted(maps.Keys(by)) {
			of := by[reason]
			larger := victim == nil || len(of.messages) > len(victim.messages)
			if now.Kept <= most {
				larger = victim == nil || of.bytes > victim.bytes
			}
			if larger {
				victim = of
			}
		}
		if victim == nil || len(victim.messages) == 0 {
			break
		}
		gone := victim.messages[0]
		victim.messages, victim.bytes = victim.messages[1:], victim.bytes-gone.size
		if gone.id >= now.Sent {
			now.Dropped++
		}
		now.Kept--
		now.Bytes -= int64(gone.size)
		if err := b.Delete(sequenceKey(gone.id)); err != nil {
			return err
		}
	}
	now.Oldest = now.Next
	if k, _ := b.Cursor().First(); k != nil {
		now.Oldest = binary.BigEndian.Uint64(k)
	}
	return nil
}

// UnsentQuarantine returns up to most quarantined messages that the hub has not got, oldest first.
func (s *Store) UnsentQuarantine(most int) ([]Quarantined, error) {
	s.mu.Lock()
	from := s.quar.Sent
	s.mu.Unlock()
	return s.Quarantined(from, most)
}

// Quarantined returns up to most quarantined messages from id on, oldest first.
func (s *Store) Quarantined(from uint64, most int) (out []Quarantined, err error) {
	err = s.viewState(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketQuarantine).Cursor()
		for k, v := c.Seek(sequenceKey(from)); k != nil && len(out) < most; k, v = c.Next() {
			var q Quarantined
			if err := json.Unmarshal(v, &q); err != nil {
				return fmt.Errorf("%w: quarantined message %x: %w", errDamaged, k, err)
			}
			out = append(out, q)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read quarantine: %w", err)
	}
	return out, nil
}

// AckQuarantine records that the hub has every quarantined message with an id of at most last. It lasts from the next
// write of the quarantine or Flush on.
func (s *Store) AckQuarantine(last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last >= s.quar.Sent && last < s.quar.Next {
		s.quar.Sent = last + 1
		s.dirty.head = true
	}
}

func putCounts(tx *bbolt.Tx, q quarantineState) error {
	v, err := json.Marshal(q)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketStore).Put(keyCounts, v)
}

// loadQuarantine reads the account. Where damage took it, it is made of what the quarantine holds, which goes to the hub again.
func (s *Store) loadQuarantine(tx *bbolt.Tx) error {
	s.quar = quarantineState{Next: 1, Sent: 1, Oldest: 1}
	if b := tx.Bucket(bucketStore).Get(keyCounts); b != nil {
		if err := json.Unmarshal(b, &s.quar); err != nil {
			return fmt.Errorf("%w: account of the quarantine: %w", errDamaged, err)
		}
		if s.quar.Kept == 0 { // of an agent that kept all between the oldest and the newest
			s.quar.Kept = s.quar.Next - s.quar.Oldest
		}
		return nil
	}
	first := true
	return tx.Bucket(bucketQuarantine).ForEach(func(k, v []byte) error {
		if len(k) != 8 {
			return fmt.Errorf("%w: quarantined message %x", errDamaged, k)
		}
		id := binary.BigEndian.Uint64(k)
		if first {
			s.quar.Oldest, s.quar.Sent, first = id, id, false
		}
		s.quar.Next, s.quar.Bytes = id+1, s.quar.Bytes+int64(len(v))
		s.quar.Kept++
		return nil
	})
}
