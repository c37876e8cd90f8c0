package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"fluxora.dev/shared/meter"
)

func (s *Store) statePath() string { return filepath.Join(s.dir, "state.db") }

// openState opens state.db and reads what is kept in memory. A damaged one is set aside and made anew of what can be
// salvaged of it.
func (s *Store) openState() error {
	path := s.statePath()
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := s.makeState(nil, nil); err != nil {
			return err
		}
		return s.readState(path)
	}
	why := s.readState(path)
	if !errors.Is(why, errDamaged) {
		return why
	}
	keep := func() error {
		name, err := s.o.disk.setAside(path, s.o.Now(), true)
		if err == nil {
			s.reportAside(path, name, why)
		}
		return err
	}
	found, whole, err := s.o.disk.salvageState(path)
	if err != nil {
		found = nil
	}
	if v, ok := found[string(bucketStore)][string(keySchema)]; ok && len(v) == 16 && uint64Of(v[:8]) > Schema && uint64Of(v[:8]) == ^uint64Of(v[8:]) {
		return fmt.Errorf("%w: schema %d", ErrNewerSchema, uint64Of(v[:8]))
	}
	maps.DeleteFunc(found[string(bucketSeries)], func(_ string, v []byte) bool {
		_, ok := decodeSeries(v)
		return !ok // segments have it too
	})
	if !whole {
		// The log is applied again from its start, onto nothing that has seen a part of it.
		delete(found[string(bucketStore)], string(keyApplied))
		maps.DeleteFunc(found[string(bucketDerived)], func(k string, _ []byte) bool { return s.o.Keep == nil || !s.o.Keep([]byte(k)) })
	}
	if err = s.makeState(found, keep); isFull(err) {
		if err = s.o.disk.remove(path); err == nil { // it makes the room for what is left of it
			err = s.makeState(found, nil)
		}
	}
	if err != nil {
		return err
	}
	err = s.readState(path)
	if errors.Is(err, errDamaged) { // what was salvaged makes no sense
		found = nil
		if err = s.makeState(nil, nil); err == nil {
			err = s.readState(path)
		}
	}
	s.report = append(s.report, fmt.Sprintf("state.db: %d entries salvaged", sizeOf(found)))
	s.o.Log.Error("state.db was damaged", "entries salvaged", sizeOf(found), "all of an earlier state", whole)
	return err
}

// makeState makes a state.db that holds found, by bucket, and calls before, if set, before it takes its place. One that was
// never finished would be taken for a damaged one, so it is made under another name.
func (s *Store) makeState(found map[string]map[string][]byte, before func() error) error {
	path := s.statePath()
	fresh := path + ".new"
	if err := s.o.disk.remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := s.o.disk.openFile(fresh, bbolt.Options{})
	if err != nil {
		return err
	}
	err = s.update(db, func(tx *bbolt.Tx) error {
		for _, name := range stateBuckets {
			b, err := tx.CreateBucket(name)
			if err != nil {
				return err
			}
			for k, v := range found[string(name)] {
				if err := b.Put([]byte(k), v); err != nil {
					return err
				}
			}
		}
		if err := tx.Bucket(bucketStore).Put(keySchema, schemaValue(Schema)); err != nil {
			return err
		}
		return putHeadSum(tx)
	})
	if e := db.Close(); err == nil {
		err = e
	}
	if err == nil && before != nil {
		err = before()
	}
	if err == nil {
		err = s.o.disk.rename(fresh, path)
	}
	if err == nil {
		err = s.o.disk.syncDir(s.dir)
	}
	return err
}

