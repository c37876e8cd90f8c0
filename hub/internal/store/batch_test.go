package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

const epoch = 1<<63 + 5 // an epoch is any 64 bits

var supply = wire.Series{ID: 1, Series: meter.Series{Point: "main", Meter: "m1", Register: meter.EnergyImport, Kind: meter.Counter}}

// open returns a store with an agent that has a session and one declared series.
func open(t testing.TB) (s *store.Store, org, agent uuid.UUID) {
	t.Helper()
	s = storetest.Open(t)
	org, _, agent = storetest.Site(t, s, "org", store.Site{Name: "here", Zone: "Europe/Oslo"})
	if _, err := s.OpenSession(context.Background(), org, agent, wire.Hello{Epoch: epoch}); err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(context.Background(), org, agent, epoch, []wire.Series{supply}); err != nil {
		t.Fatal(err)
	}
	return s, org, agent
}

// batch returns a batch of n readings, one a second, for sequences from first on.
func batch(t testing.TB, first uint64, n int) wire.Batch {
	t.Helper()
	rs := make([]meter.Reading, n)
	for i := range rs {
		rs[i] = meter.Reading{At: meter.Millis(1_700_000_000_000 + 1000*(int64(first)+int64(i))), Value: 1000 * (int64(first) + int64(i))}
	}
	b, err := chunk.Append(nil, rs)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Batch{First: first, Count: uint64(n), Blocks: []wire.Block{{Series: 1, Chunk: b}}}
}

