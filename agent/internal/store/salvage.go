package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"slices"

	"fluxora.dev/shared/meter"
)

// The layout of a bbolt file, version 2, as far as salvaging needs it: pages that begin with id 8, flags 2, count 2 and
// overflow 4, little-endian here; leaf elements of flags 4, position 4, key size 4 and value size 4, positions counted from
// the element; branch elements of position 4, key size 4 and page 8; and a meta page's magic 4, version 4, page size 4,
// flags 4, root page 8, sequence 8, freelist 8, high water mark 8, transaction 8 and FNV-1a sum 8.
const (
	pageHead    = 16
	elementSize = 16
	bucketHead  = 16
	flagBranch  = 1
	flagLeaf    = 2
	flagMeta    = 4
	flagFree    = 16
	boltMagic   = 0xED0CDAED
)

// maxOverflow bounds the pages that one page may say it goes on for.
const maxOverflow = 4096

// pages reads a bbolt file without bbolt, and believes nothing of it.
type pages struct {
	file io.ReaderAt
	size int64
}

func (p pages) count() uint64 { return uint64((p.size + pageSize - 1) / pageSize) }

// page returns n pages from id on, cut at the end of the file.
func (p pages) page(id, n uint64) []byte {
	if id >= p.count() {
		return nil
	}
	b := make([]byte, min(int64(n)*pageSize, p.size-int64(id)*pageSize))
	got, err := p.file.ReadAt(b, int64(id)*pageSize)
	if err != nil && !errors.Is(err, io.EOF) {
		clear(b[got:]) // a sector that cannot be read is one that holds nothing
	}
	return b
}

// boltMeta is what a meta page tells.
type boltMeta struct{ root, highWater, transaction uint64 }

// metas returns the meta pages that are sound, the newest first.
func (p pages) metas() (ms []boltMeta) {
	for id := range uint64(2) {
		b := p.page(id, 1)
		if len(b) < pageHead+64 {
			continue
		}
		m := b[pageHead:]
		sum := fnv.New64a()
		_, _ = sum.Write(m[:56])
		if binary.LittleEndian.Uint32(m) == boltMagic && binary.LittleEndian.Uint64(m[56:]) == sum.Sum64() {
			ms = append(ms, boltMeta{
				root: binary.LittleEndian.Uint64(m[16:]), highWater: binary.LittleEndian.Uint64(m[40:]), transaction: binary.LittleEndian.Uint64(m[48:]),
			})
		}
	}
	slices.SortFunc(ms, func(a, b boltMeta) int { return cmp.Compare(b.transaction, a.transaction) })
	return ms
}

// leaf calls fn with the elements of the leaf page that b begins with, up to count of them; those that do not lie within b
// are passed over and reported.
func leaf(b []byte, count int, fn func(flags uint32, key, value []byte)) (sound bool) {
	sound = true
	for i := range count {
		at := pageHead + i*elementSize
		if at+elementSize > len(b) {
			return false
		}
		e := b[at:]
		pos, k, v := uint64(binary.LittleEndian.Uint32(e[4:])), uint64(binary.LittleEndian.Uint32(e[8:])), uint64(binary.LittleEndian.Uint32(e[12:]))
		if pos < elementSize || pos+k+v > uint64(len(e)) {
			sound = false
			continue
		}
		fn(binary.LittleEndian.Uint32(e), e[pos:pos+k:pos+k], e[pos+k:pos+k+v:pos+k+v])
	}
	return sound
}

// fills reports whether the elements of the leaf page b are as many, and reach over as many pages, as its head says: bbolt
// writes keys and values right behind the elements, without holes. A head that lies would hide elements or whole pages.
func fills(b []byte, count int, overflow uint64) bool {
	if count == 0 {
		return overflow == 0
	}
	if len(b) < pageHead+count*elementSize || int(binary.LittleEndian.Uint32(b[pageHead+4:])) != count*elementSize {
		return false
	}
	at := pageHead + (count-1)*elementSize // the last element, whose value ends the page
	e := b[at:]
	end := uint64(at) + uint64(binary.LittleEndian.Uint32(e[4:])) + uint64(binary.LittleEndian.Uint32(e[8:])) + uint64(binary.LittleEndian.Uint32(e[12:]))
	return end <= uint64(len(b)) && (overflow == end/pageSize || overflow == (end-1)/pageSize)
}

// salvaged is what could be read of a damaged segment.
type salvaged struct {
	epoch  uint64 // 0 when it could not be read
	atoms  []rawAtom
	defs   map[meter.SeriesID]meter.Series
	end    uint64 // sequence behind the last atom
	intact bool   // every page that was ever in use could be read, so that nothing can be behind end
	newer  error  // set when a newer agent wrote the file
}

