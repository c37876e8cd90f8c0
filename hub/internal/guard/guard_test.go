package guard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fluxora.dev/hub/internal/guard"
)

func name(s string) []byte { return []byte(s) }

func show(l guard.Lineage) string {
	return fmt.Sprintf("%s→%s (%d, readmit %t)", l.Previous, l.Current, l.Count, l.Readmit)
}

func TestAnswer(t *testing.T) {
	at := guard.Lineage{Previous: name("b"), Current: name("c"), Count: 3}
	open := at
	open.Readmit = true
	first := guard.Lineage{Current: name("a"), Count: 1}
	old := guard.Knock{KnownEpoch: true, Sequence: 10, Highest: 10}
	behind, elsewhere := old, old
	behind.Sequence, elsewhere.KnownEpoch = 9, false
	shows := func(last, next string, count uint64) guard.Knock {
		return guard.Knock{Keeps: true, Last: name(last), Next: name(next), Count: count, KnownEpoch: true, Sequence: 10, Highest: 10}
	}
	anew := shows("b", "x", 2)
	anew.KnownEpoch = false
	for _, c := range []struct {
		name  string
		state guard.Lineage
		knock guard.Knock
		want  guard.Verdict
		next  guard.Lineage
	}{
		{"the first session", guard.Lineage{}, shows("", "a", 0), guard.Welcome, first},
		{"the first again, as Welcome was lost", first, shows("", "a", 0), guard.Welcome, first},
		{"another first one", first, shows("", "x", 0), guard.Doubled, first},
		{"the next", at, shows("c", "d", 3), guard.Welcome, guard.Lineage{Previous: name("c"), Current: name("d"), Count: 4}},
		{"the same again, as Welcome was lost", at, shows("b", "c", 2), guard.Welcome, at},
		{"a copy", at, shows("b", "x", 2), guard.Doubled, at},
		{"an old backup", at, shows("a", "x", 1), guard.Doubled, at},
		{"an agent whose disk takes nothing", at, shows("c", "", 3), guard.Welcome, at},
		{"a copy whose disk takes nothing", at, shows("b", "", 2), guard.Doubled, at},
		{"an agent that knows more than the hub", at, shows("y", "z", 9), guard.Forgotten, guard.Lineage{Previous: name("y"), Current: name("z"), Count: 10}},
		{"another of the same number", at, shows("y", "z", 3), guard.Doubled, at},
		{"a copy after a readmission", open, shows("b", "x", 2), guard.NewEpoch, open},
		{"a copy with a new epoch after a readmission", open, anew, guard.Readmitted, guard.Lineage{Previous: name("b"), Current: name("x"), Count: 4}},
		{"the one in force after a readmission", open, shows("c", "d", 3), guard.Welcome, guard.Lineage{Previous: name("c"), Current: name("d"), Count: 4, Readmit: true}},
		{"one of an old version", guard.Lineage{}, old, guard.Welcome, guard.Lineage{}},
		{"a downgraded one", at, old, guard.Unguarded, at},
		{"a downgraded one with a new store", at, elsewhere, guard.Unguarded, at},
		{"a copy of an old version", at, behind, guard.Doubled, at},
		{"a copy of an old version, readmitted", open, behind, guard.Readmitted, guard.Lineage{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if next, got := c.state.Answer(c.knock); got != c.want || show(next) != show(c.next) {
				t.Errorf("verdict %d, %s: want %d, %s", got, show(next), c.want, show(c.next))
			}
		})
	}
}

// world is a hub, agents and what is under way between them, a value: a copy of it is another world.
type world struct {
	hub, saved guard.Lineage // and a backup
	drawn      int           // names
	agents     [2]agent
	flying     string // messages under way, "kind agent session last next count" each; any may come next, or never
}

// agent is what one has on its disk, and its session.
type agent struct {
	last, next string
	count      uint64 // that the receipt for last says
	session    int    // a Welcome to another is not read
	refused    bool   // its newest Hello was
}

// hello is what an agent does to begin a session, at any time: a crash before it is no other thing. A full disk takes no name.
func (w world) hello(i int, full bool) world {
	a := &w.agents[i]
	a.session++
	if a.next == "" && !full {
		w.drawn++
		a.next = fmt.Sprintf("n%d", w.drawn)
	}
	w.flying += fmt.Sprintf("hello,%d,%d,%s,%s,%d\n", i, a.session, a.last, a.next, a.count)
	return w
}

func (w world) lines() int { return strings.Count(w.flying, "\n") }

