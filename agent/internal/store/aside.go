package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// setAside gives a file that cannot be read another name, and returns that. With keep, the file has its old name too, until
// another one takes it, so that the power may go in between.
func (d disk) setAside(path string, now time.Time, keep bool) (string, error) {
	base := path + ".damaged-" + now.UTC().Format("20060102T150405.000Z")
	to := base
	for i := 1; ; i++ {
		if _, err := os.Lstat(to); err != nil {
			break // nothing has the name, or the disk cannot say
		}
		to = fmt.Sprintf("%s-%d", base, i)
	}
	move := d.rename
	if keep {
		move = d.link
	}
	if err := move(path, to); err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	return filepath.Base(to), d.syncDir(filepath.Dir(path))
}

func isSetAside(name string) bool { return strings.Contains(name, ".damaged-") }

// putAside renames a damaged file and remembers why. The caller holds mu, or is Open.
func (s *Store) putAside(path string, why error) {
	name, err := s.o.disk.setAside(path, s.o.Now(), false)
	if err != nil {
		s.o.Log.Error("damaged file could not be set aside", "file", filepath.Base(path), "error", errors.Join(why, err))
		return
	}
	s.reportAside(path, name, why)
}

func (s *Store) reportAside(path, name string, why error) {
	if info, err := os.Stat(filepath.Join(s.dir, name)); err == nil {
		s.setAside[name] = info.Size()
	}
	s.report = append(s.report, fmt.Sprintf("%s: %v; kept as %s", filepath.Base(path), why, name))
	s.o.Log.Error("damaged file set aside", "file", filepath.Base(path), "kept as", name, "error", why)
}

// Damage lists, in words, the files that were found damaged since Open began.
func (s *Store) Damage() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.report)
}
