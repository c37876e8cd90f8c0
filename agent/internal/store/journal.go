package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"fluxora.dev/shared/meter"
)

// journalName is the file that an Append writes to.
const journalName = "journal"

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

// journal is the file that makes an Append durable with one write and one sync, until its atoms are carried into the active
// segment. Its space is taken once, in zeros that were written, and used again and again, so that a sync has neither a size
// nor an extent to write beside the data. It is guarded by Store.appending.
type journal struct {
	file       journalFile
	size       int64
	at         int64 // where the next record goes
	generation uint64
	broken     bool // a write failed: what the disk holds is not known until it is made anew
}

// write makes r durable and returns how many bytes of whole pages that took.
func (j *journal) write(b []byte) (int64, error) {
	_, err := j.file.WriteAt(b, j.at)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// The kernel may have forgotten pages that it could not write: a later sync would say nothing of them.
		j.broken = true
		return 0, fmt.Errorf("write journal: %w", err)
	}
	pages := (j.at+int64(len(b))-1)/pageSize - j.at/pageSize + 1
	j.at += int64(len(b))
	return pages * pageSize, nil
}

// fits reports whether a record of n bytes can be written.
func (j *journal) fits(n int) bool {
	return j != nil && !j.broken && j.at+int64(n) <= j.size
}

// restart lets the journal be written from its start again, when everything in it is in a segment.
func (j *journal) restart() {
	if j != nil && j.at > 0 {
		j.at = 0
		j.generation++
	}
}

// createJournal makes a journal of size bytes of zeros in place of whatever is there.
func (d disk) createJournal(dir string, size int64, generation uint64) (*journal, error) {
	path := filepath.Join(dir, journalName)
	fresh := path + ".new"
	if err := d.remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	f, err := d.openJournal(fresh)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	// Page by page: where the kernel caches what was written at once in one piece, it would call all of that dirty later.
	for at := int64(0); at < size && err == nil; at += pageSize {
		_, err = f.WriteAt(make([]byte, pageSize), at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = d.rename(fresh, path)
	}
	if err == nil {
		err = d.syncDir(dir)
	}
	if err != nil {
		_ = f.Close()
		_ = d.remove(fresh)
		return nil, fmt.Errorf("create journal: %w", err)
	}
	return &journal{file: f, size: size, generation: generation}, nil
}

// readJournal returns every record that can be read, ascending by sequence and then from the newest generation down, and of
// the newest generation the records whose head alone can be read. A journal that is not there has none.
func (d disk) readJournal(dir string) (whole, torn []record, err error) {
	path := filepath.Join(dir, journalName)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	f, err := d.openJournal(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	b := make([]byte, min(info.Size(), 4*maxJournal))
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("read journal: %w", err)
	}
	whole, torn = scanRecords(b[:n])
	return whole, torn, nil
}

func scanRecords(b []byte) (whole, torn []record) {
	newest := uint64(0)
	for at := 0; at+recordHead <= len(b); {
		r, n, err := decodeRecord(b[at:])
		switch {
		case n == 0:
			at += recordAlign
			continue
		case err != nil:
			torn = append(torn, r)
		default:
			whole = append(whole, r)
		}
		newest = max(newest, r.generation)
		at += n
	}
	torn = slices.DeleteFunc(torn, func(r record) bool { return r.generation != newest })
	slices.SortFunc(whole, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.generation, a.generation))
	})
	return whole, torn
}
