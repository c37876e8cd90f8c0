package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// MaxAtom bounds the readings of one atom, so that a batch of whole atoms can be kept small.
const MaxAtom = 4096

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Block holds readings of one series in the format of package chunk.
type Block struct {
	Series meter.SeriesID
	Chunk  []byte
}

// atom is a decoded view of one committed group of readings. Its blocks share the memory of the bytes it was read from.
type atom struct {
	first   uint64
	count   uint64
	arrived meter.Millis
	blocks  []Block
}

// grouper sorts readings by series for encoding; its memory is used again.
type grouper struct {
	order  []meter.SeriesID
	groups map[meter.SeriesID][]meter.Reading
}

// encodeAtom appends the atom of the readings rs, the first of which has sequence first.
func (g *grouper) encodeAtom(dst []byte, first uint64, arrived meter.Millis, rs []meter.Reading) ([]byte, error) {
	if g.groups == nil || len(g.groups) > 4096 {
		g.groups = make(map[meter.SeriesID][]meter.Reading)
	}
	g.order = g.order[:0]
	for _, r := range rs {
		of := g.groups[r.Series]
		if len(of) == 0 {
			g.order = append(g.order, r.Series)
		}
		g.groups[r.Series] = append(of, r)
	}
	at := len(dst)
	dst = binary.AppendUvarint(dst, uint64(len(rs)))
	dst = binary.AppendVarint(dst, int64(arrived))
	dst = binary.AppendUvarint(dst, uint64(len(g.order)))
	var scratch []byte
	var err error
	for _, id := range g.order {
		of := g.groups[id]
		g.groups[id] = of[:0]
		if err != nil {
			continue // only empty the remaining groups
		}
		if scratch, err = chunk.Append(scratch[:0], of); err != nil {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(id))
		dst = binary.AppendUvarint(dst, uint64(len(scratch)))
		dst = append(dst, scratch...)
	}
	if err != nil {
		return dst[:at], err
	}
	return binary.LittleEndian.AppendUint32(dst, atomSum(first, dst[at:])), nil
}

// encode appends a to dst as encodeAtom does.
func (a atom) encode(dst []byte) []byte {
	at := len(dst)
	dst = binary.AppendUvarint(dst, a.count)
	dst = binary.AppendVarint(dst, int64(a.arrived))
	dst = binary.AppendUvarint(dst, uint64(len(a.blocks)))
	for _, b := range a.blocks {
		dst = binary.AppendUvarint(dst, uint64(b.Series))
		dst = binary.AppendUvarint(dst, uint64(len(b.Chunk)))
		dst = append(dst, b.Chunk...)
	}
	return binary.LittleEndian.AppendUint32(dst, atomSum(a.first, dst[at:]))
}

func atomSum(first uint64, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(sequenceKey(first), castagnoli), castagnoli, body)
}

// sequenceKey is a sequence as a bbolt key: big-endian, so that keys sort by sequence.
func sequenceKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// decodeAtom reads an atom from key and value. An error wraps errDamaged.
func decodeAtom(key, b []byte) (atom, error) {
	if len(key) != 8 || len(b) < 4 {
		return atom{}, fmt.Errorf("%w: atom of %d bytes under a key of %d bytes", errDamaged, len(b), len(key))
	}
	a := atom{first: binary.BigEndian.Uint64(key)}
	body := b[:len(b)-4]
	if got, want := atomSum(a.first, body), binary.LittleEndian.Uint32(b[len(b)-4:]); got != want {
		return a, fmt.Errorf("%w: atom %d: checksum %08x: want %08x", errDamaged, a.first, got, want)
	}
	bad := false
	next := func() uint64 {
		v, n := binary.Uvarint(body)
		if n <= 0 {
			bad, body = true, nil
			return 0
		}
		body = body[n:]
		return v
	}
	a.count = next()
	arrived := next()
	a.arrived = meter.Millis(int64(arrived>>1) ^ -int64(arrived&1))
	n := next()
	if bad || n > MaxAtom || a.count > MaxAtom {
		return a, fmt.Errorf("%w: atom %d: head", errDamaged, a.first)
	}
	a.blocks = make([]Block, 0, n)
	for range n {
		id, size := next(), next()
		if bad || size > uint64(len(body)) {
			return a, fmt.Errorf("%w: atom %d: blocks", errDamaged, a.first)
		}
		a.blocks = append(a.blocks, Block{Series: meter.SeriesID(id), Chunk: body[:size:size]})
		body = body[size:]
	}
	return a, nil
}
