package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// The bounds of an artifact.
const (
	MaxSize    = 64 << 20 // of the body, in bytes
	maxVectors = 64
	maxBands   = 32
	maxTrees   = 20_000
	maxNodes   = 1 << 15
	maxSets    = 1<<16 - 1
	maxColumns = 16
	maxReads   = 1024
	maxForest  = 2000 // trees that keep samples

	firstVersion  = 1 // without growth
	formatVersion = 2
	headerSize    = 16
)

var magic = [8]byte{'F', 'L', 'U', 'X', 'M', 'O', 'D', 'L'}

// Digest returns what identifies an encoded artifact and what is signed.
func Digest(encoded []byte) [32]byte { return sha256.Sum256(encoded) }

// idOf returns the name that Decode gives an artifact.
func idOf(encoded []byte) string {
	d := Digest(encoded)
	return hex.EncodeToString(d[:8])
}

// Encode returns the bytes of a.
func Encode(a *Artifact) ([]byte, error) {
	w := &writer{b: append(make([]byte, 0, 4096), magic[:]...)}
	version := formatVersion
	if len(a.Growth) == 0 {
		version = firstVersion // which agents of before know
	}
	w.u16(uint16(version))
	w.u16(0)
	w.u32(0)
	w.u16(uint16(len(a.Family)))
	w.b = append(w.b, a.Family...)
	spec := a.Spec.String()
	w.u32(uint32(len(spec)))
	w.b = append(w.b, spec...)
	hash := a.Spec.Hash()
	w.b = append(w.b, hash[:]...)
	w.u8(uint8(len(a.Levels)))
	w.f64s(a.Levels)
	w.u32(uint32(a.Resolution / time.Second))
	w.u32(uint32(a.Horizon / time.Second))
	w.u64(uint64(a.TrainedFrom))
	w.u64(uint64(a.TrainedTo))
	w.u32(uint32(a.Points))
	w.u64(uint64(a.Rows))
	if version > firstVersion {
		w.f64s(a.Growth)
	}
	w.u16(uint16(len(a.Vectors)))
	for _, v := range a.Vectors {
		w.f32s(v.Row)
		w.f64s(v.Want)
	}
	at := len(w.b)
	w.u32(0)
	m, ok := a.Model.(encoder)
	if !ok {
		return nil, fmt.Errorf("encode artifact: no codec for %T", a.Model)
	}
	m.encode(w)
	binary.LittleEndian.PutUint32(w.b[at:], uint32(len(w.b)-at-4))
	n := len(w.b) - headerSize
	if n > MaxSize {
		return nil, fmt.Errorf("encode artifact: %d bytes: want at most %d", n, MaxSize)
	}
	binary.LittleEndian.PutUint32(w.b[12:], uint32(n))
	sum := sha256.Sum256(w.b)
	w.b = append(w.b, sum[:]...)
	if _, err := Decode(w.b); err != nil { // what would be refused there must not leave here
		return nil, fmt.Errorf("encode artifact: %w", err)
	}
	return w.b, nil
}

// Decode reads an artifact. Errors wrap ErrDamaged, ErrVersion or feature.ErrSpec. It allocates no more than a small
// multiple of len(b), whatever b says.
func Decode(b []byte) (*Artifact, error) {
	if len(b) < headerSize+sha256.Size || [8]byte(b[:8]) != magic {
		return nil, fmt.Errorf("decode artifact: %w: %d bytes that do not begin with %q", ErrDamaged, len(b), magic)
	}
	version := binary.LittleEndian.Uint16(b[8:])
	if version < firstVersion || version > formatVersion {
		return nil, fmt.Errorf("decode artifact: %w %d: this build reads %d to %d", ErrVersion, version, firstVersion, formatVersion)
	}
	n := binary.LittleEndian.Uint32(b[12:])
	if n > MaxSize || int(n) != len(b)-headerSize-sha256.Size || b[10] != 0 || b[11] != 0 {
		return nil, fmt.Errorf("decode artifact: %w: %d bytes with a body of %d", ErrDamaged, len(b), n)
	}
	end := headerSize + int(n)
	if sha256.Sum256(b[:end]) != [32]byte(b[end:]) {
		return nil, fmt.Errorf("decode artifact: %w: checksum differs", ErrDamaged)
	}
	a, err := decodeBody(&reader{b: b[headerSize:end]}, version)
	if err != nil {
		return nil, fmt.Errorf("decode artifact: %w", err)
	}
	a.ID = idOf(b)
	return a, nil
}

