package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/meter"
)

// openForReading opens the file of a segment that is not written to. Such files are read without bbolt.
func (g *segment) openForReading() (err error) {
	g.file, err = g.disk.open(g.path)
	return err
}

// close closes what is open of g. Nobody may be reading it.
func (g *segment) close() {
	if g.db != nil {
		_ = g.db.Close()
		g.db = nil
	}
	if g.file != nil {
		_ = g.file.Close()
		g.file = nil
	}
}

// tree returns the tree of the last commit of a segment that is open for reading.
func (g *segment) tree() (*tree, error) {
	p, err := pagesOf(g.file)
	if err != nil {
		return nil, err
	}
	m, err := p.newest()
	return &tree{pages: p, meta: m}, err
}

// readHead fills the summary of a segment that is open for reading, from what was written when it was sealed or, when it
// was not, by walking its atoms, which must all be sound then.
func (g *segment) readHead(series map[meter.SeriesID]meter.Series) error {
	t, err := g.tree()
	if err != nil {
		return err
	}
	head := make(map[string][]byte)
	var buckets []string
	t.want = func(bucket []byte) bool {
		buckets = append(buckets, string(bucket))
		return !bytes.Equal(bucket, bucketAtoms)
	}
	t.fn = func(bucket, key, value []byte) {
		switch {
		case bytes.Equal(bucket, bucketStore):
			head[string(key)] = value
		case bytes.Equal(bucket, bucketSeries):
			def, ok := decodeSeries(value)
			if len(key) != 4 || !ok {
				t.bad("series %x", key)
				return
			}
			id := meter.SeriesID(binary.BigEndian.Uint32(key))
			series[id], g.defined[id] = def, true
		}
	}
	if err := t.run(); err != nil {
		return err
	}
	if want := []string{string(bucketAtoms), string(bucketSeries), string(bucketStore)}; !slices.Equal(buckets, want) {
		return fmt.Errorf("%w: buckets %q: want %q", errDamaged, buckets, want)
	}
	g.epoch = uint64Of(head[string(keyEpoch)])
	if g.schema, err = checkSchema(head[string(keySchema)]); err != nil {
		return err
	}
	b, sum := head[string(keySealed)], head[string(keySealedSum)]
	g.sealed = b != nil
	if g.sealed && len(sum) == 4 { // version 1 wrote none; then the atoms tell
		if crc32.Checksum(b, castagnoli) != binary.BigEndian.Uint32(sum) {
			return fmt.Errorf("%w: checksum of the summary", errDamaged)
		}
		if err := json.Unmarshal(b, &g.summary); err != nil {
			return fmt.Errorf("%w: summary: %w", errDamaged, err)
		}
	} else if err := g.summarise(); err != nil {
		return err
	}
	if g.Series == nil || g.End < g.first {
		return fmt.Errorf("%w: summary", errDamaged)
	}
	return nil
}

// summarise fills the summary from the atoms. One that is damaged is an error, since its count cannot be trusted, so that
// the end of the segment is not known.
func (g *segment) summarise() error {
	g.summary = summary{End: g.first, Series: make(map[meter.SeriesID]span)}
	var wrong error
	err := g.atomsFrom(0, func(a atom, err error) bool {
		if err == nil && a.first < g.first {
			err = fmt.Errorf("%w: atom %d in a segment that begins at %d", errDamaged, a.first, g.first)
		}
		if err == nil {
			err = g.note(a)
		}
		wrong = err
		return err == nil
	})
	if wrong != nil {
		return wrong
	}
	return err
}

// atomsFrom calls fn with the atoms of a held segment from the one that holds sequence from on, until fn returns false. What
// fn gets lives only as long as the call. A damaged atom is given with the error.
func (g *segment) atomsFrom(from uint64, fn func(a atom, err error) bool) error {
	return g.rawFrom(from, func(key, value []byte) bool {
		a, err := decodeAtom(key, value)
		return err == nil && a.first+a.count <= from || fn(a, err)
	})
}

// rawFrom calls fn with keys and values of atoms of a held segment, from the one that holds sequence from or one not far
// before it on, until fn returns false.
func (g *segment) rawFrom(from uint64, fn func(key, value []byte) bool) error {
	if g.db != nil { // bbolt writes it meanwhile
		return guard(func() error {
			return g.db.View(func(tx *bbolt.Tx) error {
				atoms := tx.Bucket(bucketAtoms)
				if atoms == nil {
					return fmt.Errorf("%w: bucket of atoms is missing", errDamaged)
				}
				c := atoms.Cursor()
				var v []byte
				k, _ := c.Seek(sequenceKey(from))
				if k == nil {
					k, v = c.Last()
				} else if k, v = c.Prev(); k == nil {
					k, v = c.First()
				}
				for k != nil && fn(k, v) {
					k, v = c.Next()
				}
				return nil
			})
		})
	}
	t, err := g.tree()
	if err != nil {
		return err
	}
	t.want = func(bucket []byte) bool { return bytes.Equal(bucket, bucketAtoms) }
	t.from = sequenceKey(from)
	t.fn = func(_, key, value []byte) { t.stop = !fn(key, value) }
	return t.run()
}
