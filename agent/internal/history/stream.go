package history

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// Target is the energy of one register of one point.
type Target struct {
	Point    string
	Register meter.Register
}

// stream is what is known of a target. It is guarded by History.mu.
type stream struct {
	Target
	options interval.Options
	record
	days  map[meter.Millis]day // changed and not yet written, by midnight
	dirty bool                 // the record is not yet written

	announced meter.Millis // the newest origin that was announced
}

// record is the part of a stream that is kept beside its intervals.
type record struct {
	Fold       []byte // interval.State; set when written
	Resolution time.Duration
	MaxWatts   float64

	First  meter.Millis  // instant of the first reading ever
	Last   meter.Reading // the reading with the newest instant
	Closed meter.Millis  // end of the newest closed interval; 0 without one
	Late   meter.Millis  // the earliest instant that is yet to be put right; 0 without one
	Meter  uint32        // series of the reading that the fold saw last
	Seen   uint64        // readings
	Lates  uint64        // readings that came late
	Events map[string]uint64

	state interval.State
}

// Keys of derived state: "f/point/register" for records, "i/point/register/" and the days since 1970 for intervals.
func recordKey(t Target) []byte { return []byte("f/" + t.Point + "/" + string(t.Register)) }

func dayKey(t Target, midnight meter.Millis) []byte {
	b := []byte("i/" + t.Point + "/" + string(t.Register) + "/")
	return binary.BigEndian.AppendUint32(b, uint32(midnight/meter.Millis(oneDay.Milliseconds())))
}

func (s *stream) encode() ([]byte, error) {
	var err error
	if s.Fold, err = s.state.AppendBinary(nil); err != nil {
		return nil, fmt.Errorf("encode stream %s/%s: %w", s.Point, s.Register, err)
	}
	return json.Marshal(s.record)
}

func (s *stream) decode(b []byte) error {
	if err := json.Unmarshal(b, &s.record); err != nil {
		return fmt.Errorf("decode stream %s/%s: %w", s.Point, s.Register, err)
	}
	return s.state.UnmarshalBinary(s.Fold)
}

// sampleOf returns a reading as the fold takes it.
func sampleOf(r meter.Reading, of meter.Series) interval.Sample {
	return interval.Sample{At: r.At, Value: r.Value, Quality: r.Quality, Kind: of.Kind, Modulus: of.Modulus, Meter: uint32(r.Series)}
}

// inOrder sorts samples by instant, then by series, keeping the order of arrival.
func inOrder(samples []interval.Sample) {
	slices.SortStableFunc(samples, func(a, b interval.Sample) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Meter, b.Meter))
	})
}

// effective keeps, of samples in order, the last of each series and instant: a later one corrects an earlier one.
func effective(samples []interval.Sample) []interval.Sample {
	kept := samples[:0]
	for _, n := range samples {
		if i := len(kept) - 1; i >= 0 && kept[i].At == n.At && kept[i].Meter == n.Meter {
			kept[i] = n
			continue
		}
		kept = append(kept, n)
	}
	return kept
}

// take adds readings that follow one another in the log.
func (h *History) take(s *stream, samples []interval.Sample) error {
	inOrder(samples)
	for _, n := range samples {
		r := meter.Reading{Series: meter.SeriesID(n.Meter), At: n.At, Value: n.Value, Quality: n.Quality}
		repeat := s.Seen > 0 && r == s.Last
		if s.Seen++; s.Seen == 1 || n.At < s.First {
			s.First = n.At
		}
		if n.At >= s.Last.At || s.Seen == 1 {
			s.Last = r
		}
		s.dirty = true
		// Of two series at one instant the lower one counts, and of one series the last to arrive.
		at, started := s.state.At()
		if started && (n.At < at || n.At == at && n.Meter <= s.Meter && !repeat) {
			s.Lates++
			if s.Late == 0 || n.At < s.Late {
				s.Late = n.At
			}
			continue
		}
		if err := s.add(n, func(i interval.Interval) { h.put(s, i) }, func(e interval.Event) { h.tell(s, e) }); err != nil {
			return err
		}
	}
	return nil
}

// add gives a reading to the fold.
func (s *stream) add(n interval.Sample, emit func(interval.Interval), event func(interval.Event)) error {
	before, started := s.state.At()
	if err := s.state.Add(n, s.options, emit, event); err != nil {
		return err
	}
	if at, _ := s.state.At(); !started || at > before {
		s.Meter = n.Meter
	}
	return nil
}

// put keeps a closed interval.
func (h *History) put(s *stream, i interval.Interval) {
	midnight := i.Start.Floor(oneDay)
	d, ok := s.days[midnight]
	if !ok {
		d = h.stored(s, midnight)
	}
	s.days[midnight] = d.put(i)
	s.Closed = max(s.Closed, i.Start.Add(s.options.Resolution))
}

