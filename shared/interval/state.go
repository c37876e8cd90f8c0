package interval

import (
	"encoding/binary"
	"errors"
	"fmt"

	"fluxora.dev/shared/meter"
)

// State is a fold between two readings. The zero value has seen nothing.
type State struct {
	started bool
	leading bool // before the first boundary: start is in the future of at
	dipped  bool // the last reading was below the register
	held    bool // pending waits for the next reading

	last      Sample       // the last believed reading
	register  int64        // the virtual register at last.At, mWh
	start     meter.Millis // of the open interval
	energy    int64        // of the open interval, from registers that ended in it, Wh
	base      int64        // register at the later of the open interval's start and the present register's, Wh
	quality   meter.Quality
	recovered bool

	pending Sample

	// The line that the counter left by a reset or a jump, to know it again; and whether it is past coming back.
	left    bool
	old     int64        // value of the register when it was left
	oldAt   meter.Millis // and when
	since   int64        // energy counted since then
	run     uint8        // readings, up to 3, that each rose believably on the one before, whatever the register was
	second  int64        // value of the second of them
	changed meter.Millis // when the counter last moved
	stuck   bool         // Stuck was told since then
}

// stateVersion is the first byte of an encoded state. Version 1, which ends after the held reading, is still read.
const stateVersion = 2

// stateSize is the length of an encoded state that has seen a reading.
const (
	stateSize1 = 2 + 2*sampleSize + 4*8 + 2
	stateSize  = stateSize1 + 5*8
)

const sampleSize = 8 + 8 + 8 + 4 + 2

// At returns the instant of the last reading seen, believed or held, and whether there was one.
func (s *State) At() (meter.Millis, bool) {
	if s.held {
		return s.pending.At, true
	}
	return s.last.At, s.started
}

// Open returns the start of the interval that is being filled, and whether there is one.
func (s *State) Open() (meter.Millis, bool) { return s.start, s.started }

// AppendBinary appends s to b. It implements encoding.BinaryAppender.
func (s State) AppendBinary(b []byte) ([]byte, error) {
	var flags byte
	for i, f := range []bool{s.started, s.leading, s.dipped, s.held, s.recovered, s.left, s.stuck} {
		if f {
			flags |= 1 << i
		}
	}
	b = append(b, stateVersion, flags)
	if !s.started {
		return b, nil
	}
	b = appendSample(b, s.last)
	for _, v := range []int64{s.register, int64(s.start), s.energy, s.base} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	b = append(b, byte(s.quality), s.run)
	b = appendSample(b, s.pending)
	for _, v := range []int64{s.old, int64(s.oldAt), s.since, s.second, int64(s.changed)} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b, nil
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (s State) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary sets s to what AppendBinary wrote. It refuses anything else and then leaves s as it was.
func (s *State) UnmarshalBinary(b []byte) error {
	if len(b) < 2 || b[0] == 0 || b[0] > stateVersion {
		return fmt.Errorf("decode interval state of %d bytes: want version %d", len(b), stateVersion)
	}
	if b[1] == 0 && len(b) == 2 {
		*s = State{}
		return nil
	}
	size, flags := stateSize, byte(1<<7-1)
	if b[0] == 1 {
		size, flags = stateSize1, 1<<5-1
	}
	if len(b) != size || b[1]&1 == 0 || b[1]&^flags != 0 {
		return fmt.Errorf("decode interval state of %d bytes with flags %#x: want %d bytes", len(b), b[1], size)
	}
	n := State{started: true, leading: b[1]&2 != 0, dipped: b[1]&4 != 0, held: b[1]&8 != 0, recovered: b[1]&16 != 0, left: b[1]&32 != 0, stuck: b[1]&64 != 0}
	rest := b[2:]
	n.last, rest = cutSample(rest)
	n.register, n.start = int64(binary.BigEndian.Uint64(rest)), meter.Millis(binary.BigEndian.Uint64(rest[8:]))
	n.energy, n.base = int64(binary.BigEndian.Uint64(rest[16:])), int64(binary.BigEndian.Uint64(rest[24:]))
	n.quality = meter.Quality(rest[32])
	n.run = rest[33]
	n.pending, rest = cutSample(rest[34:])
	if n.changed = n.last.At; b[0] > 1 {
		for i, v := range []*int64{&n.old, (*int64)(&n.oldAt), &n.since, &n.second, (*int64)(&n.changed)} {
			*v = int64(binary.BigEndian.Uint64(rest[8*i:]))
		}
	}
	if err := n.check(); err != nil {
		return fmt.Errorf("decode interval state: %w", err)
	}
	*s = n
	return nil
}

// check refuses states that no stream of readings leads to and that could make Add loop for long or overflow.
func (s *State) check() error {
	far := s.start - s.last.At
	switch {
	case !s.quality.Valid():
		return errors.New("impossible quality")
	case s.run > 3 || s.old < 0 || s.old > maxValue || s.since < 0 || s.since > maxRegister || !inEra(s.oldAt) || !inEra(s.changed) || s.second < 0 || s.second > maxValue:
		return errors.New("impossible past")
	case s.last.unusable() || s.held && s.pending.unusable():
		return errors.New("impossible reading")
	case s.held && s.pending.At <= s.last.At || !s.held && s.pending != Sample{}:
		return errors.New("impossible held reading")
	case s.last.Value < 0 || s.pending.Value < 0 || s.base > s.register/1000 || s.last.Kind == meter.Counter && (s.last.Value > s.register || s.register > maxValue):
		return errors.New("impossible value")
	case s.register < 0 || s.register > maxRegister || s.energy < 0 || s.energy > maxRegister || s.base < 0 || s.base > maxRegister:
		return errors.New("impossible energy")
	case !inEra(s.start) || s.start%60_000 != 0 || far > 24*3600*1000 || far < -24*3600*1000 || s.leading != (far > 0):
		return errors.New("impossible start of interval")
	}
	return nil
}

func appendSample(b []byte, s Sample) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.At))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Value))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Modulus))
	b = binary.BigEndian.AppendUint32(b, s.Meter)
	return append(b, byte(s.Quality), byte(s.Kind))
}

func cutSample(b []byte) (Sample, []byte) {
	return Sample{
		At:      meter.Millis(binary.BigEndian.Uint64(b)),
		Value:   int64(binary.BigEndian.Uint64(b[8:])),
		Modulus: int64(binary.BigEndian.Uint64(b[16:])),
		Meter:   binary.BigEndian.Uint32(b[24:]),
		Quality: meter.Quality(b[28]),
		Kind:    meter.Kind(b[29]),
	}, b[sampleSize:]
}
