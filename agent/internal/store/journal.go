package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// journalName is the file that an Append writes to.
const journalName = "journal"

// journal is the file that makes an Append durable with one write and one sync, until its atoms are carried into the active
// segment. Its space is written once, and used again and again, so that a sync has neither a size nor an extent to write
// beside the data. It is guarded by Store.appending.
type journal struct {
	file       journalFile
	size       int64 // of the file; its last sector stays unwritten
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
	return j != nil && !j.broken && j.at+int64(n) <= j.size-sectorSize
}

// restart lets the journal be written from its start again, when everything in it is in a segment.
func (j *journal) restart() {
	if j != nil && j.at > 0 {
		j.at = 0
		j.generation++
	}
}

// unwrittenMark begins every 16 bytes of the journal that were never written to; the offset follows. So what storage gives for
// a block that it lost, as zeros, or has put in another's place, is not taken for one that was never written.
const unwrittenMark = "journal\n"

// unwritten returns n bytes of a journal at an offset that were never written to; both are multiples of 16.
func unwritten(at, n int64) []byte {
	b := make([]byte, 0, n)
	for end := at + n; at < end; at += 16 {
		b = binary.LittleEndian.AppendUint64(append(b, unwrittenMark...), uint64(at))
	}
	return b
}

// createJournal makes an unwritten journal of size bytes in place of whatever is there.
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
		_, err = f.WriteAt(unwritten(at, pageSize), at)
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
