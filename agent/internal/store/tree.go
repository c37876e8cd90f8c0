package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxDepth bounds the depth of a tree of pages; bbolt's are three or four deep.
const maxDepth = 16

// tree walks the buckets of a bbolt file in order, from a meta page on.
type tree struct {
	pages
	meta   boltMeta
	fn     func(bucket, key, value []byte) // may be nil; what it gets lives as long as the walk
	want   func(bucket []byte) bool        // which buckets are walked; nil for all
	from   []byte                          // in them, what is well below this key is passed over
	seen   map[uint64]bool
	stop   bool  // set by fn to end the walk
	damage error // the first that was found
}

// walkTree calls fn with every key and value that can be reached from meta, and returns what is wrong with the rest.
func (p pages) walkTree(meta boltMeta, fn func(bucket, key, value []byte)) error {
	t := &tree{pages: p, meta: meta, fn: fn}
	return t.run()
}

func (t *tree) run() error {
	t.seen = make(map[uint64]bool)
	t.walk(nil, t.meta.root, nil, nil, 0)
	return t.damage
}

func (t *tree) bad(format string, args ...any) {
	if t.damage == nil {
		t.damage = fmt.Errorf("%w: "+format, append([]any{errDamaged}, args...)...)
	}
}

// walk walks the page id of a bucket, nil for the root, whose keys lie within [from, to).
func (t *tree) walk(bucket []byte, id uint64, from, to []byte, depth int) {
	if id < 2 || id >= t.meta.highWater || t.seen[id] || depth > maxDepth {
		t.bad("page %d: out of place", id)
		return
	}
	b := t.page(id, 1)
	if len(b) < pageHead || binary.LittleEndian.Uint64(b) != id {
		t.bad("page %d: its head is another's", id)
		return
	}
	overflow := uint64(binary.LittleEndian.Uint32(b[12:]))
	if overflow > maxOverflow || id+overflow >= t.meta.highWater {
		t.bad("page %d: goes on for %d pages", id, overflow)
		return
	}
	for i := range overflow + 1 {
		if t.seen[id+i] {
			t.bad("page %d: used twice", id+i)
			return
		}
		t.seen[id+i] = true
	}
	if overflow > 0 {
		b = t.page(id, overflow+1)
	}
	if uint64(len(b)) != (overflow+1)*pageSize {
		t.bad("page %d: beyond the end of the file", id)
		return
	}
	t.elements(bucket, id, b, from, to, depth)
}

// elements walks what is on the page b, which may be one inside a value, and then has the id of the page around it.
func (t *tree) elements(bucket []byte, id uint64, b []byte, from, to []byte, depth int) {
	count := int(binary.LittleEndian.Uint16(b[10:]))
	before := from
	inOrder := func(i int, key []byte) bool {
		if len(key) == 0 || bytes.Compare(key, before) < 0 || i > 0 && bytes.Equal(key, before) || to != nil && bytes.Compare(key, to) >= 0 {
			t.bad("page %d: key %d is out of order", id, i)
			return false
		}
		before = key
		return true
	}
	// bbolt writes keys right behind the elements, so the first one tells how many there are.
	if hidden := len(b) >= pageHead+elementSize; hidden && firstKey(b)-pageHead != count*elementSize || !hidden && count > 0 {
		t.bad("page %d: it does not hold %d elements", id, count)
	}
	switch binary.LittleEndian.Uint16(b[8:]) {
	case flagLeaf:
		i := 0
		if !leaf(b, count, func(flags uint32, key, value []byte) {
			i++
			if t.stop || !inOrder(i-1, key) {
				return
			}
			switch {
			case flags&1 != 0 && bucket == nil:
				if t.want == nil || t.want(key) {
					t.bucket(key, id, value, depth)
				}
			case flags != 0 || bucket == nil:
				t.bad("page %d: key %d is of no kind", id, i-1)
			case t.fn != nil:
				t.fn(bucket, key, value)
			}
		}) {
			t.bad("page %d: an element is beyond its end", id)
		}
	case flagBranch:
		t.branch(bucket, id, b, count, inOrder, to, depth)
	default:
		t.bad("page %d: neither branch nor leaf", id)
	}
}

// firstKey returns where the key of the first element of a page lies.
func firstKey(b []byte) int {
	if binary.LittleEndian.Uint16(b[8:]) == flagBranch {
		return pageHead + int(binary.LittleEndian.Uint32(b[pageHead:]))
	}
	return pageHead + int(binary.LittleEndian.Uint32(b[pageHead+4:]))
}

