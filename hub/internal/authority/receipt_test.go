package authority_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestReceipts(t *testing.T) {
	s := &secrets{}
	a, again, other := open(t, s, time.Now), open(t, s, time.Now), open(t, &secrets{}, time.Now)
	agent, session := uuid.New(), []byte("a session's name")
	r := a.Receipt(agent, session, 7)
	if n := again.SessionCount(agent, session, r); n != 7 {
		t.Errorf("the hub counts %d after a restart: want 7", n)
	}
	higher := slices.Clone(r)
	higher[7]++
	for name, n := range map[string]uint64{
		"another hub's":      other.SessionCount(agent, session, r),
		"another agent's":    a.SessionCount(uuid.New(), session, r),
		"another session's":  a.SessionCount(agent, []byte("another session"), r),
		"a higher number":    a.SessionCount(agent, session, higher),
		"half of one":        a.SessionCount(agent, session, r[:12]),
		"none":               a.SessionCount(agent, session, nil),
		"one for no session": a.SessionCount(agent, nil, a.Receipt(agent, nil, 3)),
	} {
		if n != 0 {
			t.Errorf("%s receipt counts %d", name, n)
		}
	}
}