// salvageSegment takes every atom and definition that it can find in the pages of a file, in use or freed, whatever bbolt
// would say to them. Atoms are checksummed with their keys and never change, so one found anywhere is true. It reads each
// page a few times at most and keeps only what it found.
func salvageSegment(path string, limit int64) (x salvaged, err error) {
	f, err := os.Open(path)
	if err != nil {
		return x, fmt.Errorf("salvage: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return x, fmt.Errorf("salvage: %w", err)
	}
	p := pages{f, min(info.Size(), limit)}
	x.defs = make(map[meter.SeriesID]meter.Series)
	found := make(map[uint64][]byte)
	work := 32*p.size + 1<<20 // bytes to checksum at most: garbage can claim to overlap itself
	take := func(_ uint32, key, value []byte) bool {
		if len(key) == 4 {
			if def, ok := decodeSeries(value); ok {
				x.defs[meter.SeriesID(binary.BigEndian.Uint32(key))] = def
				return true
			}
		}
		if bytes.Equal(key, keyEpoch) && len(value) == 8 {
			x.epoch = cmp.Or(x.epoch, uint64Of(value))
			return true
		}
		if bytes.Equal(key, keySchema) && len(value) == 16 && uint64Of(value[:8]) == ^uint64Of(value[8:]) && uint64Of(value[:8]) > schemaVersion {
			x.newer = fmt.Errorf("%w: schema %d", ErrNewerSchema, uint64Of(value[:8]))
		}
		if len(key) != 8 || int64(len(value)) > work {
			return false
		}
		work -= int64(len(value))
		a, err := decodeAtom(key, value)
		if err != nil || a.count == 0 {
			return false
		}
		if old, ok := found[a.first]; !ok || len(value) > len(old) {
			found[a.first] = bytes.Clone(value)
		}
		return true
	}
	ms := p.metas()
	x.intact = len(ms) > 0 && info.Size()%pageSize == 0 && info.Size() <= limit && ms[0].highWater <= p.count()
	for id := uint64(2); id < p.count(); {
		n, sound := p.salvagePage(id, take)
		if len(ms) > 0 && id < ms[0].highWater && !sound {
			x.intact = false
		}
		id += n
	}
	for _, first := range slices.Sorted(maps.Keys(found)) {
		a, _ := decodeAtom(sequenceKey(first), found[first])
		if first < x.end {
			continue // of a commit that failed; the one before it says where the next begins
		}
		x.atoms = append(x.atoms, rawAtom{first, found[first]})
		x.end = first + a.count
	}
	return x, nil
}

// salvagePage gives the elements of a page to take. It returns over how many pages it goes, and whether bbolt wrote all of
// it.
func (p pages) salvagePage(id uint64, take func(flags uint32, key, value []byte) bool) (n uint64, sound bool) {
	b := p.page(id, 1)
	if len(b) < pageHead {
		return 1, false
	}
	own, flags, count := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint16(b[8:]), int(binary.LittleEndian.Uint16(b[10:]))
	overflow := uint64(binary.LittleEndian.Uint32(b[12:]))
	elements := func(b []byte, count int) bool {
		good := true
		inside := leaf(b, count, func(flags uint32, key, value []byte) {
			if flags&1 != 0 { // a bucket: one that is small has its only page in its value
				if len(value) >= bucketHead+pageHead && binary.LittleEndian.Uint64(value) == 0 {
					in := value[bucketHead:]
					count := int(binary.LittleEndian.Uint16(in[10:]))
					if !fills(in, count, 0) {
						good, count = false, (len(in)-pageHead)/elementSize
					}
					good = leaf(in, count, func(flags uint32, key, value []byte) {
						// Of values that are no atoms nothing can be said, but an atom that fails is damage.
						good = (take(flags, key, value) || len(key) != 8) && good
					}) && good
				}
				return
			}
			good = (take(flags, key, value) || len(key) != 8) && good
		})
		return good && inside
	}
	if own == id && overflow <= maxOverflow {
		switch flags {
		case flagLeaf:
			if overflow > 0 {
				b = p.page(id, overflow+1)
			}
			if uint64(len(b)) == (overflow+1)*pageSize && fills(b, count, overflow) && elements(b, count) {
				return overflow + 1, true
			}
		case flagBranch, flagFree:
			return 1, true // it holds nothing itself, and none of its pages is missed without it
		}
	}
	// The head may be what is damaged, so it is not asked how many elements or pages there are.
	elements(p.page(id, 17), (pageSize-pageHead)/elementSize)
	return 1, false
}
