package wire

import (
	meterv1 "fluxora.dev/proto/fluxora/meter/v1"
	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// Series is a series with the number that the agent gave it.
type Series struct {
	ID meter.SeriesID
	meter.Series
	MaxWatts float64 // the most that the point's connection can carry; 0 when unknown
}

var kinds = map[meter.Kind]meterv1.Kind{
	meter.Counter: meterv1.Kind_KIND_COUNTER, meter.Energy: meterv1.Kind_KIND_ENERGY, meter.Power: meterv1.Kind_KIND_POWER,
}

// EncodeDeclaration returns the message that declares ss.
func EncodeDeclaration(ss []Series) *uplinkv1.Declaration {
	m := &uplinkv1.Declaration{Series: make([]*meterv1.Series, len(ss))}
	for i, s := range ss {
		m.Series[i] = &meterv1.Series{
			Id: uint32(s.ID), Point: s.Point, Meter: s.Meter, Register: string(s.Register), Kind: kinds[s.Kind], Modulus: s.Modulus, MaxWatts: s.MaxWatts,
		}
	}
	return m
}

// DecodeDeclaration returns the series that m declares.
func DecodeDeclaration(m *uplinkv1.Declaration) ([]Series, error) {
	if len(m.GetSeries()) > MaxSeries {
		return nil, invalid("declaration of %d series: want at most %d", len(m.GetSeries()), MaxSeries)
	}
	ss := make([]Series, len(m.GetSeries()))
	for i, p := range m.GetSeries() {
		s := Series{ID: meter.SeriesID(p.GetId()), MaxWatts: p.GetMaxWatts(), Series: meter.Series{
			Point: p.GetPoint(), Meter: p.GetMeter(), Register: meter.Register(p.GetRegister()), Modulus: p.GetModulus(),
		}}
		for kind, k := range kinds {
			if k == p.GetKind() {
				s.Kind = kind
			}
		}
		if s.ID == 0 {
			return nil, invalid("series %s/%s: id 0: want 1 or more", s.Point, s.Register)
		}
		if err := s.Check(); err != nil {
			return nil, invalid("%v", err)
		}
		if !(s.MaxWatts >= 0 && s.MaxWatts <= 1e12) {
			return nil, invalid("series %s/%s: at most %g W: want 0 (unknown) to 1e12", s.Point, s.Register, s.MaxWatts)
		}
		ss[i] = s
	}
	return ss, nil
}

// Block holds readings of one series as a chunk of package chunk.
type Block struct {
	Series meter.SeriesID
	Chunk  []byte
}

// Batch holds the readings with sequences [First, First+Count) except Refused of them, which were evicted or could not be read
// back. A batch that holds none may be of any length: so the hub learns of a lost range and its cursor passes it.
type Batch struct {
	First, Count uint64
	Blocks       []Block
	Refused      uint64
}

// Range returns the sequences of b.
func (b Batch) Range() Range { return Range{b.First, b.First + b.Count} }

// Bytes returns the size of b's chunks.
func (b Batch) Bytes() int {
	n := 0
	for _, block := range b.Blocks {
		n += len(block.Chunk)
	}
	return n
}

// EncodeBatch returns the message for b.
func EncodeBatch(b Batch) *uplinkv1.Batch {
	m := &uplinkv1.Batch{First: b.First, Count: b.Count, Refused: b.Refused, Blocks: make([]*meterv1.Block, len(b.Blocks))}
	blocks := make([]meterv1.Block, len(b.Blocks))
	for i, block := range b.Blocks {
		blocks[i].Series, blocks[i].Chunk = uint32(block.Series), block.Chunk
		m.Blocks[i] = &blocks[i]
	}
	return m
}

// DecodeBatch returns the batch in m. Its chunks are counted, not decoded.
func DecodeBatch(m *uplinkv1.Batch) (Batch, error) {
	b := Batch{First: m.GetFirst(), Count: m.GetCount(), Refused: m.GetRefused()}
	if b.First == 0 || b.Count == 0 || b.Count > 1<<62 || b.First > 1<<62 {
		return Batch{}, invalid("batch of %d readings from %d: want at least 1, from 1 on", b.Count, b.First)
	}
	if b.Count > MaxBatchReadings && b.Refused != b.Count {
		return Batch{}, invalid("batch of %d readings from %d: want at most %d", b.Count, b.First, MaxBatchReadings)
	}
	if b.Refused > b.Count || uint64(len(m.GetBlocks())) > b.Count {
		return Batch{}, invalid("batch of %d readings: %d refused, %d blocks: want at most one a reading", b.Count, b.Refused, len(m.GetBlocks()))
	}
	b.Blocks = make([]Block, len(m.GetBlocks()))
	n := b.Refused
	for i, p := range m.GetBlocks() {
		count, err := chunk.Len(p.GetChunk())
		if err != nil {
			return Batch{}, invalid("batch from %d: block %d: %v", b.First, i, err)
		}
		if p.GetSeries() == 0 {
			return Batch{}, invalid("batch from %d: block %d: series 0: want 1 or more", b.First, i)
		}
		n += uint64(count)
		b.Blocks[i] = Block{meter.SeriesID(p.GetSeries()), p.GetChunk()}
	}
	if n != b.Count {
		return Batch{}, invalid("batch from %d: blocks and refused hold %d readings: want %d", b.First, n, b.Count)
	}
	return b, nil
}
