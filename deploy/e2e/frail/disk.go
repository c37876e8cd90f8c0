package frail

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is a mounted directory. Its methods may be called concurrently.
type Disk struct {
	server *fuse.Server

	mu      sync.Mutex
	files   map[uint64]*file // with volatile pages, by inode
	trouble Trouble
	rng     *rand.Rand
	failed  int // writes and syncs, since Mount
}

// Trouble is how often the disk fails, from 0 to 1. The zero value is a good disk.
type Trouble struct {
	Write float64 // writes that fail, half of them having written a part
	Sync  float64
}

// Mount shows directory backing at the path at, which must be an empty directory. It needs /dev/fuse and the right to mount.
func Mount(backing, at string) (*Disk, error) {
	d := &Disk{files: make(map[uint64]*file), rng: rand.New(rand.NewPCG(0, 0))}
	never := time.Duration(0) // nothing of names and sizes is remembered by the kernel
	server, err := fs.Mount(at, newNode(d, backing), &fs.Options{
		AttrTimeout: &never, EntryTimeout: &never,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "frail", Name: "frail"},
	})
	if err != nil {
		return nil, fmt.Errorf("mount a frail disk at %s: %w", at, err)
	}
	d.server = server
	return d, nil
}

// Unmount ends the file system; what was volatile is there all the same.
func (d *Disk) Unmount() error {
	err := d.server.Unmount()
	d.mu.Lock()
	defer d.mu.Unlock()
	for ino := range d.files {
		d.forget(ino)
	}
	return err
}

// Set makes the disk fail as often as t says. The seed chooses when.
func (d *Disk) Set(t Trouble, seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble, d.rng = t, rand.New(rand.NewPCG(seed, 0))
}

// Failed returns how many writes and syncs have failed since Mount.
func (d *Disk) Failed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// CutPower makes of what is volatile what a loss of power may leave, and says what that is. No file may be open.
func (d *Disk) CutPower(rng *rand.Rand) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var sum toll
	all := rng.IntN(4) == 0 // of what was not synced, nothing is left
	for _, ino := range sorted(d.files) {
		t, err := d.files[ino].cut(rng, all)
		if err != nil {
			return "", fmt.Errorf("cut the power: %w", err)
		}
		sum.add(t)
		d.forget(ino)
	}
	return sum.String(), nil
}

// fails draws whether what happens with probability p happens now. The caller holds mu.
func (d *Disk) fails(p float64) bool {
	if p == 0 || d.rng.Float64() >= p {
		return false
	}
	d.failed++
	return true
}

// forget closes what is kept of a file. The caller holds mu.
func (d *Disk) forget(ino uint64) {
	_ = d.files[ino].f.Close()
	delete(d.files, ino)
}

// of returns what is kept of the file behind a descriptor. The caller holds mu.
func (d *Disk) of(fd int) (*file, error) {
	ino, size, err := stat(fd)
	if err != nil {
		return nil, err
	}
	if x := d.files[ino]; x != nil {
		return x, nil
	}
	// Opened anew, since the descriptor may be for writing alone, and by descriptor, since the file may have another name by now.
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	x := &file{f: f, size: size, pages: make(map[int64]*page)}
	d.files[ino] = x
	return x, nil
}
