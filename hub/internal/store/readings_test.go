package store_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// TestChunkInSQL decodes blocks with the function that people with psql use and with package chunk.
func TestChunkInSQL(t *testing.T) {
	s := storetest.Open(t)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		want := make([]meter.Reading, 1+r.IntN(200))
		at, scale := int64(0), []int64{1, 10, 1_000_000}[r.IntN(3)]
		for i := range want {
			if r.IntN(5) == 0 {
				at = r.Int64N(7_000_000_000_000)
			} else {
				at += 10_000
			}
			want[i] = meter.Reading{At: meter.Millis(at), Value: (r.Int64N(2_000_000) - 1_000_000) * scale, Quality: meter.Quality(r.IntN(5))}
			if r.IntN(20) == 0 {
				want[i].Value = 1_000_000_000_000_000_000 * (r.Int64N(3) - 1)
			}
		}
		b, err := chunk.Append(nil, want)
		if err != nil {
			rt.Fatal(err)
		}
		rows, err := s.Pool().Query(t.Context(), `select at_ms, value, quality from fluxora_chunk($1) order by ordinal`, b)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r meter.Reading, err error) {
			err = row.Scan(&r.At, &r.Value, &r.Quality)
			return r, err
		})
		if err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatal(d)
		}
	})
	if _, err := s.Pool().Exec(t.Context(), `select * from fluxora_chunk($1)`, []byte{2, 1, 0}); err == nil {
		t.Error("a chunk of version 2 was decoded")
	}
}

// TestReadingsBeforeDeriving reads batches as they came: the later value of an instant counts.
func TestReadingsBeforeDeriving(t *testing.T) {
	s, org, agent := open(t)
	if _, err := s.CommitBatch(t.Context(), org, agent, epoch, batch(t, 1, 3)); err != nil {
		t.Fatal(err)
	}
	b, err := chunk.Append(nil, []meter.Reading{{At: 1_700_000_002_000, Value: 7}, {At: 1_700_000_002_000, Value: 8}})
	if err != nil {
		t.Fatal(err)
	}
	late := wire.Batch{First: 4, Count: 2, Blocks: []wire.Block{{Series: 1, Chunk: b}}}
	if _, err := s.CommitBatch(t.Context(), org, agent, epoch, late); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Pool().Query(t.Context(), `select at, value from reading where org_id = $1 and point = 'main' and meter = 'm1' order by at`, org)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		At    time.Time
		Value int64
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	want := []row{{at.Add(time.Second), 1000}, {at.Add(2 * time.Second), 8}, {at.Add(3 * time.Second), 3000}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