// take lets message n arrive, or get lost. An agent with a full disk does not keep what Welcome says.
func (w world) take(n int, lost, full bool) world {
	lines := strings.Split(strings.TrimSuffix(w.flying, "\n"), "\n")
	f := strings.Split(lines[n], ",")
	if w.flying = strings.Join(slices.Delete(lines, n, n+1), "\n"); w.flying != "" {
		w.flying += "\n"
	}
	if lost {
		return w
	}
	var i, session int
	var count uint64
	fmt.Sscan(f[1], &i)
	fmt.Sscan(f[2], &session)
	fmt.Sscan(f[5], &count)
	a := &w.agents[i]
	if f[0] == "welcome" {
		if session == a.session && f[4] != "" && !full {
			a.last, a.next, a.count = f[4], "", count
		}
		return w
	}
	var verdict guard.Verdict
	w.hub, verdict = w.hub.Answer(guard.Knock{Keeps: true, Last: name(f[3]), Next: name(f[4]), Count: count, KnownEpoch: true})
	if session == a.session {
		a.refused = !verdict.Admits()
	}
	if verdict.Admits() {
		w.flying += fmt.Sprintf("welcome,%d,%d,,%s,%d\n", i, session, f[4], w.hub.Count)
	}
	return w
}

// TestNoCrashLocksAnAgentOut goes through every order in which one agent's messages, crashes and full disks can come, to a depth, with
// backups of the hub put back in between.
func TestNoCrashLocksAnAgentOut(t *testing.T) {
	depth := 13
	if testing.Short() {
		depth = 9
	}
	seen := map[string]int{}
	var walk func(w world, left int, way string)
	walk = func(w world, left int, way string) {
		if w.agents[0].refused {
			t.Fatalf("the only agent was refused:%s", way)
		}
		key := fmt.Sprint(show(w.hub), show(w.saved), w.agents, w.flying)
		if left == 0 || seen[key] >= left {
			return
		}
		seen[key] = left
		for _, full := range []bool{false, true} {
			if w.lines() < 3 {
				walk(w.hello(0, full), left-1, fmt.Sprint(way, " hello", full))
			}
			for n := range w.lines() {
				walk(w.take(n, false, full), left-1, fmt.Sprint(way, " take", n, full))
			}
		}
		if w.lines() > 0 {
			walk(w.take(0, true, false), left-1, way+" lose")
		}
		restored := w // what is under way dies with the hub
		restored.hub, restored.flying, restored.agents[0].session = w.saved, "", w.agents[0].session+1
		walk(restored, left-1, way+" restore")
		w.saved = w.hub
		walk(w, left-1, way+" backup")
	}
	walk(world{}, depth, "")
	t.Logf("%d worlds", len(seen))
	if len(seen) < 1000 {
		t.Error("want more of them")
	}
}

// TestTwoAgentsAreToldApart gives two agents the same data at every point of a session, and goes through every order of what follows,
// with crashes, though they are never connected at once. As soon as each has been welcomed twice, one of them is refused; once,
// when they were copied between sessions.
func TestTwoAgentsAreToldApart(t *testing.T) {
	home := world{}.hello(0, false).take(0, false, false).take(0, false, false)
	for at, start := range map[string]world{
		"before the first session": {}, "between sessions": home, "before Hello arrives": home.hello(0, false).take(0, true, false),
		"before Welcome arrives": home.hello(0, false).take(0, false, false).take(0, true, false),
	} {
		start.agents[1] = start.agents[0]
		most := 2
		if start.agents[0].next == "" {
			most = 1
		}
		apart := 0
		var walk func(w world, left int, way string, welcomed [2]int)
		walk = func(w world, left int, way string, welcomed [2]int) {
			if w.agents[0].refused || w.agents[1].refused {
				apart++
				return
			}
			if min(welcomed[0], welcomed[1]) >= most {
				t.Fatalf("copied %s, both go on:%s", at, way)
			}
			if left == 0 {
				return
			}
			for i := range 2 {
				met := w.hello(i, false).take(0, false, false)
				if met.agents[i].refused {
					walk(met, left, way, welcomed)
					continue
				}
				walk(met.take(0, true, false), left-1, fmt.Sprint(way, " cut", i), welcomed)
				done := welcomed
				done[i]++
				walk(met.take(0, false, false), left-1, fmt.Sprint(way, " ", i), done)
			}
		}
		walk(start, 8, "", [2]int{})
		if apart == 0 {
			t.Errorf("copied %s, nobody was ever refused", at)
		}
	}
}
