package derive

import (
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
)

// prepare readies a stream for readings that came again because they were asked for. Somebody may have deleted rows of it, so what
// is derived from them cannot be trusted where they lie: that stretch is made anew even if every reading is held already, and
// a fold that is gone is found again from the readings.
func (s *stream) prepare(registers []store.RegisterInfo, incoming map[uuid.UUID]*arrival) error {
	again := false
	for _, r := range registers {
		a := incoming[r.ID]
		begin := 0
		for batch, end := range a.ends {
			if a.from[batch].Resend != (uuid.UUID{}) {
				again = true
				for _, v := range a.readings[begin:end] {
					s.touch(v.At, v.At)
				}
			}
			begin = end
		}
	}
	if !again || s.known {
		return nil
	}
	for _, r := range s.all {
		first, last, ok, err := s.tx.Extent(r.ID)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if !s.known {
			s.fold.First, s.fold.Last, s.known = first, last, true
		}
		s.fold.First, s.fold.Last = min(s.fold.First, first), max(s.fold.Last, last)
	}
	if s.known {
		s.touch(s.fold.First, s.fold.Last)
	}
	return nil
}
