package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockName is the file whose lock the one agent holds that has the directory.
const lockName = "lock"

// ErrLocked says that another agent has the directory.
var ErrLocked = errors.New("the data directory is in use by another agent")

func (s *Store) takeLock() error {
	f, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	until := time.Now().Add(s.o.LockTimeout)
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			s.lock = f
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(until) {
			_ = f.Close()
			return fmt.Errorf("%w: %s (%w); stop it or give this one another data_dir", ErrLocked, s.dir, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
