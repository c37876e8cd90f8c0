package store

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"go.etcd.io/bbolt"
)

// TestFailedTransactionIsSettled shows that the meta pages of a file are written again, as they are, before the first transaction on
// it and before the one after a failure, and not otherwise. What that is good for, package frail and the fault campaign show.
func TestFailedTransactionIsSettled(t *testing.T) {
	s, err := Open(QuickDir(t), Options{MaxBytes: 1 << 20, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	settled := func() bool { return s.settled.files[s.state.Path()] == s.state }
	update := func(fn func(*bbolt.Tx) error) error {
		s.flushing.Lock()
		defer s.flushing.Unlock()
		return s.update(s.state, fn)
	}
	if err := update(func(*bbolt.Tx) error { return nil }); err != nil || !settled() {
		t.Fatalf("%v, settled %t: want it to be, after a transaction", err, settled())
	}
	broken := errors.New("broken")
	if err := update(func(*bbolt.Tx) error { return broken }); !errors.Is(err, broken) || settled() {
		t.Fatalf("%v, settled %t: want it not to be, after one that failed", err, settled())
	}
	before, err := os.ReadFile(s.state.Path())
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.settled.settle(s.state)
	if err != nil || n != 2*pageSize || !settled() {
		t.Fatalf("%d bytes written, %v, settled %t: want both meta pages", n, err, settled())
	}
	after, err := os.ReadFile(s.state.Path())
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("settling changed the file: %v", err)
	}
	if n, err := s.settled.settle(s.state); n != 0 || err != nil {
		t.Errorf("%d bytes written again, %v: want none", n, err)
	}
}
