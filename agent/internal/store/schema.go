package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/meter"
)

// schemaVersion is the version of the layout of both kinds of files.
const schemaVersion = 2

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
	keyNext      = []byte("next")
	keyApplied   = []byte("applied")
	keyAcked     = []byte("acked")
	keyLost      = []byte("lost")
	keySealed    = []byte("sealed")     // segments: summary, once no more atoms come
	keySealedSum = []byte("sealed-sum") // CRC-32C of the summary
	keyCounts    = []byte("quarantine-counts")
)

// checkSchema compares the schema version of a file with ours. Files of version 1 are read as they are; see format.go.
func checkSchema(b *bbolt.Bucket) error {
	raw := b.Get(keySchema)
	if len(raw) != 16 {
		return fmt.Errorf("%w: no schema version", errDamaged)
	}
	v := uint64Of(raw[:8])
	switch {
	case v != ^uint64Of(raw[8:]):
		return fmt.Errorf("%w: schema version %x", errDamaged, raw)
	case v > schemaVersion:
		return fmt.Errorf("%w: schema %d: this one knows up to %d; start the newer agent, or move the directory away", ErrNewerSchema, v, schemaVersion)
	case v == 0:
		return fmt.Errorf("%w: no schema version", errDamaged)
	}
	return nil
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

func seriesKey(id meter.SeriesID) []byte { return binary.BigEndian.AppendUint32(nil, uint32(id)) }

func putSeries(b *bbolt.Bucket, id meter.SeriesID, s meter.Series) error {
	v, err := json.Marshal(s)
	if err != nil {
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
func decodeSeries(b []byte) (s meter.Series, ok bool) {
	ok = json.Unmarshal(b, &s) == nil && s.Check() == nil
	return s, ok
}
