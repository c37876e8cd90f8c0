package uplink_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"

	"fluxora.dev/agent/internal/hubtest"
	"fluxora.dev/agent/internal/identity"
	"fluxora.dev/agent/internal/uplink"
)

// shiftedStore is a store whose epoch the lineage shifts.
type shiftedStore struct {
	*agentStore
	lineage *identity.Lineage
}

func (s shiftedStore) Epoch() uint64 { return s.lineage.Epoch(s.agentStore.Epoch()) }

// TestLineageIsShownAndMoves: a session's name is shown again until the hub has welcomed the agent to it; a refusal as a copy is a
// failure with the hub's reason; a readmission begins a new epoch.
func TestLineageIsShownAndMoves(t *testing.T) {
	hub := hubtest.New(t)
	var mu sync.Mutex
	var hellos []wire.Hello
	answers := []error{hubtest.SendAway{Reason: "busy"}, nil, hubtest.SendAway{Reason: "this is a copy", Doubled: true}, hubtest.SendAway{NewEpoch: true}, nil}
	hub.OnMessage = func(m *uplinkv1.SyncRequest) error {
		if m.GetHello() == nil {
			return nil
		}
		h, err := wire.DecodeHello(m.GetHello())
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		hellos = append(hellos, h)
		if len(hellos) <= len(answers) {
			return answers[len(hellos)-1]
		}
		return nil
	}
	address := hub.Start()
	s := openStore(t)
	all := fill(t, s, 3, 10, 1)
	lineage, err := identity.OpenLineage(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: shiftedStore{fromStore(s), lineage}, Lineage: lineage})
	eventually(t, "the first session", func() bool { return c.Status().Connected })
	hub.Stop()
	hub.Start()
	eventually(t, "the refusal to be told", func() bool {
		st := c.Status()
		return st.Doubled && strings.Contains(st.LastError, "this is a copy") || st.Sessions > 1
	})
	eventually(t, "the session after the readmission", func() bool { return c.Status().Sessions == 2 && !c.Status().Doubled })
	eventually(t, "everything is acked", func() bool { return len(s.Unacked()) == 0 })
	wantOnce(t, hub, all)

	mu.Lock()
	defer mu.Unlock()
	if len(hellos) < 5 {
		t.Fatalf("%d hellos", len(hellos))
	}
	a, b, after := hellos[0].Lineage, hellos[1].Lineage, hellos[2].Lineage
	if !bytes.Equal(a.Next, b.Next) || len(a.Last)+len(b.Last) > 0 {
		t.Errorf("before the first welcome the agent says %+v, then %+v: want the same", a, b)
	}
	if !bytes.Equal(after.Last, b.Next) || !bytes.Equal(after.Receipt, hubtest.Receipt) || bytes.Equal(after.Next, b.Next) {
		t.Errorf("after it %+v: want what follows %+v", after, b)
	}
	if hellos[3].Epoch != hellos[0].Epoch || hellos[4].Epoch == hellos[3].Epoch || !bytes.Equal(hellos[4].Lineage.Next, after.Next) {
		t.Errorf("epochs %d, %d and %d: want another after the readmission, under the same name", hellos[0].Epoch, hellos[3].Epoch, hellos[4].Epoch)
	}
}