func (t *tree) branch(bucket []byte, id uint64, b []byte, count int, inOrder func(int, []byte) bool, to []byte, depth int) {
	type child struct {
		key []byte
		id  uint64
	}
	var children []child
	if count == 0 {
		t.bad("page %d: a branch without children", id)
	}
	for i := range count {
		at := pageHead + i*elementSize
		if at+elementSize > len(b) {
			t.bad("page %d: an element is beyond its end", id)
			break
		}
		e := b[at:]
		pos, k := uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint32(e[4:]))
		c := child{id: binary.LittleEndian.Uint64(e[8:])}
		if pos < elementSize || pos+k > uint64(len(e)) {
			t.bad("page %d: an element is beyond its end", id)
		} else if key := e[pos : pos+k : pos+k]; inOrder(i, key) {
			c.key = key
		}
		children = append(children, c)
	}
	for i, c := range children {
		if t.stop {
			return
		}
		// What holds t.from may be the last of the child before the one that it belongs to.
		if bucket != nil && i+2 < len(children) && bytes.Compare(children[i+2].key, t.from) <= 0 {
			continue
		}
		end := to
		if i+1 < len(children) {
			end = children[i+1].key
		}
		t.walk(bucket, c.id, c.key, end, depth+1)
	}
}

// bucket walks a bucket of the root, whose page is in its value when it is small.
func (t *tree) bucket(name []byte, id uint64, value []byte, depth int) {
	if len(value) < bucketHead {
		t.bad("page %d: bucket %q is cut", id, name)
		return
	}
	root := binary.LittleEndian.Uint64(value)
	if root != 0 {
		t.walk(name, root, nil, nil, depth+1)
		return
	}
	in := value[bucketHead:]
	if len(in) < pageHead || binary.LittleEndian.Uint16(in[8:]) != flagLeaf {
		t.bad("page %d: bucket %q is cut", id, name)
		return
	}
	t.elements(name, id, in, nil, nil, depth+1)
}

// newest returns the meta page of the last commit. Both must be sound, since the one that is not may be the newest.
func (p pages) newest() (boltMeta, error) {
	ms := p.metas()
	switch {
	case len(ms) < 2:
		return boltMeta{}, fmt.Errorf("%w: %d of 2 meta pages are sound", errDamaged, len(ms))
	case ms[0].highWater > p.count():
		return boltMeta{}, fmt.Errorf("%w: cut off", errDamaged)
	}
	return ms[0], nil
}

// checkFile reads all that is in use of a bbolt file. An error wraps errDamaged when the contents are to blame.
func (d disk) checkFile(path string) error {
	p, done, err := d.openPages(path)
	if err != nil {
		return err
	}
	defer done()
	m, err := p.newest()
	if err != nil {
		return err
	}
	return p.walkTree(m, nil)
}

// salvageState returns by bucket what can be read of a damaged state.db, from the newest meta page from which everything can,
// or else from the one from which the most can, and whether it is everything.
func (d disk) salvageState(path string) (found map[string]map[string][]byte, whole bool, err error) {
	p, done, err := d.openPages(path)
	if err != nil {
		return nil, false, err
	}
	defer done()
	err = errors.New("no meta page is sound")
	for _, m := range p.metas() {
		now := make(map[string]map[string][]byte)
		for _, name := range stateBuckets {
			now[string(name)] = nil
		}
		t := &tree{pages: p, meta: m}
		t.want = func(bucket []byte) bool {
			if _, known := now[string(bucket)]; !known {
				t.bad("bucket %q", bucket)
				return false
			}
			now[string(bucket)] = make(map[string][]byte)
			return true
		}
		t.fn = func(bucket, key, value []byte) { now[string(bucket)][string(key)] = value }
		e := t.run()
		for name, entries := range now {
			if entries == nil && e == nil {
				e = fmt.Errorf("%w: no bucket %s", errDamaged, name)
			}
		}
		if bad := checkHead(now[string(bucketStore)]); bad != nil {
			e = bad
			delete(now, string(bucketStore))
		}
		if e == nil {
			return now, true, nil
		}
		if err = e; sizeOf(now) > sizeOf(found) {
			found = now
		}
	}
	if found != nil {
		err = nil
	}
	return found, false, err
}

func sizeOf(found map[string]map[string][]byte) (n int) {
	for _, b := range found {
		n += len(b)
	}
	return n
}
