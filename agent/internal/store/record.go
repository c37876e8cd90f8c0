package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/bits"

	"fluxora.dev/shared/meter"
)

// A record of the journal is what one Append wrote: a head, then a payload of definitions and atoms, then zeros up to a
// multiple of recordAlign.
//
//	magic 4 | payload length 4 | generation 8 | epoch 8 | first sequence 8 | readings 4 | payload CRC 4 | head CRC 4
//
// Integers are little-endian. A payload is a count of definitions, each an id, a length and JSON; and a count of atoms, each
// a first sequence, a length and the bytes that a segment keeps.
const (
	recordMagic = 0x324c4a46 // FJL2
	recordHead  = 44
	recordAlign = 8
)

// record is one Append.
type record struct {
	generation, epoch uint64
	first, count      uint64
	defs              map[meter.SeriesID]meter.Series
	atoms             []rawAtom
}

func (r record) end() uint64 { return r.first + r.count }

// rawAtom is an atom as it is kept.
type rawAtom struct {
	first uint64
	value []byte
}

func (r record) append(b []byte) ([]byte, error) {
	at := len(b)
	b = append(b, make([]byte, recordHead)...)
	b = binary.AppendUvarint(b, uint64(len(r.defs)))
	for id, def := range r.defs {
		v, err := json.Marshal(def)
		if err != nil {
			return nil, fmt.Errorf("encode series %d: %w", id, err)
		}
		b = binary.AppendUvarint(b, uint64(id))
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.atoms)))
	for _, a := range r.atoms {
		b = binary.AppendUvarint(b, a.first)
		b = binary.AppendUvarint(b, uint64(len(a.value)))
		b = append(b, a.value...)
	}
	head, payload := b[at:], b[at+recordHead:]
	binary.LittleEndian.PutUint32(head, recordMagic)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(head[8:], r.generation)
	binary.LittleEndian.PutUint64(head[16:], r.epoch)
	binary.LittleEndian.PutUint64(head[24:], r.first)
	binary.LittleEndian.PutUint32(head[32:], uint32(r.count))
	binary.LittleEndian.PutUint32(head[36:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(head[40:], crc32.Checksum(head[:40], castagnoli))
	for (len(b)-at)%recordAlign != 0 {
		b = append(b, 0)
	}
	return b, nil
}

// decodeRecord reads the record that b begins with. It returns how long it is, or 0 when b begins with no record's head; an
// error says that the head is sound and the rest is not, and then the record has no atoms.
func decodeRecord(b []byte) (r record, n int, err error) {
	if len(b) < recordHead || binary.LittleEndian.Uint32(b) != recordMagic ||
		crc32.Checksum(b[:40], castagnoli) != binary.LittleEndian.Uint32(b[40:]) {
		return r, 0, nil
	}
	r.generation, r.epoch = binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	r.first, r.count = binary.LittleEndian.Uint64(b[24:]), uint64(binary.LittleEndian.Uint32(b[32:]))
	size := int(binary.LittleEndian.Uint32(b[4:]))
	if size > len(b)-recordHead || r.first == 0 || r.first > 1<<62 {
		return r, recordAlign, fmt.Errorf("%w: journal record of %d bytes", errDamaged, size)
	}
	payload := b[recordHead : recordHead+size]
	n = (recordHead + size + recordAlign - 1) / recordAlign * recordAlign
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[36:]) {
		return r, recordAlign, fmt.Errorf("%w: journal record of sequence %d", errDamaged, r.first)
	}
	c := cutter{b: payload}
	r.defs = make(map[meter.SeriesID]meter.Series)
	for range c.count() {
		id, def := c.uvarint(), meter.Series{}
		if json.Unmarshal(c.bytes(), &def) != nil {
			c.bad = true
		}
		r.defs[meter.SeriesID(id)] = def
	}
	for range c.count() {
		first := c.uvarint()
		r.atoms = append(r.atoms, rawAtom{first, bytes.Clone(c.bytes())})
	}
	if c.bad {
		return record{first: r.first, count: r.count, generation: r.generation, epoch: r.epoch}, n, fmt.Errorf("%w: journal record of sequence %d", errDamaged, r.first)
	}
	return r, n, nil
}

// cutter cuts a payload into its parts and remembers whether one was missing.
type cutter struct {
	b   []byte
	bad bool
}

func (c *cutter) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

// count cuts a number of things that take a byte each at least.
func (c *cutter) count() uint64 {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.bad = true
		return 0
	}
	return n
}

func (c *cutter) bytes() []byte {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

// almostHead reports whether b looks like the head of a record of which some bits are wrong, or a part.
func almostHead(b []byte) bool {
	if len(b) < recordHead {
		return false
	}
	wrong := bits.OnesCount32(binary.LittleEndian.Uint32(b)^recordMagic) + bits.OnesCount64(binary.LittleEndian.Uint64(b[8:])>>24)
	return wrong <= 8 // of 72: no journal lives for 2^24 generations
}