func (s *Store) readState(path string) error {
	// Opening for writing reads every page in a goroutine of bbolt's, where a panic over a damaged one could not be caught.
	if err := s.o.disk.checkFile(path); err != nil {
		return err
	}
	db, err := s.o.disk.openFile(path, bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	err = guard(func() error { return db.View(s.loadState) })
	if e := db.Close(); err == nil {
		err = e
	}
	if err != nil {
		s.forgetState()
		return err
	}
	limit := s.o.MaxBytes / 2
	if db, err = s.o.disk.openFile(path, bbolt.Options{MaxSize: int(min(limit, 1<<30)), InitialMmapSize: int(min(limit, 8<<20))}); err != nil {
		return err
	}
	db.AllocSize = 64 << 10
	if err := s.upgrade(db); err != nil {
		// On a full or read-only disk the journal is not written either.
		s.o.Log.Error("state.db cannot be written at the moment", "error", err)
		s.upgraded = false
	} else {
		s.upgraded = true
	}
	s.state = db
	return nil
}

// loadState reads into memory what is kept there.
func (s *Store) loadState(tx *bbolt.Tx) error {
	for _, name := range stateBuckets {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: bucket %s is missing", errDamaged, name)
		}
	}
	b := tx.Bucket(bucketStore)
	var err error
	if s.schema, err = checkSchema(b.Get(keySchema)); err != nil {
		return err
	}
	head, err := headOf(tx)
	if err == nil {
		err = checkHead(head)
	}
	if err != nil {
		return err
	}
	s.epoch = uint64Of(b.Get(keyEpoch))
	s.next = max(uint64Of(b.Get(keyNext)), 1)
	s.applied = max(uint64Of(b.Get(keyApplied)), 1)
	s.flushed = s.applied
	if s.acked, err = decodeRanges(b.Get(keyAcked)); err != nil {
		return err
	}
	if err := s.decodeLosses(b.Get(keyLost)); err != nil {
		return err
	}
	if err := readSeries(tx.Bucket(bucketSeries), s.series); err != nil {
		return err
	}
	if err := s.loadForecasts(tx.Bucket(bucketForecasts)); err != nil {
		return err
	}
	return s.loadQuarantine(tx)
}

// forgetState undoes loadState.
func (s *Store) forgetState() {
	s.epoch, s.next, s.applied, s.flushed, s.acked, s.lost, s.old, s.thinned = 0, 1, 1, 0, nil, nil, oldLosses{}, nil
	clear(s.series)
	clear(s.trimmed)
	clear(s.latest)
	s.quar = quarantineState{Next: 1, Sent: 1, Oldest: 1}
}

// Entry is a key of derived state and its value; a nil value deletes the key.
type Entry struct{ Key, Value []byte }

// Applied returns the sequence below which derived state has every reading, as of the last PutDerived.
func (s *Store) Applied() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

// PutDerived writes entries of derived state together with the sequence below which they hold every reading, and
// whatever else waits for a flush, in one durable transaction. Keys and values belong to one caller, the owner of derived
// state, and must not be changed until it returns.
func (s *Store) PutDerived(applied uint64, entries []Entry) error {
	err := s.flush(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDerived)
		for _, e := range entries {
			var err error
			if e.Value == nil {
				err = b.Delete(e.Key)
			} else {
				err = b.Put(e.Key, e.Value)
			}
			if err != nil {
				return err
			}
		}
		return tx.Bucket(bucketStore).Put(keyApplied, sequenceKey(applied))
	})
	if err != nil {
		return fmt.Errorf("put %d entries of derived state: %w", len(entries), err)
	}
	s.mu.Lock()
	s.applied, s.flushed = applied, applied
	s.mu.Unlock()
	return nil
}

// ScanDerived calls fn with the entries of derived state in [from, to) by key, until fn returns an error, which it
// returns. Keys and values are the callee's.
func (s *Store) ScanDerived(from, to []byte, fn func(key, value []byte) error) error {
	var found []Entry
	err := s.viewState(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketDerived).Cursor()
		for k, v := c.Seek(from); k != nil && bytes.Compare(k, to) < 0; k, v = c.Next() {
			found = append(found, Entry{bytes.Clone(k), bytes.Clone(v)})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("scan derived state: %w", err)
	}
	for _, e := range found {
		if err := fn(e.Key, e.Value); err != nil {
			return err
		}
	}
	return nil
}

// Put stores a named value durably; nil deletes it.
func (s *Store) Put(name string, value []byte) error {
	err := s.flush(func(tx *bbolt.Tx) error { return putNamed(tx, name, value) })
	if err != nil {
		return fmt.Errorf("put %q: %w", name, err)
	}
	return nil
}

