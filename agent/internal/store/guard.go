package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// errDamaged marks what cannot be read any more.
var errDamaged = errors.New("damaged")

// pageSize is fixed, so that a directory can move between machines and the two meta pages never share a 4 KiB block.
const pageSize = 4096

// guard runs fn, which reads or writes a bbolt file, and turns the panics and page faults that a damaged file causes in
// bbolt into an error that wraps errDamaged. fn must not call code of other packages that could panic by itself.
func guard(fn func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return fn()
}

// openFile opens a bbolt file. An error wraps errDamaged when the contents are to blame.
func openFile(path string, o bbolt.Options) (db *bbolt.DB, err error) {
	o.Timeout = time.Second
	o.PageSize = pageSize
	o.NoFreelistSync = true
	o.FreelistType = bbolt.FreelistMapType
	o.NoStatistics = true
	err = guard(func() error {
		db, err = bbolt.Open(path, 0o600, &o)
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout), errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist):
		return nil, err
	case errors.Is(err, errDamaged), errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum),
		errors.Is(err, berrors.ErrVersionMismatch), strings.Contains(err.Error(), "file size too small"):
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil, err
}

// walk reads every key and value of db, so that whatever damage would panic later shows now, and in this goroutine.
func walk(db *bbolt.DB) error {
	return guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			sum := byte(0)
			return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
				return b.ForEach(func(k, v []byte) error {
					for i := 0; i < len(v); i += pageSize {
						sum ^= v[i]
					}
					return nil
				})
			})
		})
	})
}

// setAside renames a file that cannot be read and returns its new name.
func setAside(path string, now time.Time) (string, error) {
	base := path + ".damaged-" + now.UTC().Format("20060102T150405.000Z")
	to := base
	for i := 1; ; i++ {
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s-%d", base, i)
	}
	if err := os.Rename(path, to); err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	return filepath.Base(to), syncDir(filepath.Dir(path))
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