// stored reads a day from derived state.
func (h *History) stored(s *stream, midnight meter.Millis) (d day) {
	from := dayKey(s.Target, midnight)
	err := h.store.ScanDerived(from, append(slices.Clone(from), 0), func(_, v []byte) (err error) {
		d, err = decodeDay(midnight, v)
		return err
	})
	if err != nil {
		h.o.Log.Error("a day of intervals cannot be read", "point", s.Point, "register", s.Register, "day", midnight, "error", err)
	}
	return d
}

func (h *History) tell(s *stream, e interval.Event) {
	if s.Events == nil {
		s.Events = make(map[string]uint64)
	}
	s.Events[e.Kind.String()]++
	if e.Kind == interval.Duplicate {
		return
	}
	h.o.Log.Debug("meter event", "point", s.Point, "register", s.Register, "event", e.Kind, "at", e.At, "from", e.From, "to", e.To, "energy", e.Energy)
}

// lookback is how far before a late reading the first scan reaches.
const lookback = 2 * oneDay

// repair recomputes a stream from its late readings on. The caller holds mu.
func (h *History) repair(s *stream) error {
	// Nothing before floor can be put right: what the log had there was trimmed.
	floor, trimmed := s.First, false
	for _, of := range h.seriesOf(s.Target) {
		if end, ok := h.store.Trimmed(of.ID); ok {
			floor, trimmed = max(floor, end+1), true
		}
	}
	late := max(s.Late, floor)
	for back := lookback; ; back *= 2 {
		from := max(late.Add(-back), floor)
		samples, err := h.scan(s, from)
		if err != nil {
			return err
		}
		index, valid, ok := interval.RestartPoint(samples, late, s.options)
		switch {
		case ok:
		case from > floor:
			continue // look further back
		case len(samples) == 0:
			s.Late, s.dirty = 0, true
			return nil
		case trimmed:
			index, valid = 0, samples[0].At
		default:
			index, valid = 0, firstInstant
		}
		return h.refold(s, samples[index:], valid)
	}
}

// firstInstant is before every reading that is taken.
const firstInstant meter.Millis = 0

func (h *History) seriesOf(t Target) []store.RegisteredSeries {
	return slices.DeleteFunc(h.store.Series(), func(of store.RegisteredSeries) bool { return of.Point != t.Point || of.Register != t.Register })
}

// refold replaces every interval that starts at or after valid by what a new fold over samples gives.
func (h *History) refold(s *stream, samples []interval.Sample, valid meter.Millis) error {
	if err := h.cut(s, valid); err != nil {
		return err
	}
	s.state, s.Meter = interval.State{}, 0
	for _, n := range samples {
		err := s.add(n, func(i interval.Interval) {
			if i.Start >= valid {
				h.put(s, i)
			}
		}, nil)
		if err != nil {
			return err
		}
	}
	s.Late, s.dirty = 0, true
	return nil
}

// cut forgets the intervals that start at or after from.
func (h *History) cut(s *stream, from meter.Millis) error {
	first := max(from, 0).Floor(oneDay)
	for midnight, d := range s.days {
		if midnight >= first {
			s.days[midnight] = d.cut(from)
		}
	}
	end := append([]byte("i/"+s.Point+"/"+string(s.Register)+"/"), 0xff, 0xff, 0xff, 0xff, 0xff)
	return h.store.ScanDerived(dayKey(s.Target, first), end, func(k, v []byte) error {
		midnight := midnightOf(k)
		if _, ok := s.days[midnight]; ok {
			return nil
		}
		d, err := decodeDay(midnight, v)
		if err != nil {
			h.o.Log.Error("a day of intervals cannot be read", "point", s.Point, "register", s.Register, "day", midnight, "error", err)
		}
		s.days[midnight] = d.cut(from)
		return nil
	})
}

func midnightOf(key []byte) meter.Millis {
	return meter.Millis(binary.BigEndian.Uint32(key[len(key)-4:])) * meter.Millis(oneDay.Milliseconds())
}

// scan returns the readings of a stream from an instant on, of those that were applied already, in order.
func (h *History) scan(s *stream, from meter.Millis) (samples []interval.Sample, err error) {
	for _, of := range h.seriesOf(s.Target) {
		err := h.store.ScanBelow(h.applied, of.ID, from, meter.Millis(1<<62), func(r meter.Reading) error {
			samples = append(samples, sampleOf(r, of.Series))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	inOrder(samples)
	return effective(samples), nil
}

// entries returns what of a stream is to be written.
func (s *stream) entries() ([]store.Entry, error) {
	var es []store.Entry
	for midnight, d := range s.days {
		e := store.Entry{Key: dayKey(s.Target, midnight)}
		if len(d) > 0 {
			e.Value = d.encode()
		}
		es = append(es, e)
	}
	if s.dirty {
		b, err := s.encode()
		if err != nil {
			return nil, err
		}
		es = append(es, store.Entry{Key: recordKey(s.Target), Value: b})
	}
	return es, nil
}
