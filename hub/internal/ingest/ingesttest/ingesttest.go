// Package ingesttest is the conformance suite of ingest.Store: what every store of an uplink must do, the fake of the server's
// tests as well as Postgres. It must not be used outside tests.
package ingesttest

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"fluxora.dev/hub/internal/guard"
	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"
)

const epoch = 7

// Run runs the suite. open returns an empty store and an agent that it knows.
func Run(t *testing.T, open func(t *testing.T) (ingest.Store, ingest.Agent)) {
	for name, test := range map[string]func(*testing.T, bench){
		"batches":     batches,
		"replays":     replays,
		"overlaps":    overlaps,
		"refusals":    refusals,
		"lost ranges": lost,
		"epochs":      epochs,
		"reports":     reports,
		"artifacts":   artifacts,
		"copies":      copies,
	} {
		t.Run(name, func(t *testing.T) {
			s, a := open(t)
			b := bench{s, a, t.Context()}
			b.welcome(t, epoch, wire.Received{Cursor: 1})
			for range 2 { // idempotent
				if err := s.Declare(b.ctx, a, epoch, []wire.Series{{ID: 1, Series: meter.Series{Point: "p", Register: meter.EnergyImport, Kind: meter.Counter}}}); err != nil {
					t.Fatal(err)
				}
			}
			test(t, b)
		})
	}
}

type bench struct {
	store ingest.Store
	agent ingest.Agent
	ctx   context.Context
}

// batch returns n readings of series from sequence first on.
func batch(first uint64, n int, series meter.SeriesID) wire.Batch {
	rs := make([]meter.Reading, n)
	for i := range rs {
		rs[i] = meter.Reading{At: meter.Millis(1_700_000_000_000 + 10_000*(int64(first)+int64(i))), Value: 1000 * (int64(first) + int64(i))}
	}
	b, err := chunk.Append(nil, rs)
	if err != nil {
		panic(err)
	}
	return wire.Batch{First: first, Count: uint64(n), Blocks: []wire.Block{{Series: series, Chunk: b}}}
}

func (b bench) welcome(t *testing.T, epoch uint64, want wire.Received) {
	t.Helper()
	got, err := b.store.OpenSession(b.ctx, b.agent, wire.Hello{Epoch: epoch, Next: 1000})
	if err != nil || !same(got, want) {
		t.Errorf("a session of epoch %d opens with %+v, %v: want %+v", epoch, got, err, want)
	}
}

func (b bench) commit(t *testing.T, x wire.Batch, is error, want wire.Received) {
	t.Helper()
	got, err := b.store.CommitBatch(b.ctx, b.agent, epoch, x)
	if !errors.Is(err, is) || (err == nil || is == ingest.ErrOverlap) && !same(got, want) {
		t.Errorf("batch [%d,%d): %+v, %v: want %+v, %v", x.First, x.First+x.Count, got, err, want, is)
	}
}

func same(a, b wire.Received) bool {
	return a.Cursor == b.Cursor && (len(a.Beyond)+len(b.Beyond) == 0 || reflect.DeepEqual(a.Beyond, b.Beyond))
}

func batches(t *testing.T, b bench) {
	b.commit(t, batch(1, 10, 1), nil, wire.Received{Cursor: 11})
	b.commit(t, batch(31, 10, 1), nil, wire.Received{Cursor: 11, Beyond: []wire.Range{{First: 31, End: 41}}})
	b.commit(t, batch(51, 10, 1), nil, wire.Received{Cursor: 11, Beyond: []wire.Range{{First: 31, End: 41}, {First: 51, End: 61}}})
	b.commit(t, batch(11, 20, 1), nil, wire.Received{Cursor: 41, Beyond: []wire.Range{{First: 51, End: 61}}})
	b.commit(t, batch(41, 10, 1), nil, wire.Received{Cursor: 61})
	b.welcome(t, epoch, wire.Received{Cursor: 61})
}

func replays(t *testing.T, b bench) {
	for range 3 {
		b.commit(t, batch(1, 10, 1), nil, wire.Received{Cursor: 11})
	}
	b.commit(t, batch(11, 10, 1), nil, wire.Received{Cursor: 21})
	b.commit(t, batch(5, 10, 1), nil, wire.Received{Cursor: 21}) // within what is there, across the border of two batches
	b.welcome(t, epoch, wire.Received{Cursor: 21})
}

func overlaps(t *testing.T, b bench) {
	b.commit(t, batch(11, 10, 1), nil, wire.Received{Cursor: 1, Beyond: []wire.Range{{First: 11, End: 21}}})
	for _, x := range []wire.Batch{batch(5, 10, 1), batch(15, 10, 1), batch(5, 30, 1)} {
		b.commit(t, x, ingest.ErrOverlap, wire.Received{Cursor: 1, Beyond: []wire.Range{{First: 11, End: 21}}})
	}
	b.commit(t, batch(1, 10, 1), nil, wire.Received{Cursor: 21})
}