func decodeBody(r *reader, version uint16) (*Artifact, error) {
	a := &Artifact{Family: string(r.bytes(int(r.u16())))}
	text := string(r.bytes(r.count()))
	hash := r.bytes(sha256.Size)
	if r.bad {
		return nil, fmt.Errorf("%w: the feature spec is cut short", ErrDamaged)
	}
	var err error
	if a.Spec, err = feature.ParseSpec(text); err != nil {
		return nil, err
	}
	if a.Spec.Hash() != [32]byte(hash) {
		return nil, fmt.Errorf("%w: feature spec and its hash differ", ErrDamaged)
	}
	a.Levels = r.f64s(int(r.u8()))
	a.Resolution = time.Duration(r.u32()) * time.Second
	a.Horizon = time.Duration(r.u32()) * time.Second
	a.TrainedFrom, a.TrainedTo = meter.Millis(r.u64()), meter.Millis(r.u64())
	a.Points = r.count()
	rows := r.u64()
	if rows > math.MaxInt32 { // int has 32 bits on a gateway
		return nil, fmt.Errorf("%w: trained on %d rows", ErrDamaged, rows)
	}
	a.Rows = int(rows)
	if version > firstVersion {
		a.Growth = r.f64s(len(GrowthAges()))
		if err := a.Growth.check(); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
		}
	}
	vectors := int(r.u16())
	f, l := a.Spec.Len(), len(a.Levels)
	if r.bad || vectors > maxVectors || r.left() < vectors*(4*f+8*l) {
		return nil, fmt.Errorf("%w: %d self-test vectors in %d bytes", ErrDamaged, vectors, r.left())
	}
	if err := checkLevels(a.Levels); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if a.Resolution < time.Minute || a.Resolution > time.Hour || time.Hour%a.Resolution != 0 {
		return nil, fmt.Errorf("%w: resolution %s", ErrDamaged, a.Resolution)
	}
	if a.Horizon < a.Resolution || a.Horizon > 400*24*time.Hour {
		return nil, fmt.Errorf("%w: horizon %s", ErrDamaged, a.Horizon)
	}
	for range vectors {
		a.Vectors = append(a.Vectors, Vector{Row: r.f32s(f), Want: r.f64s(l)})
	}
	if n := r.count(); r.bad || n != r.left() {
		return nil, fmt.Errorf("%w: %d bytes of model in %d", ErrDamaged, n, r.left())
	}
	decode, ok := decoders()[a.Family]
	if !ok {
		return nil, fmt.Errorf("%w: family %.20q: this build reads %v", ErrVersion, a.Family, slices.Sorted(maps.Keys(decoders())))
	}
	a.Model, err = decode(r, f, a.Levels)
	if err == nil && (r.bad || r.left() != 0) {
		err = fmt.Errorf("family %s: %d bytes left over", a.Family, r.left())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return a, nil
}

func checkLevels(levels []float64) error {
	if len(levels) == 0 || len(levels) > 99 {
		return fmt.Errorf("%d levels: want 1 to 99", len(levels))
	}
	for i, l := range levels {
		if !(l > 0 && l < 1) || i > 0 && l <= levels[i-1] {
			return fmt.Errorf("levels %v: want ascending numbers between 0 and 1", levels)
		}
	}
	return nil
}
