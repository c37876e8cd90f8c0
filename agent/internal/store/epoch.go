package store

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// settleEpoch takes the epoch that most files tell, unless state.db tells quite another.
func (s *Store) settleEpoch(votes map[uint64]int) {
	best := uint64(0)
	for epoch, n := range votes {
		if epoch != 0 && (best == 0 || n > votes[best] || n == votes[best] && epoch < best) {
			best = epoch
		}
	}
	if best != 0 && (s.epoch == 0 || sameEpoch(best, s.epoch)) {
		s.dirty.head = s.dirty.head || best != s.epoch
		s.epoch = best
	}
}

// sameEpoch reports whether two epochs differ by damage at most: of two random ones about 31 bits differ.
func sameEpoch(a, b uint64) bool { return a == 0 || b == 0 || bits.OnesCount64(a^b) <= 8 }

func (s *Store) newEpoch() error {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	s.epoch = binary.BigEndian.Uint64(b[:])>>1 | 1
	s.dirty.head = true
	return nil
}