// PutLater stores a named value that may be lost; nil deletes it. It lasts from the next Flush on, and Value returns it at
// once. The store keeps value, which must not be changed any more.
func (s *Store) PutLater(name string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty.named[name] = value
}

// Value returns a named value, nil when there is none.
func (s *Store) Value(name string) (v []byte, err error) {
	s.mu.Lock()
	v, ok := s.dirty.named[name]
	s.mu.Unlock()
	if ok {
		return bytes.Clone(v), nil
	}
	err = s.viewState(func(tx *bbolt.Tx) error {
		v = bytes.Clone(tx.Bucket(bucketNamed).Get([]byte(name)))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	return v, nil
}

func putNamed(tx *bbolt.Tx, name string, value []byte) error {
	if value == nil {
		return tx.Bucket(bucketNamed).Delete([]byte(name))
	}
	return tx.Bucket(bucketNamed).Put([]byte(name), value)
}

// Names returns the names of named values that begin with prefix, those that wait for a Flush left out.
func (s *Store) Names(prefix string) (names []string, err error) {
	err = s.viewState(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketNamed).Cursor()
		for k, _ := c.Seek([]byte(prefix)); bytes.HasPrefix(k, []byte(prefix)); k, _ = c.Next() {
			names = append(names, string(k))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	return names, nil
}

// Flush writes what is only in memory: acks, series, lost ranges, forecasts, named values that may wait.
func (s *Store) Flush() error {
	if err := s.flush(nil); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// StateFull reports whether err says that state.db has reached its share of the cap, which is half.
func StateFull(err error) bool { return errors.Is(err, berrors.ErrMaxSizeReached) }

func (s *Store) viewState(fn func(tx *bbolt.Tx) error) error {
	s.flushing.Lock() // not for bbolt's sake, but so that shut cannot come between
	defer s.flushing.Unlock()
	if s.state == nil {
		return ErrClosed
	}
	return guard(func() error { return s.state.View(fn) })
}

// flush writes what is dirty, and what more adds, in one transaction.
func (s *Store) flush(more func(tx *bbolt.Tx) error) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if s.state == nil {
		return ErrClosed
	}
	s.mu.Lock()
	d := s.dirty
	if more == nil && !d.head && len(d.series) == 0 && len(d.forecasts) == 0 && len(d.named) == 0 {
		s.mu.Unlock()
		return nil
	}
	s.dirty = dirty{series: make(map[meter.SeriesID]bool), forecasts: make(map[pointRegister]bool), named: make(map[string][]byte)}
	head := []Entry{{keyEpoch, sequenceKey(s.epoch)}, {keyNext, sequenceKey(s.next)}, {keyAcked, s.acked.encode()}}
	lost, err := s.encodeLosses()
	counts := s.quar
	head = append(head, Entry{keyLost, lost})
	defs := maps.Clone(s.series)
	forecasts := make(map[pointRegister][]byte)
	for key := range d.forecasts {
		b, e := json.Marshal(s.latest[key])
		forecasts[key], err = b, errors.Join(err, e)
	}
	s.mu.Unlock()

	if err == nil {
		err = s.update(s.state, func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketStore)
			for _, e := range head {
				if err := b.Put(e.Key, e.Value); err != nil {
					return err
				}
			}
			if err := putCounts(tx, counts); err != nil {
				return err
			}
			for id := range d.series {
				if err := putSeries(tx.Bucket(bucketSeries), id, defs[id]); err != nil {
					return err
				}
			}
			for key, v := range forecasts {
				if err := tx.Bucket(bucketForecasts).Put(key.key(), v); err != nil {
					return err
				}
			}
			for name, v := range d.named {
				if err := putNamed(tx, name, v); err != nil {
					return err
				}
			}
			if more != nil {
				if err := more(tx); err != nil {
					return err
				}
			}
			return putHeadSum(tx)
		})
	}
	if err != nil {
		s.mu.Lock()
		s.dirty.head = true
		maps.Copy(s.dirty.series, d.series)
		maps.Copy(s.dirty.forecasts, d.forecasts)
		for name, v := range d.named {
			if _, newer := s.dirty.named[name]; !newer {
				s.dirty.named[name] = v
			}
		}
		s.mu.Unlock()
	}
	return err
}