func count(t testing.TB, s *store.Store, table string) (n int) {
	t.Helper()
	if err := s.Pool().QueryRow(context.Background(), `select count(*) from `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCommitBatch(t *testing.T) {
	s, org, agent := open(t)
	ctx := t.Context()
	commit := func(b wire.Batch) (wire.Received, error) { return s.CommitBatch(ctx, org, agent, epoch, b) }

	got, err := commit(batch(t, 1, 10))
	if err != nil || got.Cursor != 11 || got.Beyond != nil {
		t.Fatalf("first batch: %+v, %v, want cursor 11", got, err)
	}
	if got, err = commit(batch(t, 21, 10)); err != nil || got.Cursor != 11 {
		t.Fatalf("batch behind a hole: %+v, %v, want cursor 11", got, err)
	}
	if d := cmp.Diff([]wire.Range{{First: 21, End: 31}}, got.Beyond); d != "" {
		t.Fatal(d)
	}
	for _, b := range []wire.Batch{batch(t, 1, 10), batch(t, 3, 2), batch(t, 21, 10)} { // replays
		if again, err := commit(b); err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("replay of [%d,+%d): %+v, %v, want %+v", b.First, b.Count, again, err, got)
		}
	}
	_, err = commit(batch(t, 5, 10))
	if o, ok := errors.AsType[*store.OverlapError](err); !ok || !errors.Is(err, store.ErrOverlap) || cmp.Diff(got, o.Received) != "" {
		t.Errorf("partial overlap: %v, want ErrOverlap with what is held", err)
	}
	if n := count(t, s, "batch"); n != 2 {
		t.Errorf("%d batches stored, want 2", n)
	}
	if got, err = commit(batch(t, 11, 10)); err != nil || got.Cursor != 31 || got.Beyond != nil {
		t.Errorf("the hole filled: %+v, %v, want cursor 31", got, err)
	}
	if again, err := s.OpenSession(ctx, org, agent, wire.Hello{Epoch: epoch}); err != nil || cmp.Diff(got, again) != "" {
		t.Errorf("next session: %+v, %v, want %+v", again, err, got)
	}
	if other, err := s.OpenSession(ctx, org, agent, wire.Hello{Epoch: 7}); err != nil || other.Cursor != 1 {
		t.Errorf("other epoch: %+v, %v, want cursor 1", other, err)
	}
}

func TestCommitBatchRefuses(t *testing.T) {
	s, org, agent := open(t)
	good := batch(t, 1, 10)
	change := func(fn func(*wire.Batch)) wire.Batch {
		b := batch(t, 1, 10)
		fn(&b)
		return b
	}
	absurd, err := chunk.Append(nil, []meter.Reading{{At: 1 << 60, Value: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		batch wire.Batch
		want  error
	}{
		{"torn block", change(func(b *wire.Batch) { b.Blocks[0].Chunk = b.Blocks[0].Chunk[:9] }), store.ErrCorrupt},
		{"garbage", change(func(b *wire.Batch) { b.Blocks[0].Chunk = []byte("garbage") }), store.ErrCorrupt},
		{"count", change(func(b *wire.Batch) { b.Count = 11 }), store.ErrCorrupt},
		{"refused do not add up", change(func(b *wire.Batch) { b.Refused = 1 }), store.ErrCorrupt},
		{"sequence 0", change(func(b *wire.Batch) { b.First = 0 }), store.ErrCorrupt},
		{"sequences overflow", change(func(b *wire.Batch) { b.First = 1<<63 - 2 }), store.ErrCorrupt},
		{"no readings", wire.Batch{First: 1}, store.ErrCorrupt},
		{"absurd instant", wire.Batch{First: 1, Count: 1, Blocks: []wire.Block{{Series: 1, Chunk: absurd}}}, store.ErrCorrupt},
		{"undeclared", change(func(b *wire.Batch) { b.Blocks[0].Series = 2 }), store.ErrUndeclared},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := s.CommitBatch(t.Context(), org, agent, epoch, tc.batch); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
	if _, err := s.CommitBatch(t.Context(), org, agent, 99, good); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("epoch without a session: error %v, want ErrNotFound", err)
	}
	if _, err := s.CommitBatch(t.Context(), uuid.New(), agent, epoch, good); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another organisation: error %v, want ErrNotFound", err)
	}
	if n := count(t, s, "batch"); n != 0 {
		t.Errorf("%d batches stored, want none", n)
	}
	// Readings that the agent could not read back count as received, so that its cursor moves on.
	if got, err := s.CommitBatch(t.Context(), org, agent, epoch, wire.Batch{First: 1, Count: 5, Refused: 5}); err != nil || got.Cursor != 6 {
		t.Errorf("all refused: %+v, %v, want cursor 6", got, err)
	}
}

func TestCommitBatchConcurrently(t *testing.T) {
	s, org, agent := open(t)
	var wg sync.WaitGroup
	for range 4 { // four sessions that send the same ten batches
		wg.Go(func() {
			for i := range 10 {
				if _, err := s.CommitBatch(t.Context(), org, agent, epoch, batch(t, uint64(1+10*i), 10)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var batches, arrived, readings int
	err := s.Pool().QueryRow(t.Context(), `select (select count(*) from batch), arrived, readings from site_arrival`).Scan(&batches, &arrived, &readings)
	if err != nil || batches != 10 || arrived != 10 || readings != 100 {
		t.Errorf("%d batches, %d arrivals, %d readings (%v), want 10, 10, 100", batches, arrived, readings, err)
	}
}

func TestDeclare(t *testing.T) {
	s, org, agent := open(t)
	ctx := t.Context()
	exchanged := wire.Series{ID: 2, Series: meter.Series{Point: "main", Meter: "m2", Register: meter.EnergyImport, Kind: meter.Counter}}
	for range 2 { // idempotent
		if err := s.Declare(ctx, org, agent, epoch, []wire.Series{supply, exchanged}); err != nil {
			t.Fatal(err)
		}
	}
	if p, m, r := count(t, s, "point"), count(t, s, "meter"), count(t, s, "register"); p != 1 || m != 2 || r != 2 {
		t.Errorf("%d points, %d meters, %d registers, want 1, 2, 2", p, m, r)
	}
	other := exchanged
	other.ID = 1
	if err := s.Declare(ctx, org, agent, epoch, []wire.Series{other}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("number used twice: error %v, want ErrConflict", err)
	}
	if err := s.Declare(ctx, org, agent, epoch, []wire.Series{{ID: 3, Series: meter.Series{Point: "a b"}}}); err == nil {
		t.Error("a bad name was declared")
	}
	if err := s.Declare(ctx, org, uuid.New(), epoch, []wire.Series{supply}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown agent: error %v, want ErrNotFound", err)
	}
	points, err := s.Points(ctx, org)
	if err != nil || len(points) != 1 || points[0].Zone != "Europe/Oslo" || cmp.Diff([]meter.Register{meter.EnergyImport}, points[0].Registers) != "" {
		t.Errorf("points %+v, %v", points, err)
	}
	if points, err := s.Points(ctx, uuid.New()); err != nil || len(points) != 0 {
		t.Errorf("points of another organisation: %+v, %v, want none", points, err)
	}
}
