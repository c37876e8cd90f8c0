package store_test

import (
	"slices"
	"testing"

	"fluxora.dev/agent/internal/store"
)

// TestNamedValuesThatMayWait are there at once, last from a flush on, and are lost with nothing else before.
func TestNamedValuesThatMayWait(t *testing.T) {
	dir := t.TempDir()
	open := func() *store.Store {
		s, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := func(s *store.Store, name, value string) {
		t.Helper()
		if v, err := s.Value(name); err != nil || string(v) != value {
			t.Errorf("%s: %q, %v, want %q", name, v, err, value)
		}
	}
	s := open()
	s.PutLater("a/1", []byte("x"))
	s.PutLater("a/2", []byte("y"))
	want(s, "a/1", "x")
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	want(s, "a/1", "x")
	s.PutLater("a/1", nil)
	s.PutLater("b", []byte("z"))
	want(s, "a/1", "")
	if err := s.Put("a/2", []byte("now")); err != nil { // flushes what waits, too
		t.Fatal(err)
	}
	if names, err := s.Names("a/"); err != nil || !slices.Equal(names, []string{"a/2"}) {
		t.Errorf("names %v, %v", names, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	want(s, "a/1", "")
	want(s, "a/2", "now")
	want(s, "b", "z")
}
