package ingest_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"

	"fluxora.dev/hub/internal/guard"
)

// shows says hello with a lineage.
func (k *talk) shows(epoch uint64, last, receipt []byte, next string) *uplinkv1.SyncResponse {
	k.t.Helper()
	h := wire.Hello{Epoch: epoch, Next: 1000, Lineage: &wire.Lineage{Last: last, Receipt: receipt, Next: []byte(next)}}
	k.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Hello{Hello: wire.EncodeHello(h)}})
	return k.recv()
}

// TestACopyIsRefusedAndReadmitted: the second of two agents with the same data neither gets in nor takes the other's session, until
// it is let in by hand; then it begins a new epoch, and the other is refused.
func TestACopyIsRefusedAndReadmitted(t *testing.T) {
	h := startHub(t, nil)
	cert, id := h.agent()
	live := h.talk(cert)
	receipt := live.shows(9, nil, nil, "one").GetWelcome().GetReceipt()
	if n := h.authority.SessionCount(id, []byte("one"), receipt); n != 1 {
		t.Fatalf("the receipt counts %d: want 1", n)
	}
	live.recv() // configuration
	live.recv() // models

	away := h.talk(cert).shows(9, nil, nil, "other").GetComeBack()
	if !away.GetDoubled() || away.GetAfterMs() != time.Minute.Milliseconds() || away.GetReason() == "" {
		t.Errorf("the copy is told %v: want to come back in a minute, and why", away)
	}
	live.declare(1)
	live.batch(1000, 1, 1)
	if live.recv().GetAck() == nil {
		t.Error("the copy disturbed the live session")
	}
	if s := h.Stats(); s.Clones != 1 || s.Displaced != 0 {
		t.Errorf("stats %+v: want one copy, nobody displaced", s)
	}

	h.store.set(func(f *fakeStore) { l := f.lineages[id]; l.Readmit = true; f.lineages[id] = l })
	if c := h.talk(cert).shows(9, nil, nil, "other").GetComeBack(); !c.GetNewEpoch() || c.GetDoubled() {
		t.Errorf("the readmitted copy is told %v: want a new epoch", c)
	}
	copied := h.talk(cert)
	if copied.shows(10, nil, nil, "other").GetWelcome() == nil {
		t.Error("the copy was not readmitted with a new epoch")
	}
	wantCode(t, "the session of the other", live.end(), codes.Aborted)
	if c := h.talk(cert).shows(9, []byte("one"), receipt, "two").GetComeBack(); !c.GetDoubled() {
		t.Errorf("the one that was in force is told %v: want that it is the copy now", c)
	}

	// The hub is set back: who shows a receipt for more than it knows is let in.
	h.store.set(func(f *fakeStore) { f.lineages[id] = guard.Lineage{Current: []byte("long ago")} })
	if h.talk(cert).shows(9, []byte("one"), receipt, "two").GetWelcome() == nil || h.Stats().Forgotten != 1 {
		t.Errorf("an agent that knows more than the hub was refused: %+v", h.Stats())
	}
}
