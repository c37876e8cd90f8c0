package frail

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or directory of the file system.
type node struct {
	fs.LoopbackNode
	disk *Disk
}

var (
	_ fs.NodeWrapChilder = (*node)(nil)
	_ fs.NodeOpener      = (*node)(nil)
	_ fs.NodeCreater     = (*node)(nil)
	_ fs.NodeSetattrer   = (*node)(nil)
	_ fs.NodeUnlinker    = (*node)(nil)
	_ fs.NodeRenamer     = (*node)(nil)
)

// newNode returns the root.
func newNode(d *Disk, backing string) *node {
	root := &fs.LoopbackRoot{Path: backing}
	n := &node{fs.LoopbackNode{RootData: root}, d}
	root.RootNode = n
	return n
}

// WrapChild implements fs.NodeWrapChilder: what is found or made in a directory of a disk is on that disk.
func (n *node) WrapChild(context.Context, fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{fs.LoopbackNode{RootData: n.RootData}, n.disk}
}

// Open implements fs.NodeOpener.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		if errno := n.truncating(0); errno != 0 {
			return nil, 0, errno
		}
	}
	fh, fl, errno := n.LoopbackNode.Open(ctx, flags)
	return n.handle(fh), fl, errno
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, fh, fl, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, n.handle(fh), fl, errno
}

// Setattr implements fs.NodeSetattrer.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if errno := n.truncating(int64(size)); errno != 0 {
			return errno
		}
	}
	return n.LoopbackNode.Setattr(ctx, f, in, out)
}

// Unlink implements fs.NodeUnlinker.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	defer n.disk.forgetUnlinked()
	return n.LoopbackNode.Unlink(ctx, name)
}

// Rename implements fs.NodeRenamer.
func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, toName string, flags uint32) syscall.Errno {
	defer n.disk.forgetUnlinked() // it may have taken another file's place
	return n.LoopbackNode.Rename(ctx, name, to, toName, flags)
}

// truncating keeps what a change of the file's size takes away.
func (n *node) truncating(size int64) syscall.Errno {
	f, err := os.OpenFile(filepath.Join(n.RootData.Path, n.Path(n.Root())), os.O_RDWR, 0)
	if err != nil {
		return fs.ToErrno(err)
	}
	defer f.Close()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	x, err := n.disk.of(int(f.Fd()))
	if err == nil {
		err = x.truncating(size)
	}
	return fs.ToErrno(err)
}

// forgetUnlinked forgets files that have no name any more: after a loss of power they are gone.
func (d *Disk) forgetUnlinked() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ino, x := range d.files {
		var st syscall.Stat_t
		if syscall.Fstat(int(x.f.Fd()), &st) == nil && st.Nlink == 0 {
			d.forget(ino)
		}
	}
}

func (n *node) handle(fh fs.FileHandle) fs.FileHandle {
	f, ok := fh.(*fs.LoopbackFile)
	if !ok {
		return fh
	}
	fd, _ := f.PassthroughFd()
	return &handle{f, n.disk, fd}
}

// handle is an open file.
type handle struct {
	*fs.LoopbackFile
	disk *Disk
	fd   int
}

var (
	_ fs.FileWriter    = (*handle)(nil)
	_ fs.FileFsyncer   = (*handle)(nil)
	_ fs.FileAllocater = (*handle)(nil)
)

// PassthroughFd keeps the kernel from going round this file system.
func (h *handle) PassthroughFd() (int, bool) { return 0, false }

// Write implements fs.FileWriter.
func (h *handle) Write(ctx context.Context, b []byte, off int64) (uint32, syscall.Errno) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	x, err := h.disk.of(h.fd)
	if err == nil {
		err = x.touch(off, int64(len(b)))
	}
	if err != nil {
		return 0, fs.ToErrno(err)
	}
	if h.disk.fails(h.disk.trouble.Write) {
		if k := h.disk.rng.IntN(2 * len(b)); k < len(b) {
			_, _ = h.LoopbackFile.Write(ctx, b[:k], off)
		}
		return 0, syscall.EIO
	}
	return h.LoopbackFile.Write(ctx, b, off)
}

// Fsync implements fs.FileFsyncer.
func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	ino, _, err := stat(h.fd)
	if err != nil {
		return fs.ToErrno(err)
	}
	x := h.disk.files[ino]
	if x == nil {
		return 0
	}
	if h.disk.fails(h.disk.trouble.Sync) {
		x.synced(false)
		return syscall.EIO
	}
	if x.synced(true) {
		h.disk.forget(ino)
	}
	return 0
}

// Allocate implements fs.FileAllocater. What is allocated changes only the size.
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if _, err := h.disk.of(h.fd); err != nil {
		return fs.ToErrno(err)
	}
	return h.LoopbackFile.Allocate(ctx, off, size, mode)
}
