package store

import (
	"os"
	"syscall"
	"testing"
)

// swap is a bbolt file whose descriptor is a device for a while: with /dev/full every write gets ENOSPC, with /dev/null it goes
// nowhere and the sync fails.
type swap struct {
	file *os.File
	kept int
}

// swapOut makes the newest of the files that are still open a device.
func swapOut(t *testing.T, files []*os.File, device string) *swap {
	t.Helper()
	full, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return nil
	}
	defer full.Close()
	for i := len(files) - 1; i >= 0; i-- {
		if _, err := files[i].Stat(); err != nil {
			continue
		}
		kept, err := syscall.Dup(int(files[i].Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(full.Fd()), int(files[i].Fd()), syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		return &swap{files[i], kept}
	}
	return nil
}

// back undoes it.
func (s *swap) back(t *testing.T) {
	t.Helper()
	if s == nil {
		return
	}
	if _, err := s.file.Stat(); err == nil {
		if err := syscall.Dup3(s.kept, int(s.file.Fd()), syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
	_ = syscall.Close(s.kept)
}
