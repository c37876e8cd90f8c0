package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/meter"
)

// Schema is the version of the layout of both kinds of files that this code writes.
const Schema = 3

// ErrNewerSchema says that a newer agent wrote the directory.
var ErrNewerSchema = errors.New("the store was written by a newer version of the agent")

// Buckets and keys of both kinds of files.
var (
	bucketStore      = []byte("store")  // single values, below
	bucketSeries     = []byte("series") // series id (4 bytes, big-endian) → JSON of meter.Series
	bucketAtoms      = []byte("atoms")  // segments only
	bucketDerived    = []byte("derived")
	bucketForecasts  = []byte("forecasts")
	bucketQuarantine = []byte("quarantine")
	bucketNamed      = []byte("named")

	keySchema    = []byte("schema")
	keyEpoch     = []byte("epoch")
	keyNotEpoch  = []byte("not-epoch") // segments: its complement, so that a damaged one is not taken for another store's
	keyNext      = []byte("next")
	keyApplied   = []byte("applied")
	keyAcked     = []byte("acked")
	keyLost      = []byte("lost")
	keySealed    = []byte("sealed")     // segments: summary, once no more atoms come
	keySealedSum = []byte("sealed-sum") // CRC-32C of the summary
	keyCounts    = []byte("quarantine-counts")
	keySum       = []byte("sum") // state.db: CRC-32C over the single values but itself and the schema version
)

// stateBuckets are the buckets of state.db.
var stateBuckets = [][]byte{bucketStore, bucketSeries, bucketDerived, bucketForecasts, bucketQuarantine, bucketNamed}

// checkSchema returns the schema version of a file, if it is one of ours. Files of older versions are read as they are; see format.go.
func checkSchema(raw []byte) (v uint64, err error) {
	if len(raw) != 16 {
		return 0, fmt.Errorf("%w: no schema version", errDamaged)
	}
	v = uint64Of(raw[:8])
	switch {
	case v != ^uint64Of(raw[8:]):
		return 0, fmt.Errorf("%w: schema version %x", errDamaged, raw)
	case v > Schema:
		return v, fmt.Errorf("%w: schema %d: this one knows up to %d; start the newer agent, or move the directory away", ErrNewerSchema, v, Schema)
	case v == 0:
		return 0, fmt.Errorf("%w: no schema version", errDamaged)
	}
	return v, nil
}

// schemaValue is a schema version and its complement, so that a flipped bit is not taken for a newer version.
func schemaValue(v uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, v), ^v)
}

func uint64Of(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// headSum is the checksum of the single values of state.db.
func headSum(head map[string][]byte) []byte {
	sum := uint32(0)
	for _, k := range slices.Sorted(maps.Keys(head)) {
		if k == string(keySum) || k == string(keySchema) {
			continue
		}
		sum = crc32.Update(sum, castagnoli, []byte(k))
		sum = crc32.Update(sum, castagnoli, sequenceKey(uint64(len(head[k]))))
		sum = crc32.Update(sum, castagnoli, head[k])
	}
	return binary.BigEndian.AppendUint32(nil, sum)
}

// checkHead compares the single values of state.db with their checksum. Until the first write after an upgrade there is none.
func checkHead(head map[string][]byte) error {
	if got, ok := head[string(keySum)]; ok && !bytes.Equal(got, headSum(head)) {
		return fmt.Errorf("%w: checksum of the single values", errDamaged)
	}
	return nil
}

// headOf returns the single values of a file.
func headOf(tx *bbolt.Tx) (map[string][]byte, error) {
	head := make(map[string][]byte)
	return head, tx.Bucket(bucketStore).ForEach(func(k, v []byte) error {
		head[string(k)] = v
		return nil
	})
}

// putHeadSum writes the checksum of the single values, after the last of them.
func putHeadSum(tx *bbolt.Tx) error {
	head, err := headOf(tx)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketStore).Put(keySum, headSum(head))
}

func seriesKey(id meter.SeriesID) []byte { return binary.BigEndian.AppendUint32(nil, uint32(id)) }

// storedSeries is a definition as it is kept, with the checksum of its JSON; older versions wrote none.
type storedSeries struct {
	meter.Series
	Sum *uint32 `json:",omitempty"`
}

func sumOf(s meter.Series) (uint32, error) {
	b, err := json.Marshal(s)
	return crc32.Checksum(b, castagnoli), err
}

func putSeries(b *bbolt.Bucket, id meter.SeriesID, s meter.Series) error {
	sum, err := sumOf(s)
	v, err2 := json.Marshal(storedSeries{s, &sum})
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("encode series %d: %w", id, err)
	}
	return b.Put(seriesKey(id), v)
}

func readSeries(b *bbolt.Bucket, into map[meter.SeriesID]meter.Series) error {
	return b.ForEach(func(k, v []byte) error {
		s, ok := decodeSeries(v)
		if len(k) != 4 || !ok {
			return fmt.Errorf("%w: series %x", errDamaged, k)
		}
		into[meter.SeriesID(binary.BigEndian.Uint32(k))] = s
		return nil
	})
}

// decodeSeries reads a definition and wants it whole: one with a flipped bit would send readings to another point.
func decodeSeries(b []byte) (meter.Series, bool) {
	var x storedSeries
	if json.Unmarshal(b, &x) != nil || x.Series.Check() != nil {
		return meter.Series{}, false
	}
	sum, err := sumOf(x.Series)
	return x.Series, err == nil && (x.Sum == nil || *x.Sum == sum)
}
