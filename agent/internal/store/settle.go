package store

import (
	"fmt"
	"os"
	"sync"

	"go.etcd.io/bbolt"
)

// settled knows the bbolt files whose newest state is also the disk's.
//
// After a write or a sync that failed, or was cut short by kill -9, the two meta pages that this process reads back may be newer than
// those on the disk, and another sync need not change that. The next transaction would build on the newer state and write
// over pages that only the older one uses; if the power then goes, neither is whole. So before the first transaction on a
// file that was opened, and before the one after a failure, both meta pages are written again as they are read, and synced. (The
// pages that a meta page leads to were synced before it was written.)
type settled struct {
	mu    sync.Mutex
	files map[string]*bbolt.DB
}

// settle makes the newest state of db the disk's, unless it is known to be, and returns how many bytes it wrote for that.
func (x *settled) settle(db *bbolt.DB) (written int64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.files[db.Path()] == db {
		return 0, nil
	}
	if err := rewriteMetas(db.Path()); err != nil {
		return 0, fmt.Errorf("settle: %w", err)
	}
	if x.files == nil || len(x.files) > 4 { // those of closed segments are of no use any more
		x.files = make(map[string]*bbolt.DB)
	}
	x.files[db.Path()] = db
	return 2 * pageSize, nil
}

// doubt notes that a transaction on db failed.
func (x *settled) doubt(db *bbolt.DB) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.files, db.Path())
}

func rewriteMetas(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 2*pageSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return err
	}
	// One after the other, so that one of them is whole whenever the power goes.
	for at := int64(0); at < 2*pageSize; at += pageSize {
		if _, err := f.WriteAt(b[at:at+pageSize], at); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}
