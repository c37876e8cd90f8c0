package identity_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"fluxora.dev/agent/internal/identity"
	"fluxora.dev/proto/wire"
)

func openLineage(t *testing.T, dir string) *identity.Lineage {
	t.Helper()
	l, err := identity.OpenLineage(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func begin(t *testing.T, l *identity.Lineage) wire.Lineage {
	t.Helper()
	h, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func sameLineage(a, b wire.Lineage) bool {
	return bytes.Equal(a.Last, b.Last) && bytes.Equal(a.Receipt, b.Receipt) && bytes.Equal(a.Next, b.Next)
}

func TestLineage(t *testing.T) {
	dir := t.TempDir()
	l := openLineage(t, dir)
	first := begin(t, l)
	if len(first.Last) != 0 || len(first.Next) != 16 {
		t.Errorf("the first session is said to be %x after %x", first.Next, first.Last)
	}
	for _, l := range []*identity.Lineage{l, openLineage(t, dir)} { // the Welcome was lost; the agent died
		if again := begin(t, l); !sameLineage(again, first) {
			t.Errorf("the session is said to be %+v: want %+v again", again, first)
		}
	}
	if err := l.Begun(first.Next, nil); err != nil { // a hub of the version before
		t.Fatal(err)
	}
	if again := begin(t, l); !sameLineage(again, first) {
		t.Errorf("after a welcome without a receipt: %+v: want %+v", again, first)
	}
	if err := l.Begun(first.Next, []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	l = openLineage(t, dir)
	second := begin(t, l)
	if !bytes.Equal(second.Last, first.Next) || string(second.Receipt) != "receipt" || bytes.Equal(second.Next, first.Next) || len(second.Next) != 16 {
		t.Errorf("after %+v began: %+v", first, second)
	}
	if e := l.Epoch(77); e != 77 {
		t.Errorf("the hub is told epoch %d: want the store's, 77", e)
	}
	if err := l.NewEpoch(); err != nil {
		t.Fatal(err)
	}
	if e, again := l.Epoch(77), openLineage(t, dir).Epoch(77); e == 77 || e != again || e >= 1<<63 {
		t.Errorf("the hub is told epoch %d, after a restart %d: want another, the same", e, again)
	}
	if !sameLineage(begin(t, l), second) {
		t.Error("a new epoch changed the lineage")
	}
}

// TestLineageSurvivesCrashes tears each write at each place: what was kept before, or after, is there.
func TestLineageSurvivesCrashes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lineage")
	l := openLineage(t, dir)
	if err := l.Begun(begin(t, l).Next, []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := begin(t, l)
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(written) + 1 {
		torn := append(bytes.Clone(written[:cut]), before[min(cut, len(before)):]...)
		if cut > 200 && cut < 4000 { // nothing is there
			continue
		}
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		got := begin(t, openLineage(t, dir))
		if !bytes.Equal(got.Last, after.Last) || !bytes.Equal(got.Receipt, after.Receipt) {
			t.Fatalf("torn at %d: %+v: want what %+v follows", cut, got, after)
		}
		if cut == len(written) && !sameLineage(got, after) {
			t.Errorf("whole: %+v: want %+v", got, after)
		}
	}
}

func TestDamagedLineage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lineage")
	l := openLineage(t, dir)
	want := begin(t, l)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		if at%4096 > 80 {
			continue
		}
		flipped := bytes.Clone(whole)
		flipped[at] ^= 0x10
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := begin(t, openLineage(t, dir)); !sameLineage(got, want) {
			t.Fatalf("a bit flipped at %d: %+v: want %+v", at, got, want)
		}
	}
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err = identity.OpenLineage(dir)
	if err == nil {
		t.Error("rubbish was taken for a lineage")
	}
	if got := begin(t, l); len(got.Last) != 0 || len(got.Next) == 0 {
		t.Errorf("after rubbish: %+v", got)
	}
	openLineage(t, dir) // it is whole again
}

func TestLineageOnADiskThatTakesNothing(t *testing.T) {
	l, err := identity.OpenLineage(filepath.Join(t.TempDir(), "missing"))
	if err != nil {
		t.Fatal(err)
	}
	if h, err := l.Begin(); err == nil || len(h.Next) != 0 {
		t.Errorf("Hello is to say %+v, %v: want no session, and an error", h, err)
	}
}
