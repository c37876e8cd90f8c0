package artifact

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/model"
)

// Fetcher downloads artifacts; the uplink is one.
type Fetcher interface {
	// Artifact passes the artifact's bytes from offset on to fn, in order. fn must not keep them.
	Artifact(ctx context.Context, id string, offset uint64, fn func([]byte) error) error
}

// Options configure a Cache. All but Version and Retry are needed.
type Options struct {
	Dir     string
	Key     func() ed25519.PublicKey // the hub's artifact key
	Check   func(artifact []byte) error
	Log     *slog.Logger
	Version string        // of the agent's software; what another version refused is tried again
	Retry   time.Duration // first pause after a download broke; 10 s, doubling up to 64 times that
}

// Model is an artifact that may be used.
type Model struct {
	ID    string
	Bytes []byte // must not be changed
}

// Cache holds the active and the previous model. Its methods may be called concurrently.
type Cache struct {
	o       Options
	wanted  chan []wire.ModelVersion // capacity 1: the newest announcement
	changed chan struct{}

	mu       sync.Mutex
	index    index
	bytes    map[[sha256.Size]byte][]byte // of the versions held, by digest
	reported map[wire.ModelState]bool
}

// Open reads the cache in o.Dir. What is damaged there is removed and will be downloaded again; only a directory that cannot
// be used is an error.
func Open(o Options) (*Cache, error) {
	if o.Retry == 0 {
		o.Retry = 10 * time.Second
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make model directory: %w", err)
	}
	c := &Cache{
		o: o, wanted: make(chan []wire.ModelVersion, 1), changed: make(chan struct{}, 1),
		bytes: make(map[[sha256.Size]byte][]byte), reported: make(map[wire.ModelState]bool),
	}
	var err error
	if c.index, err = readIndex(o.Dir); err != nil {
		o.Log.Error("the index of models is damaged: they will be downloaded again", "error", err)
	}
	if c.index.Version != o.Version {
		c.index.Version, c.index.Refused = o.Version, nil
	}
	for _, v := range c.index.versions() {
		b, err := os.ReadFile(c.path(v.ID, ".model"))
		if err == nil {
			err = c.verify(v, b)
		}
		if err != nil {
			o.Log.Error("a cached model cannot be used", "model", v.ID, "error", err)
			c.index.drop(v.ID)
			var unfit unfitError
			if errors.As(err, &unfit) {
				c.index.refuse(v, err.Error())
			}
			continue
		}
		c.bytes[v.SHA256] = b
	}
	// A full disk must not keep the agent from starting. What was changed above is found again at the next start.
	if err := c.index.write(o.Dir); err != nil {
		o.Log.Error("the index of models cannot be written at the moment", "error", err)
	}
	return c, c.sweep(nil)
}

func (c *Cache) path(id, suffix string) string { return filepath.Join(c.o.Dir, id+suffix) }

// unfitError says that an artifact is genuine but this agent cannot use it.
type unfitError struct{ err error }

func (e unfitError) Error() string { return "the model does not fit this agent: " + e.err.Error() }
func (e unfitError) Unwrap() error { return e.err }

// errDigest marks bytes that are not those announced.
var errDigest = errors.New("artifact is not the one announced")

// verify returns nil if b is version v, the hub vouches for it, and it can be used here.
func (c *Cache) verify(v wire.ModelVersion, b []byte) error {
	if err := model.Verify(c.o.Key(), v.SHA256, v.Signature); err != nil {
		return err
	}
	if digest := sha256.Sum256(b); digest != v.SHA256 {
		return fmt.Errorf("%w: %d bytes with digest %x: want %d with %x", errDigest, len(b), digest[:8], v.Size, v.SHA256[:8])
	}
	if err := c.o.Check(b); err != nil {
		return unfitError{err}
	}
	return nil
}

// Announce takes note of the versions that the agent should hold, best first. It does not block; Run does the work.
func (c *Cache) Announce(vs []wire.ModelVersion) {
	if len(vs) == 0 {
		return
	}
	for {
		select {
		case c.wanted <- vs:
			return
		default:
		}
		select {
		case <-c.wanted: // a newer announcement takes its place
		default:
		}
	}
}

// Active returns the active model.
func (c *Cache) Active() (Model, bool) {
	return c.held(func(x *index) *wire.ModelVersion { return x.Active })
}

// Previous returns the model that was active before.
func (c *Cache) Previous() (Model, bool) {
	return c.held(func(x *index) *wire.ModelVersion { return x.Previous })
}

func (c *Cache) held(which func(*index) *wire.ModelVersion) (Model, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := which(&c.index)
	if v == nil {
		return Model{}, false
	}
	return Model{v.ID, c.bytes[v.SHA256]}, true
}

// Changed receives after Active or Previous changed.
func (c *Cache) Changed() <-chan struct{} { return c.changed }

// States returns what became of announced models and was not yet passed to Reported.
func (c *Cache) States() []wire.ModelState {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []wire.ModelState
	for _, s := range c.index.states() {
		if !c.reported[s] {
			out = append(out, s)
		}
	}
	return out
}

// Reported notes that the hub knows of these states.
func (c *Cache) Reported(ss []wire.ModelState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range ss {
		c.reported[s] = true
	}
	now := c.index.states()
	for s := range c.reported {
		if !slices.Contains(now, s) {
			delete(c.reported, s)
		}
	}
}

// sweep removes files that neither the index names nor the announcement asks for.
func (c *Cache) sweep(announced []wire.ModelVersion) error {
	entries, err := os.ReadDir(c.o.Dir)
	if err != nil {
		return fmt.Errorf("read model directory: %w", err)
	}
	keep := map[string]bool{indexName: true}
	for _, v := range c.index.versions() {
		keep[v.ID+".model"] = true
	}
	for _, v := range announced {
		keep[v.ID+".part"] = true
	}
	for _, e := range entries {
		name := e.Name()
		// At start a download may still be wanted: the hub will say.
		if keep[name] || e.IsDir() || announced == nil && strings.HasSuffix(name, ".part") {
			continue
		}
		if err := os.Remove(filepath.Join(c.o.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove an old model: %w", err)
		}
	}
	return nil
}
