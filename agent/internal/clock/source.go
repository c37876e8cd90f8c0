package clock

import (
	"os"
	"strings"
	"sync"
	"time"
)

// Source is the machine's clocks.
type Source struct {
	Wall   func() time.Time     // may be wrong by anything, and jump
	Boot   func() time.Duration // since the machine booted, sleep included; never jumps
	ID     string               // of this boot
	Synced func() bool          // whether the kernel says that the wall clock is synchronised; nil when it cannot say
}

// Machine returns the clocks of this machine. OffsetFile, when not empty, is a file that is read about every fifth of a
// second and holds a duration, as "-48h", by which the wall clock is made to stand off: so that tests of whole programs can
// make it jump. A file that is missing or empty means none.
func Machine(offsetFile string) Source {
	s := Source{Wall: time.Now, Boot: sinceBoot, ID: bootID(), Synced: synced}
	if offsetFile != "" {
		o := &offset{path: offsetFile}
		s.Wall = func() time.Time { return time.Now().Round(0).Add(o.now()) }
		s.Synced = nil
	}
	return s
}

// Fixed returns a clock that believes now, for programs and tests that have a time of their own.
func Fixed(now func() time.Time) *Clock {
	return &Clock{fixed: now, changed: make(chan struct{}, 1), src: Source{Wall: now}}
}

// offset is how far the wall clock is made to stand off.
type offset struct {
	path string
	mu   sync.Mutex
	read time.Time
	by   time.Duration
}

func (o *offset) now() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(o.read) > 200*time.Millisecond {
		o.read = now
		b, err := os.ReadFile(o.path)
		if by, bad := time.ParseDuration(strings.TrimSpace(string(b))); err == nil && bad == nil {
			o.by = by
		} else if text := strings.TrimSpace(string(b)); text == "" {
			o.by = 0 // half-written contents leave it as it was
		}
	}
	return o.by
}
