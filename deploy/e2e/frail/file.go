package frail

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
)

const (
	pageSize   = 4096
	sectorSize = 512
)

// file is what a disk knows of a file that was not synced since it was written.
type file struct {
	f     *os.File
	size  int64           // that is durable
	pages map[int64]*page // that are volatile, by number
}

// page is what the disk still has where the file has something newer.
type page struct {
	durable []byte // shorter than a page at the end of the file
	doomed  bool   // a sync of it failed: it will never be written unless somebody writes it again
}

// touch keeps what is durable of n bytes from off on, which are about to change.
func (x *file) touch(off, n int64) error {
	for no := off / pageSize; no*pageSize < off+n; no++ {
		if p := x.pages[no]; p != nil {
			p.doomed = false
			continue
		}
		b := make([]byte, pageSize)
		k, err := x.f.ReadAt(b, no*pageSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		x.pages[no] = &page{durable: b[:k]}
	}
	return nil
}

// truncating keeps what a change of size to n takes away.
func (x *file) truncating(n int64) error {
	now, err := x.f.Seek(0, io.SeekEnd)
	if err != nil || n >= now {
		return err
	}
	return x.touch(n, now-n)
}

// synced notes that a sync ended, well or not, and reports whether nothing is volatile any more.
func (x *file) synced(well bool) bool {
	for no, p := range x.pages {
		if !well {
			p.doomed = true
		} else if !p.doomed {
			delete(x.pages, no)
		}
	}
	if n, err := x.f.Seek(0, io.SeekEnd); well && err == nil {
		x.size = n
	}
	return len(x.pages) == 0
}

// toll is what a loss of power did to volatile pages.
type toll struct{ lost, torn, kept, files int }

func (t *toll) add(o toll) {
	t.lost, t.torn, t.kept, t.files = t.lost+o.lost, t.torn+o.torn, t.kept+o.kept, t.files+o.files
}

func (t toll) String() string {
	return fmt.Sprintf("of the pages not synced in %d files, %d lost, %d torn, %d kept", t.files, t.lost, t.torn, t.kept)
}

// cut leaves of a file what a loss of power may leave.
func (x *file) cut(rng *rand.Rand, all bool) (t toll, err error) {
	now, err := x.f.Seek(0, io.SeekEnd)
	if err != nil {
		return t, err
	}
	t.files = 1
	for _, no := range slices.Sorted(maps.Keys(x.pages)) {
		p := x.pages[no]
		old := make([]byte, pageSize)
		copy(old, p.durable)
		switch fate := rng.IntN(3); {
		case all, p.doomed, fate == 0:
			t.lost++
			_, err = x.f.WriteAt(old, no*pageSize)
		case fate == 1:
			t.torn++
			for at := int64(0); at < pageSize && err == nil; at += sectorSize {
				if rng.IntN(2) == 0 {
					_, err = x.f.WriteAt(old[at:at+sectorSize], no*pageSize+at)
				}
			}
		default:
			t.kept++
		}
		if err != nil {
			return t, err
		}
	}
	size := now // pages put back may have made it longer
	if all || rng.IntN(2) == 0 {
		size = x.size
	}
	return t, x.f.Truncate(size)
}

func sorted(files map[uint64]*file) []uint64 { return slices.Sorted(maps.Keys(files)) }

func stat(fd int) (ino uint64, size int64, err error) {
	var st syscall.Stat_t
	err = syscall.Fstat(fd, &st)
	return st.Ino, st.Size, err
}
