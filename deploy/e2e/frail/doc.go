// Package frail is a disk that fails on demand: a file system in user space (FUSE) that passes everything on to a directory and
// knows what of it a real disk would still have after a loss of power. Unlike a seam within a program it lies under the real
// one, its bbolt and its memory maps; unlike dm-flakey it needs no device mapper in the kernel.
//
// # Model
//
// What was written is volatile until its file is synced, page by page (4 KiB). CutPower, called while nobody has a file open,
// leaves of each volatile page the old contents, the new ones, or single sectors (512 bytes) of either: so writes are
// lost, torn and reordered. The length of a file is the old one or the new one.
//
// A sync that fails is as on Linux: the pages are taken for written and are not, so another sync says that all is well
// and a loss of power brings the old contents back, unless they were written again in between.
//
// Names are durable at once: renaming, linking and removing are neither lost nor reordered.
package frail
