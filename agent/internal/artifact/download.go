package artifact

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/model"
)

// Run works off announcements until ctx is done, and then returns nil.
func (c *Cache) Run(ctx context.Context, from Fetcher) error {
	var announced []wire.ModelVersion
	pause := c.o.Retry
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case announced = <-c.wanted:
			pause = c.o.Retry
		case <-again:
		}
		again = nil
		if err := c.follow(ctx, from, announced); err != nil && ctx.Err() == nil {
			wait := pause/2 + rand.N(pause/2+1)
			pause = min(2*pause, 64*c.o.Retry)
			c.o.Log.Warn("model not downloaded yet", "retry", wait, "error", err)
			again = time.After(wait)
		}
	}
}

// follow makes the cache hold what was announced, as far as it can be had. An error means that another try may help.
func (c *Cache) follow(ctx context.Context, from Fetcher, announced []wire.ModelVersion) error {
	announced = announced[:min(len(announced), 2)]
	var broken error
	for _, v := range announced {
		if err := c.obtain(ctx, from, v); err != nil {
			broken = errors.Join(broken, fmt.Errorf("model %s: %w", v.ID, err))
		}
		if err := c.point(announced); err != nil {
			return err
		}
	}
	return errors.Join(broken, c.sweep(announced))
}

// obtain downloads v unless it is held or was refused, and checks it. It returns nil when v was refused.
func (c *Cache) obtain(ctx context.Context, from Fetcher, v wire.ModelVersion) error {
	c.mu.Lock()
	_, refused := c.index.refused(v)
	held := c.bytes[v.SHA256] != nil
	c.mu.Unlock()
	if refused {
		return nil
	}
	if err := model.Verify(c.o.Key(), v.SHA256, v.Signature); err != nil {
		return c.refuse(v, err)
	}
	if held {
		return nil
	}
	b, resumed, err := c.download(ctx, from, v)
	if err != nil {
		return err
	}
	err = c.verify(v, b)
	if errors.Is(err, errDigest) && resumed {
		if b, _, err = c.download(ctx, from, v); err != nil {
			return err
		}
		err = c.verify(v, b)
	}
	if err != nil {
		return c.refuse(v, err)
	}
	if err := writeFile(c.o.Dir, v.ID+".model", b); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	c.mu.Lock()
	c.bytes[v.SHA256] = b
	c.mu.Unlock()
	c.o.Log.Info("model downloaded", "model", v.ID, "family", v.Family, "bytes", len(b))
	return nil
}

// download returns the announced number of bytes, going on from a part that is there. The part is removed before it returns them.
func (c *Cache) download(ctx context.Context, from Fetcher, v wire.ModelVersion) (b []byte, resumed bool, err error) {
	if v.Size > wire.MaxModelSize {
		return nil, false, fmt.Errorf("announced with %d bytes: want at most %d", v.Size, wire.MaxModelSize)
	}
	path := c.path(v.ID, ".part")
	b, err = os.ReadFile(path)
	if err != nil || uint64(len(b)) > v.Size {
		b = nil
	}
	resumed = len(b) > 0
	if uint64(len(b)) < v.Size {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return nil, false, err
		}
		err = errors.Join(f.Truncate(int64(len(b))), seekTo(f, len(b)))
		if err == nil {
			err = from.Artifact(ctx, v.ID, uint64(len(b)), func(p []byte) error {
				if uint64(len(b)+len(p)) > v.Size {
					p = p[:v.Size-uint64(len(b))] // the digest will tell
				}
				b = append(b, p...)
				_, err := f.Write(p)
				return err
			})
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, false, err
		}
		// Fewer than announced, when the hub has no more: the digest will tell that too.
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, false, err
	}
	return b, resumed, nil
}

func seekTo(f *os.File, n int) error {
	_, err := f.Seek(int64(n), 0)
	return err
}

// refuse remembers that v cannot be used.
func (c *Cache) refuse(v wire.ModelVersion, reason error) error {
	c.o.Log.Error("model refused", "model", v.ID, "error", reason)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index.refuse(v, reason.Error())
	return c.index.write(c.o.Dir)
}

// point makes active and previous follow the announcement as far as its versions are held.
func (c *Cache) point(announced []wire.ModelVersion) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.index
	has := func(i int) bool {
		if i >= len(announced) || c.bytes[announced[i].SHA256] == nil {
			return false
		}
		_, refused := next.refused(announced[i])
		return !refused
	}
	switch {
	case has(0) && has(1):
		next.Active, next.Previous = &announced[0], &announced[1]
	case has(0):
		if next.Active != nil && next.Active.ID != announced[0].ID {
			next.Previous = next.Active
		}
		next.Active = &announced[0]
		if len(announced) == 1 || next.Previous != nil && next.Previous.ID == next.Active.ID {
			next.Previous = nil
		}
	case has(1) && (next.Active == nil || next.Active.ID != announced[1].ID):
		next.Previous = &announced[1]
	}
	if same(next.Active, c.index.Active) && same(next.Previous, c.index.Previous) {
		return nil
	}
	if err := next.write(c.o.Dir); err != nil {
		return fmt.Errorf("write the index of models: %w", err)
	}
	c.index = next
	for digest := range c.bytes {
		if !(next.Active != nil && next.Active.SHA256 == digest || next.Previous != nil && next.Previous.SHA256 == digest) {
			delete(c.bytes, digest)
		}
	}
	select {
	case c.changed <- struct{}{}:
	default:
	}
	return nil
}

func same(a, b *wire.ModelVersion) bool {
	return a == nil && b == nil || a != nil && b != nil && a.ID == b.ID && a.SHA256 == b.SHA256
}
