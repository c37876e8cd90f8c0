package store

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"go.etcd.io/bbolt"
)

// disk is what the store asks of the operating system, one function each, so that a test can make a disk fail, fill it, or
// cut its power between any two writes. bbolt writes through the files that openBolt gives it, which must be real ones; a
// test therefore learns what it wrote from committed, which is called whenever a bbolt file was changed and synced; its error
// is as if the last sync had failed.
type disk struct {
	openBolt    func(path string, flag int, mode os.FileMode) (*os.File, error)
	committed   func(path string) error
	open        func(path string) (readFile, error)
	openJournal func(path string) (journalFile, error)
	rename      func(from, to string) error
	link        func(from, to string) error
	remove      func(path string) error
	truncate    func(path string, size int64) error
	syncDir     func(dir string) error
	free        func(dir string) (free, total int64, err error)
}

// readFile is a file that is only read.
type readFile interface {
	io.ReaderAt
	io.Closer
	Stat() (os.FileInfo, error)
}

// journalFile is a file that is written in place. Sync must return only when everything written before lasts.
type journalFile interface {
	ReadAt(b []byte, at int64) (int, error)
	WriteAt(b []byte, at int64) (int, error)
	Sync() error
	Close() error
}

// realDisk is the operating system.
func realDisk() disk {
	return disk{
		openBolt:  os.OpenFile,
		committed: func(string) error { return nil },
		open:      func(path string) (readFile, error) { return os.Open(path) },
		openJournal: func(path string) (journalFile, error) {
			f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				return nil, err
			}
			return osJournal{f}, nil
		},
		rename: os.Rename, link: os.Link, remove: os.Remove, truncate: os.Truncate, syncDir: syncDir, free: freeSpace,
	}
}

type osJournal struct{ *os.File }

// Sync makes the contents last. The journal never changes its size, so its metadata need not be synced.
func (f osJournal) Sync() error { return syscall.Fdatasync(int(f.Fd())) }

// freeSpace returns how many bytes this process may still write to the file system of dir, and how many it has in all.
func freeSpace(dir string) (free, total int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// syncDir makes renames and removals in dir lasting.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// update changes a bbolt file in one durable transaction, and counts what that wrote: its pages and the meta page.
func (s *Store) update(db *bbolt.DB, fn func(tx *bbolt.Tx) error) error {
	before, err := s.settled.settle(db)
	if err != nil {
		return err
	}
	written := int64(0)
	err = guard(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			tx.OnCommit(func() {
				stats := tx.Stats()
				written = stats.GetPageAlloc() + pageSize
			})
			return fn(tx)
		})
	})
	if e := s.o.disk.committed(db.Path()); err == nil {
		err = e
	}
	if err != nil {
		s.settled.doubt(db)
	}
	s.wear.note(s.o.Now(), before+written)
	return err
}
