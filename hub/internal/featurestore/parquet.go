package featurestore

import (
	"io"
	"math"

	"github.com/parquet-go/parquet-go"

	"fluxora.dev/shared/feature"
)

// parquetSink writes a Parquet file: times as milliseconds UTC, features as optional 32-bit floats.
type parquetSink struct {
	w      *parquet.GenericWriter[any]
	at     []int // column of each value, head first
	sorted parquet.Row
	rows   int
}

// rowsInGroup bounds what the sink holds in memory.
const rowsInGroup = 20_000

func newParquet(w io.Writer, spec feature.Spec) (Sink, error) {
	group := parquet.Group{
		"site": parquet.Encoded(parquet.String(), &parquet.RLEDictionary), "point": parquet.Encoded(parquet.String(), &parquet.RLEDictionary),
		"register": parquet.Encoded(parquet.String(), &parquet.RLEDictionary), "origin": parquet.Timestamp(parquet.Millisecond), "step": parquet.Int(32),
		"start": parquet.Timestamp(parquet.Millisecond), "scale_wh": parquet.Leaf(parquet.DoubleType), "actual_wh": parquet.Optional(parquet.Leaf(parquet.DoubleType)),
	}
	names := append([]string(nil), head...)
	for _, n := range spec.Names() {
		if _, taken := group[n]; taken { // the feature step is the column step
			n = "feature " + n
		}
		group[n] = parquet.Optional(parquet.Leaf(parquet.FloatType))
		names = append(names, n)
	}
	schema := parquet.NewSchema("features", group)
	s := &parquetSink{w: parquet.NewGenericWriter[any](w, schema, parquet.Compression(&parquet.Zstd), parquet.KeyValueMetadata("fluxora.spec", spec.String()))}
	for _, n := range names {
		leaf, _ := schema.Lookup(n)
		s.at = append(s.at, leaf.ColumnIndex)
	}
	s.sorted = make(parquet.Row, len(names))
	return s, nil
}

func (s *parquetSink) Write(r Row) error {
	put := func(i int, v parquet.Value, optional bool) {
		level := 0
		if optional && !v.IsNull() {
			level = 1
		}
		s.sorted[s.at[i]] = v.Level(0, level, s.at[i])
	}
	put(0, parquet.ValueOf(r.Site), false)
	put(1, parquet.ValueOf(r.Point), false)
	put(2, parquet.ValueOf(string(r.Register)), false)
	put(3, parquet.Int64Value(r.Origin.UnixMilli()), false)
	put(4, parquet.Int32Value(int32(r.Step)), false)
	put(5, parquet.Int64Value(r.Start.UnixMilli()), false)
	put(6, parquet.DoubleValue(r.Scale), false)
	actual := parquet.DoubleValue(r.Actual)
	if math.IsNaN(r.Actual) {
		actual = parquet.NullValue()
	}
	put(7, actual, true)
	for i, f := range r.Features {
		v := parquet.FloatValue(f)
		if missing(f) {
			v = parquet.NullValue()
		}
		put(len(head)+i, v, true)
	}
	if _, err := s.w.WriteRows([]parquet.Row{s.sorted}); err != nil {
		return err
	}
	if s.rows++; s.rows%rowsInGroup == 0 {
		return s.w.Flush()
	}
	return nil
}

func (s *parquetSink) Close() error { return s.w.Close() }
