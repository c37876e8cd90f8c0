package identity

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"

	"fluxora.dev/proto/wire"
)

const (
	lineageName = "lineage"
	slotSize    = 4096 // a slot has a page of its own, so that a torn write harms one
	nameSize    = 16
)

// Lineage is what the agent keeps of its sessions with the hub, by which the hub tells it from a copy of its card or an old backup
// of its data. The hub's package guard describes the whole of it; what this side does is to keep the name of a session before
// Hello shows it, and to take Welcome's word that it has begun.
//
// It is a file of two slots, written in place one after the other, so that a full disk does not matter, a crash leaves one that is
// whole, and a flipped bit harms one of two. It also keeps by how much the epoch that the hub is told differs from the
// store's: an agent that is let in again after it was refused counts its sequences anew that way.
//
// Its methods may be called concurrently.
type Lineage struct {
	path string

	mu   sync.Mutex
	kept record
}

// record is what a slot holds.
type record struct {
	Write   uint64 // number of the write: the higher one counts
	Shift   uint64
	Last    []byte
	Receipt []byte
	Next    []byte // empty between sessions
}

// OpenLineage returns the lineage kept in dir; an empty one when there is none. With an error it returns one that is empty, since
// what was kept is damaged: it is of use, but the hub may refuse it.
func OpenLineage(dir string) (*Lineage, error) {
	l := &Lineage{path: filepath.Join(dir, lineageName)}
	b, err := os.ReadFile(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read the sessions' lineage: %w", err)
	}
	whole := false
	for at := 0; at < len(b); at += slotSize {
		if r, ok := decodeRecord(b[at:min(len(b), at+slotSize)]); ok && (!whole || r.Write > l.kept.Write) {
			l.kept, whole = r, true
		}
	}
	if !whole {
		return l, fmt.Errorf("%s is damaged in both its copies: if the hub refuses this agent, run `fluxora-hub agent readmit` there", l.path)
	}
	return l, nil
}

// Begin names the next session, durably, and returns what Hello says. The name stays until the session has begun. With an error,
// because the disk took no name, it returns what may be said nevertheless: that no session is begun.
func (l *Lineage) Begin() (wire.Lineage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if len(l.kept.Next) == 0 {
		r := l.kept
		r.Next = make([]byte, nameSize)
		rand.Read(r.Next)
		err = l.write(r)
	}
	return wire.Lineage{Last: l.kept.Last, Receipt: l.kept.Receipt, Next: l.kept.Next}, err
}

// Begun notes, durably, that the hub welcomed the agent to the session of that name. With an error the name stays the next one's,
// which the hub takes as well.
func (l *Lineage) Begun(name, receipt []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(name) == 0 || len(receipt) == 0 || !bytes.Equal(name, l.kept.Next) {
		return nil // a hub that keeps no lineage
	}
	r := l.kept
	r.Last, r.Receipt, r.Next = name, receipt, nil
	return l.write(r)
}

// NewEpoch changes, durably, the epoch that the hub is told.
func (l *Lineage) NewEpoch() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b [8]byte
	rand.Read(b[:])
	r := l.kept
	r.Shift = binary.BigEndian.Uint64(b[:]) >> 2 // epochs are numbers of 63 bits
	return l.write(r)
}

// Epoch returns the epoch that the hub is told, for the store's.
func (l *Lineage) Epoch(store uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return store ^ l.kept.Shift
}

// write puts r into both slots, one after the other. When the first did not get to the disk, nothing has changed; when the
// second did not, the first counts.
func (l *Lineage) write(r record) error {
	r.Write++
	slot := r.encode()
	_, err := os.Stat(l.path)
	fresh := errors.Is(err, os.ErrNotExist)
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("keep the sessions' lineage: %w", err)
	}
	defer f.Close()
	for i := range int64(2) {
		_, err := f.WriteAt(slot, i*slotSize)
		if err == nil {
			err = f.Sync()
		}
		if err == nil && fresh && i == 0 {
			err = syncDir(filepath.Dir(l.path))
		}
		if err != nil && i == 0 {
			return fmt.Errorf("keep the sessions' lineage: %w", err)
		}
	}
	l.kept = r
	return nil
}

// encode returns the record as a slot: its length and a CRC-32C over what follows, then the fields.
func (r record) encode() []byte {
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, r.Write), r.Shift)
	for _, field := range [][]byte{r.Last, r.Receipt, r.Next} {
		b = append(append(b, byte(len(field))), field...)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(b, castagnoli))
	return append(head, b...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func decodeRecord(slot []byte) (r record, ok bool) {
	if len(slot) < 8 || uint64(binary.BigEndian.Uint32(slot)) > uint64(len(slot)-8) {
		return r, false
	}
	b := slot[8 : 8+binary.BigEndian.Uint32(slot)]
	if len(b) < 16 || crc32.Checksum(b, castagnoli) != binary.BigEndian.Uint32(slot[4:]) {
		return r, false
	}
	r.Write, r.Shift = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	b = b[16:]
	for _, field := range []*[]byte{&r.Last, &r.Receipt, &r.Next} {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return r, false
		}
		*field = bytes.Clone(b[1 : 1+int(b[0])])
		b = b[1+int(b[0]):]
	}
	return r, true
}
