package artifact_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/model"

	"fluxora.dev/agent/internal/artifact"
)

// source serves artifacts in pieces of ten bytes and breaks when told to.
type source struct {
	mu      sync.Mutex
	bytes   map[string][]byte
	breakAt int // bytes served of one call before it breaks; 0 never
	asked   []uint64
	served  int
}

var errBroken = errors.New("connection lost")

func (s *source) Artifact(_ context.Context, id string, offset uint64, fn func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, offset)
	b := s.bytes[id]
	for i, n := int(offset), 0; i < len(b); i, n = i+10, n+10 {
		if s.breakAt > 0 && n >= s.breakAt {
			return errBroken
		}
		s.served += min(10, len(b)-i)
		if err := fn(b[i:min(i+10, len(b))]); err != nil {
			return err
		}
	}
	return nil
}

// bench is a cache with what it needs.
type bench struct {
	t       *testing.T
	dir     string
	public  ed25519.PublicKey
	private ed25519.PrivateKey
	source  source
	version string
	check   func([]byte) error
	cache   *artifact.Cache
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), source: source{bytes: make(map[string][]byte)}, check: func([]byte) error { return nil }}
	b.public, b.private, _ = ed25519.GenerateKey(nil)
	b.open()
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	b.cache, err = artifact.Open(artifact.Options{
		Dir: b.dir, Key: func() ed25519.PublicKey { return b.public }, Check: func(p []byte) error { return b.check(p) },
		Log: slog.New(slog.NewTextHandler(b.t.Output(), nil)), Version: b.version,
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func content(id string) []byte { return []byte(strings.Repeat("artifact "+id+" ", 20)) }

// version puts a model into the source and returns its announcement.
func (b *bench) model(id string) wire.ModelVersion {
	c := content(id)
	b.source.bytes[id] = c
	digest := sha256.Sum256(c)
	return wire.ModelVersion{ID: id, Size: uint64(len(c)), SHA256: digest, Signature: model.Sign(b.private, digest)}
}

// run announces vs and works for the given time of a synctest bubble.
func (b *bench) run(d time.Duration, vs ...wire.ModelVersion) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	b.cache.Announce(vs)
	if err := b.cache.Run(ctx, &b.source); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) want(active, previous string) {
	b.t.Helper()
	for i, c := range []struct {
		want string
		got  func() (artifact.Model, bool)
	}{{active, b.cache.Active}, {previous, b.cache.Previous}} {
		m, ok := c.got()
		if m.ID != c.want || ok != (c.want != "") || ok && !bytes.Equal(m.Bytes, content(c.want)) {
			b.t.Errorf("place %d holds %q: want %q with its bytes", i, m.ID, c.want)
		}
	}
}

func (b *bench) files() (names []string) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (b *bench) wantRefused(id, reason string) {
	b.t.Helper()
	for _, s := range b.cache.States() {
		if s.ID == id && s.State == wire.ModelRefused && strings.Contains(s.Detail, reason) {
			return
		}
	}
	b.t.Errorf("states %+v: want %s refused because …%s…", b.cache.States(), id, reason)
}

func TestPromotionRollBackAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.want("", "")
		m1, m2, m3 := b.model("m1"), b.model("m2"), b.model("m3")
		b.run(time.Minute, m1)
		b.want("m1", "")
		b.run(time.Minute, m2, m1)
		b.want("m2", "m1")
		served := b.source.served
		b.open()
		b.want("m2", "m1")
		b.run(time.Minute, m2, m1)
		if b.source.served != served {
			t.Error("downloaded again what is held")
		}
		b.run(time.Minute, m3, m2)
		b.want("m3", "m2")
		b.run(time.Minute, m2) // rolled back
		b.want("m2", "")
		b.run(time.Minute)
		b.want("m2", "")
		if got := fmt.Sprint(b.files()); got != "[index.json m2.model]" {
			t.Errorf("files %s", got)
		}
		states := b.cache.States()
		if len(states) != 1 || states[0] != (wire.ModelState{ID: "m2", State: wire.ModelActive}) {
			t.Errorf("states %+v", states)
		}
		b.cache.Reported(states)
		if again := b.cache.States(); len(again) != 0 {
			t.Errorf("reported again: %+v", again)
		}
		select {
		case <-b.cache.Changed():
		default:
			t.Error("nobody was told of a change")
		}
	})
}

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		m := b.model("m1")
		b.source.breakAt = 50
		b.run(time.Second, m) // one try
		b.want("", "")
		b.open() // a restart in between
		b.run(time.Hour, m)
		b.want("m1", "")
		for i, offset := range b.source.asked {
			if offset != uint64(50*i) {
				t.Fatalf("asked from %v: want each to go on 50 bytes further", b.source.asked)
			}
		}
		if b.source.served != int(m.Size) {
			t.Errorf("%d bytes served for %d", b.source.served, m.Size)
		}
	})
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(b *bench, m *wire.ModelVersion)
		reason string
		asked  int // downloads
	}{
		{"tampered bytes", func(b *bench, m *wire.ModelVersion) { b.source.bytes["m2"][7] ^= 1 }, "not the one announced", 1},
		{"truncated", func(b *bench, m *wire.ModelVersion) { b.source.bytes["m2"] = b.source.bytes["m2"][:33] }, "not the one announced", 1},
		{"longer", func(b *bench, m *wire.ModelVersion) {
			b.source.bytes["m2"] = append(b.source.bytes["m2"], make([]byte, 1<<20)...)
			b.source.bytes["m2"][0] ^= 1
		}, "not the one announced", 1},
		{"tampered digest", func(b *bench, m *wire.ModelVersion) { m.SHA256[0] ^= 1 }, "signature", 0},
		{"no signature", func(b *bench, m *wire.ModelVersion) { m.Signature = nil }, "signature", 0},
		{"another signer", func(b *bench, m *wire.ModelVersion) {
			_, key, _ := ed25519.GenerateKey(nil)
			m.Signature = model.Sign(key, m.SHA256)
		}, "signature", 0},
		{"wrong spec", func(b *bench, m *wire.ModelVersion) {
			b.check = func(p []byte) error {
				if bytes.Contains(p, []byte("m2")) {
					return errors.New("feature spec is another")
				}
				return nil
			}
		}, "feature spec is another", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				m1, m2 := b.model("m1"), b.model("m2")
				b.run(time.Minute, m1)
				b.source.asked = nil
				c.spoil(b, &m2)
				b.run(time.Hour, m2, m1)
				b.run(time.Hour, m2, m1)
				b.want("m1", "")
				b.wantRefused("m2", c.reason)
				b.open()
				b.run(time.Hour, m2, m1)
				b.want("m1", "")
				b.wantRefused("m2", c.reason)
				if len(b.source.asked) != c.asked {
					t.Errorf("%d downloads, want %d", len(b.source.asked), c.asked)
				}
				if strings.Contains(fmt.Sprint(b.files()), "m2") {
					t.Errorf("files %v: want nothing of m2", b.files())
				}
			})
		})
	}
}

func TestNewSoftwareTriesAgainWhatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		m := b.model("m1")
		b.check = func([]byte) error { return errors.New("unknown format") }
		b.run(time.Minute, m)
		b.want("", "")
		b.check = func([]byte) error { return nil }
		b.version = "2"
		b.open()
		b.run(time.Minute, m)
		b.want("m1", "")
	})
}

func TestTornPartIsFetchedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		m := b.model("m1")
		if err := os.WriteFile(filepath.Join(b.dir, "m1.part"), make([]byte, 40), 0o600); err != nil {
			t.Fatal(err)
		}
		b.run(time.Minute, m)
		b.want("m1", "")
		if fmt.Sprint(b.source.asked) != "[40 0]" {
			t.Errorf("asked from %v: want the rest, then everything", b.source.asked)
		}
	})
}

func TestDamageOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		m1, m2 := b.model("m1"), b.model("m2")
		b.run(time.Minute, m2, m1)
		path := filepath.Join(b.dir, "m2.model")
		p, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p[100] ^= 4
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		b.open()
		b.want("", "m1")
		b.run(time.Minute, m2, m1)
		b.want("m2", "m1")
		if err := os.WriteFile(filepath.Join(b.dir, "index.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.open()
		b.want("", "")
		b.run(time.Minute, m2, m1)
		b.want("m2", "m1")
	})
}

// TestCrashAtAnyStep replays what a crash can leave: files of before, of after, or of one step between.
func TestCrashAtAnyStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		m1, m2, m3 := b.model("m1"), b.model("m2"), b.model("m3")
		b.run(time.Minute, m2, m1)
		before := b.snapshot()
		b.run(time.Minute, m3, m2)
		after := b.snapshot()

		b.restore(before)
		b.restoreFile("m3.model", after["m3.model"]) // written, the index not yet
		b.open()
		b.want("m2", "m1")
		b.run(time.Minute, m3, m2)
		b.want("m3", "m2")

		b.restore(after)
		b.restoreFile("m1.model", before["m1.model"]) // the index written, the old one not yet removed
		b.restoreFile(".index.json-123", []byte("{"))
		b.open()
		b.want("m3", "m2")
		if got := fmt.Sprint(b.files()); got != "[index.json m2.model m3.model]" {
			t.Errorf("files %s", got)
		}
	})
}

func (b *bench) snapshot() map[string][]byte {
	m := make(map[string][]byte)
	for _, name := range b.files() {
		p, err := os.ReadFile(filepath.Join(b.dir, name))
		if err != nil {
			b.t.Fatal(err)
		}
		m[name] = p
	}
	return m
}

func (b *bench) restore(m map[string][]byte) {
	for _, name := range b.files() {
		os.Remove(filepath.Join(b.dir, name))
	}
	for name, p := range m {
		b.restoreFile(name, p)
	}
}

func (b *bench) restoreFile(name string, p []byte) {
	if err := os.WriteFile(filepath.Join(b.dir, name), p, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// TestStartsWhenNothingCanBeWritten is a fault of the campaign: on a full disk the agent did not start, for want of an index of
// no models. A directory in the index's place stands for the full disk, since root may write anywhere else.
func TestStartsWhenNothingCanBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "index.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := artifact.Open(artifact.Options{
		Dir: dir, Version: "1", Key: func() ed25519.PublicKey { return nil }, Check: func([]byte) error { return nil }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Errorf("without a writable index: %v: want a cache", err)
	}
}
