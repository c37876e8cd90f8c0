package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"slices"
)

// The layout of a bbolt file, version 2, as far as it is read here: pages that begin with id 8, flags 2, count 2 and
// overflow 4, little-endian here; leaf elements of flags 4, position 4, key size 4 and value size 4, positions counted from
// the element; branch elements of position 4, key size 4 and page 8; and a meta page's magic 4, version 4, page size 4,
// flags 4, root page 8, sequence 8, freelist 8, high water mark 8, transaction 8 and FNV-1a sum 8.
const (
	pageHead    = 16
	elementSize = 16
	bucketHead  = 16
	flagBranch  = 1
	flagLeaf    = 2
	boltMagic   = 0xED0CDAED
)

// maxOverflow bounds the pages that one page may say it goes on for.
const maxOverflow = 4096

// sectorSize is the least that storage loses at once.
const sectorSize = 512

// pages reads a bbolt file without bbolt, and believes nothing of it: over a damaged file bbolt panics, in part in goroutines
// where nothing can catch it, or returns memory that is not the file's.
type pages struct {
	file io.ReaderAt
	size int64
}

func pagesOf(f readFile) (pages, error) {
	info, err := f.Stat()
	if err != nil {
		return pages{}, err
	}
	return pages{f, info.Size()}, nil
}

// openPages opens a file to read its pages; done closes it.
func (d disk) openPages(path string) (p pages, done func(), err error) {
	f, err := d.open(path)
	if err != nil {
		return p, nil, err
	}
	if p, err = pagesOf(f); err != nil {
		_ = f.Close()
		return p, nil, err
	}
	return p, func() { _ = f.Close() }, nil
}

func (p pages) count() uint64 { return uint64((p.size + pageSize - 1) / pageSize) }

// page returns n pages from id on, cut at the end of the file.
func (p pages) page(id, n uint64) []byte {
	if id >= p.count() {
		return nil
	}
	b := make([]byte, min(int64(n)*pageSize, p.size-int64(id)*pageSize))
	if _, err := p.file.ReadAt(b, int64(id)*pageSize); err != nil && !errors.Is(err, io.EOF) {
		p.readEach(b, int64(id)*pageSize)
	}
	return b
}

// readEach fills b sector by sector; one that cannot be read, several times, holds nothing.
func (p pages) readEach(b []byte, at int64) {
	for len(b) > 0 {
		n := min(sectorSize, len(b))
		for try := range 4 {
			got, err := p.file.ReadAt(b[:n], at)
			if err == nil || errors.Is(err, io.EOF) {
				break
			}
			if try == 3 {
				clear(b[got:n])
			}
		}
		b, at = b[n:], at+int64(n)
	}
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
