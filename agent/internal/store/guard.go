package store

import (
	"errors"
	"fmt"
	"os"
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
func (d disk) openFile(path string, o bbolt.Options) (db *bbolt.DB, err error) {
	o.Timeout = time.Second
	o.PageSize = pageSize
	o.NoFreelistSync = true
	o.FreelistType = bbolt.FreelistMapType
	o.NoStatistics = true
	var file *os.File
	o.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		file, err = d.openBolt(path, flag, mode)
		return file, err
	}
	err = guard(func() error {
		db, err = bbolt.Open(path, 0o600, &o)
		return err
	})
	if err != nil && file != nil {
		_ = file.Close() // bbolt leaves it open, and locked, when it panics
	}
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
