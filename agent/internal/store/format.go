package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"
)

// oldestSchema is the oldest version that is read, and that Downgrade writes.
const oldestSchema = 1

// upgrade marks state.db as being of this version, before the journal is written, which older versions would not read, or not
// understand: their agents then refuse the directory instead of forgetting readings that were acknowledged. Segments stay as
// they are: all versions read them, since what a newer one adds to them is passed over by older ones.
func (s *Store) upgrade(db *bbolt.DB) error {
	var old bool
	err := guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			old = string(tx.Bucket(bucketStore).Get(keySchema)) != string(schemaValue(Schema))
			return nil
		})
	})
	if err != nil || !old {
		return err
	}
	s.o.Log.Info("the store is brought up to this version", "schema", Schema)
	return s.update(db, func(tx *bbolt.Tx) error { return tx.Bucket(bucketStore).Put(keySchema, schemaValue(Schema)) })
}

// Downgrade makes the store in dir, which must not be open, readable by an agent that knows schema version only: it carries
// what is in the journal into a segment, deletes the journal and marks every file. Nothing is lost by it but, down to version
// 1, the list of what was thinned, which that does not keep: it counts those readings as delivered. It may be repeated, and
// opening the store with this agent brings it up again.
func Downgrade(dir string, version uint64) error {
	if version < oldestSchema || version >= Schema {
		return fmt.Errorf("downgrade store %s to schema %d: want %d to %d", dir, version, oldestSchema, Schema-1)
	}
	if _, err := os.Stat(filepath.Join(dir, "state.db")); err != nil {
		return fmt.Errorf("downgrade: there is no store in %s: %w", dir, err)
	}
	s, err := Open(dir, Options{MaxBytes: 1 << 62, MinFree: -1})
	if err != nil {
		return fmt.Errorf("downgrade: %w", err)
	}
	s.salvageClosed()
	if err := s.Close(); err != nil {
		return fmt.Errorf("downgrade: %w", err)
	}
	if err := s.downgrade(version); err != nil {
		return fmt.Errorf("downgrade store %s to schema %d: %w", dir, version, err)
	}
	return nil
}

// salvageClosed reads all closed segments and salvages the damaged ones.
func (s *Store) salvageClosed() {
	s.appending.Lock()
	defer s.appending.Unlock()
	s.mu.Lock()
	segments := slices.Clone(s.segments)
	s.mu.Unlock()
	for _, g := range segments {
		if err := s.o.disk.checkFile(g.path); !g.writable && errors.Is(err, errDamaged) {
			s.dropDamaged(g, err)
		}
	}
}

// downgrade marks the files of a closed store. State.db is the last: until then this version has the directory.
func (s *Store) downgrade(version uint64) error {
	if err := s.takeLock(); err != nil {
		return err
	}
	defer func() { _ = s.lock.Close() }()
	if len(s.tail.atoms) > 0 {
		return errUnwritten
	}
	if err := s.o.disk.remove(filepath.Join(s.dir, journalName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	paths := make([]string, 0, len(s.segments)+1)
	for _, g := range s.segments {
		paths = append(paths, g.path)
	}
	for _, path := range append(paths, s.statePath()) {
		if err := s.o.disk.checkFile(path); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		db, err := s.o.disk.openFile(path, bbolt.Options{})
		if err != nil {
			return err
		}
		err = s.update(db, func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketStore)
			if err := b.Delete(keySum); err != nil { // an older agent would not keep it up
				return err
			}
			return b.Put(keySchema, schemaValue(version))
		})
		if e := db.Close(); err == nil {
			err = e
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return s.o.disk.syncDir(s.dir)
}
