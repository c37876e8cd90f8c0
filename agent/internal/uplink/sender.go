package uplink

import (
	"fmt"
	"time"

	"fluxora.dev/proto/wire"
)

// flight is a batch that was sent and not acked.
type flight struct {
	wire.Range
	readings uint64
	bytes    int
	single   bool // one atom
}

// suspect is a range that the hub refused to store. It goes up in batches of at most most readings.
type suspect struct {
	wire.Range
	most uint64
}

// sender decides which batch goes next. It knows two lanes: from sequence live on, where new readings come, and the backlog
// below. Without a long backlog there is one lane.
type sender struct {
	store   Store
	batch   int
	fresh   uint64
	window  uint64
	bytes   int
	live    uint64 // start of the live lane; 0 when there is one lane
	newest  newest // of each series, in the backlog that the live lane passes
	barrier uint64 // there is one lane until everything below is sent
	flights []flight
	refused []suspect
	held    []flight // ranges that are not sent: the hub seems to refuse everything
	single  bool     // what read returned last is one atom

	readings    uint64 // in flight
	bytesFlying int
	since       time.Time // when the oldest wait for an ack began
}

func newSender(store Store, o Options, hubWindow uint64) sender {
	s := sender{store: store, batch: o.BatchReadings, fresh: o.Fresh, window: o.InFlight, bytes: o.InFlightBytes}
	if hubWindow > 0 {
		s.window = min(s.window, hubWindow)
	}
	return s
}

// next returns the batch to send, if there is one and the window has room for it.
func (s *sender) next() (b wire.Batch, ok bool, err error) {
	if len(s.flights) >= maxFlights || s.full(1, 1) {
		return b, false, nil
	}
	left := subtract(subtract(s.store.Unacked(), s.flights), s.held)
	if len(left) == 0 {
		s.live = 0
		return b, false, nil
	}
	end := left[len(left)-1].End
	switch backlog, below := firstWithin(left, 0, s.live); {
	case s.live > 0 && below:
		if r, ok := firstWithin(left, s.live, end); ok {
			b, ok, err := s.read(r, r.First)
			if !s.newest.corrects(b) {
				return b, ok, err
			}
			return s.oneLane(left, b)
		}
		// The backlog leaves a quarter of the window to what is measured meanwhile.
		if s.full(3, 4) {
			return b, false, nil
		}
		return s.read(backlog, backlog.First)
	case total(left) > s.fresh && left[0].First >= s.barrier:
		// The lane starts at the atom that holds this sequence.
		from := end - min(s.fresh, end-1)
		r := left[len(left)-1]
		for _, x := range left {
			if from < x.End {
				r = x
				break
			}
		}
		b, ok, err = s.read(r, max(from, r.First))
		if err != nil || !ok {
			return b, ok, err
		}
		if s.newest, err = s.passed(left, b.First); err != nil {
			return wire.Batch{}, false, err
		}
		if s.newest.corrects(b) {
			return s.oneLane(left, b)
		}
		s.live = b.First
		return b, ok, nil
	default:
		s.live = 0
		return s.read(left[0], left[0].First)
	}
}

// full reports whether the given share of the window is used up. An empty window is never full.
func (s *sender) full(part, of int) bool {
	return len(s.flights) > 0 &&
		(s.readings*uint64(of) >= s.window*uint64(part) || s.bytesFlying*of >= s.bytes*part)
}

// read returns atoms of r from the one that holds first on.
func (s *sender) read(r wire.Range, first uint64) (wire.Batch, bool, error) {
	most := min(uint64(s.batch), s.window, r.End-first)
	for _, x := range s.refused {
		switch {
		case first < x.First && x.First < first+most:
			most = x.First - first
		case x.First <= first && first < x.End:
			most = min(most, x.most, x.End-first)
		}
	}
	b, err := s.store.ReadFrom(first, int(most))
	if err != nil {
		return b, false, fmt.Errorf("read batch from %d: %w", first, err)
	}
	if b.Count == 0 {
		return b, false, nil // acked or trimmed meanwhile
	}
	if b.Refused == b.Count && b.First < r.End {
		b.Count = min(b.Count, r.End-b.First) // a lost range may be told in parts
		b.Refused = b.Count
	}
	if b.First < r.First || b.First+b.Count > r.End {
		return b, false, fmt.Errorf("read batch from %d: got [%d, %d), want whole atoms within [%d, %d)", first, b.First, b.First+b.Count, r.First, r.End)
	}
	s.single = most == 1 || b.Count > most
	return b, true, nil
}

// divide notes that the hub refused the batch f. It goes up again in halves; when it was one atom it cannot be divided, and
// divide reports false.
func (s *sender) divide(f flight) bool {
	if f.single {
		return false
	}
	s.refused = append(s.refused, suspect{f.Range, max(1, f.Len()/2)})
	return true
}

// hold keeps r back until release.
func (s *sender) hold(r wire.Range) {
	for i, x := range s.held {
		if x.End == r.First || r.End == x.First {
			r = wire.Range{First: min(r.First, x.First), End: max(r.End, x.End)}
			s.held = append(s.held[:i], s.held[i+1:]...)
			break
		}
	}
	s.held = append(s.held, flight{Range: r})
}

// release lets everything go again that was held.
func (s *sender) release() { s.held = nil }

// sent notes that b is in flight.
func (s *sender) sent(b wire.Batch, now time.Time) {
	if len(s.flights) == 0 {
		s.since = now
	}
	f := flight{b.Range(), b.Count - b.Refused, b.Bytes(), s.single}
	s.flights = append(s.flights, f)
	s.readings += f.readings
	s.bytesFlying += f.bytes
}

// landed notes that the hub answered the batch of range r, and returns it.
func (s *sender) landed(r wire.Range) (f flight, ok bool) {
	for i, f := range s.flights {
		if f.Range == r {
			s.flights = append(s.flights[:i], s.flights[i+1:]...)
			s.readings -= f.readings
			s.bytesFlying -= f.bytes
			s.since = time.Now()
			return f, true
		}
	}
	return flight{}, false
}

// overdue reports whether an ack is awaited for longer than limit.
func (s *sender) overdue(now time.Time, limit time.Duration) bool {
	return len(s.flights) > 0 && now.Sub(s.since) > limit
}