func refusals(t *testing.T, b bench) {
	b.commit(t, batch(1, 10, 2), ingest.ErrUndeclared, wire.Received{})
	cut := batch(1, 10, 1)
	cut.Blocks[0].Chunk = cut.Blocks[0].Chunk[:len(cut.Blocks[0].Chunk)-1]
	b.commit(t, cut, ingest.ErrCorrupt, wire.Received{})
	half := batch(1, 10, 1) // one good block and one bad: nothing of it is kept
	half.Blocks, half.Count = append(half.Blocks, wire.Block{Series: 1, Chunk: cut.Blocks[0].Chunk}), 20
	b.commit(t, half, ingest.ErrCorrupt, wire.Received{})
	b.welcome(t, epoch, wire.Received{Cursor: 1})
	b.commit(t, batch(1, 10, 1), nil, wire.Received{Cursor: 11})
}

func lost(t *testing.T, b bench) {
	b.commit(t, wire.Batch{First: 1, Count: 1_000_000, Refused: 1_000_000}, nil, wire.Received{Cursor: 1_000_001})
	part := batch(1_000_001, 10, 1)
	part.Count, part.Refused = 15, 5
	b.commit(t, part, nil, wire.Received{Cursor: 1_000_016})
}

func epochs(t *testing.T, b bench) {
	b.commit(t, batch(1, 10, 1), nil, wire.Received{Cursor: 11})
	b.welcome(t, epoch+1, wire.Received{Cursor: 1})
	if err := b.store.Declare(b.ctx, b.agent, epoch+1, []wire.Series{{ID: 1, Series: meter.Series{Point: "q", Register: meter.EnergyImport, Kind: meter.Counter}}}); err != nil {
		t.Error(err)
	}
	b.welcome(t, epoch, wire.Received{Cursor: 11})
}

func reports(t *testing.T, b bench) {
	r := wire.Report{ID: 3, Quarantined: []wire.Quarantined{{ID: 1, Reason: string(meter.Malformed), Detail: "bad \x00 byte", Payload: []byte{0, 255}}}}
	r.Live = []wire.LiveDay{{
		Point: "p", Register: meter.EnergyImport, Model: "018f2d6e-0000-7000-8000-000000000000",
		Day: watch.Day{Start: 86_400_000, Model: forecast.Score{Count: 24, AbsErr: 1}, Baseline: forecast.Score{Count: 24, AbsErr: 2}},
	}}
	for range 2 {
		if err := b.store.PutReport(b.ctx, b.agent, epoch, r); err != nil {
			t.Errorf("report: %v", err)
		}
	}
}

// copies: the store keeps lineages as package guard says; what that decides is tested there.
func copies(t *testing.T, b bench) {
	knock := func(h wire.Hello, count uint64, want guard.Verdict) guard.Lineage {
		t.Helper()
		l, got, err := b.store.Knock(b.ctx, b.agent, h, count, "192.0.2.1:1")
		if err != nil || got != want {
			t.Errorf("verdict %d, %v: want %d", got, err, want)
		}
		return l
	}
	hello := func(last, next string) wire.Hello {
		return wire.Hello{Epoch: epoch, Next: 1000, Lineage: &wire.Lineage{Last: []byte(last), Next: []byte(next)}}
	}
	old := wire.Hello{Epoch: epoch, Next: 999}
	knock(old, 0, guard.Welcome)
	for range 2 {
		if l := knock(hello("", "a"), 0, guard.Welcome); l.Count != 1 {
			t.Errorf("the first session is number %d", l.Count)
		}
	}
	knock(hello("", "x"), 0, guard.Doubled)
	if l := knock(hello("a", "b"), 1, guard.Welcome); l.Count != 2 || string(l.Current) != "b" || string(l.Previous) != "a" {
		t.Errorf("the second session makes %+v", l)
	}
	knock(hello("a", "x"), 1, guard.Doubled)
	knock(old, 0, guard.Doubled)
	old.Next = 1000
	knock(old, 0, guard.Unguarded)
	old.Next, old.Epoch = 1, epoch+1
	knock(old, 0, guard.Unguarded)
	knock(hello("y", "z"), 9, guard.Forgotten)
	if l := knock(hello("z", ""), 10, guard.Welcome); l.Count != 10 {
		t.Errorf("a Hello that begins no session makes %+v", l)
	}
}

func artifacts(t *testing.T, b bench) {
	if _, err := b.store.ArtifactChunk(b.ctx, b.agent, "01a20937-a6ea-786a-9a45-838ccfd62885", 0, 10); !errors.Is(err, ingest.ErrNotFound) {
		t.Errorf("artifact of an unknown model: %v, want ErrNotFound", err)
	}
}
