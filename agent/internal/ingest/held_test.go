package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fluxora.dev/agent/internal/clock"
	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/ingest"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// gateway is a machine with an agent on it, whose clocks the test moves. It lives in a synctest bubble.
type gateway struct {
	t   *testing.T
	dir string

	mu    sync.Mutex
	boot  string
	truth time.Time
	up    time.Time
	off   time.Duration

	clock *clock.Clock
	*site
	failDrop *atomic.Bool // the release crashes after the readings are stored
}

// until1970 is how far off a clock is that was not set at noon, an hour after boot.
var until1970 = time.Unix(3600, 0).Sub(noon)

func newGateway(t *testing.T, off time.Duration) *gateway {
	g := &gateway{t: t, dir: t.TempDir(), boot: "boot-1", truth: noon, up: noon.Add(-time.Hour), off: off, failDrop: new(atomic.Bool)}
	g.start()
	return g
}

func (g *gateway) wall() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.truth.Add(g.off)
}

func (g *gateway) since() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.truth.Sub(g.up)
}

func (g *gateway) pass(d time.Duration) {
	g.mu.Lock()
	g.truth = g.truth.Add(d)
	g.mu.Unlock()
}

func (g *gateway) set(off time.Duration) {
	g.clock.Now()
	g.mu.Lock()
	g.off = off
	g.mu.Unlock()
}

// start starts the agent.
func (g *gateway) start() {
	g.t.Helper()
	c := config.Default()
	c.Site, c.Store.CommitWindow = "home", time.Millisecond
	c.MQTT.Mappings = []config.Mapping{{Topic: "m/{point}", Register: "1.8.0"}}
	g.clock = clock.New(clock.Source{Wall: g.wall, Boot: g.since, ID: g.boot}, nil)
	s, err := store.Open(g.dir, store.Options{Now: g.clock.Now})
	if err != nil {
		g.t.Fatal(err)
	}
	record, err := s.Value("clock")
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.clock.Restore(record, func(b []byte) error { return s.Put("clock", b) }); err != nil {
		g.t.Fatal(err)
	}
	in, err := ingest.New(crashing{s, g.failDrop}, ingest.Options{Config: c, Now: g.clock.Now, Clock: g.clock})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = in.Run(ctx) }()
	g.site = &site{t: g.t, store: s, in: in, stop: func() {
		cancel()
		<-done
		_ = g.clock.Keep()
		_ = s.Close()
	}}
}

func (g *gateway) restart() {
	g.t.Helper()
	g.stop()
	g.start()
}

func (g *gateway) reboot(id string, away, off time.Duration) {
	g.t.Helper()
	g.stop()
	g.pass(away)
	g.boot, g.up, g.off = id, g.truth, off
	g.start()
}

// crashing is a store in which released readings cannot be forgotten.
type crashing struct {
	*store.Store
	fail *atomic.Bool
}

func (c crashing) Put(name string, value []byte) error {
	if name == "held" && c.fail.Load() {
		return errors.New("crashed")
	}
	return c.Store.Put(name, value)
}

// publish sends one reading of every kind of publisher, of a value each: without an instant, stamped by the gateway's own clock,
// and by a meter that has the time.
func (g *gateway) publish(value int) {
	g.t.Helper()
	g.feed(
		message{topic: "m/untimed", payload: fmt.Sprint(value)},
		message{topic: "fluxora/v1/home/reading/bridge/energy-import", payload: fmt.Sprintf(`{"t":%d,"v":%d}`, g.wall().UnixMilli(), value)},
		message{topic: "fluxora/v1/home/reading/meter/energy-import", payload: fmt.Sprintf(`{"t":%d,"v":%d}`, g.truth.UnixMilli(), value)},
	)
	synctest.Wait()
}

// taken returns what is stored, as "point value seconds-after-noon quality".
func (g *gateway) taken() map[string]int {
	g.t.Helper()
	synctest.Wait()
	out := make(map[string]int)
	for _, r := range g.readings() {
		s, _ := g.store.LookupSeries(r.Series)
		out[fmt.Sprintf("%s %d %g %s", s.Point, r.Value/1000, r.At.Time().Sub(noon).Seconds(), r.Quality)]++
	}
	return out
}

func (g *gateway) want(words ...string) {
	g.t.Helper()
	want := make(map[string]int)
	for _, w := range words {
		want[w] = 1
	}
	if d := cmp.Diff(want, g.taken()); d != "" {
		g.t.Error(d)
	}
}

func TestReadingsBeforeTheTimeIsKnown(t *testing.T) {
	all := []string{
		"meter 1 0 measured", "untimed 1 0 estimated", "bridge 1 0 estimated",
		"meter 2 60 measured", "untimed 2 60 estimated", "bridge 2 60 estimated",
	}
	for _, tc := range []struct {
		name string
		then func(g *gateway)
		want []string
	}{
		{"not known yet", func(*gateway) {}, all[0:1:1]},
		{"the clock jumps to it", func(g *gateway) { g.set(0) }, nil},
		{"the hub tells it", func(g *gateway) { g.clock.Hub(g.truth) }, nil},
		{"restarted before", func(g *gateway) { g.restart(); g.set(0) }, nil},
		{"restarted after", func(g *gateway) { g.stop(); g.off = 0; g.start() }, nil},
		{"crashed while releasing", func(g *gateway) {
			g.failDrop.Store(true)
			g.clock.Hub(g.truth)
			synctest.Wait()
			g.failDrop.Store(false)
			g.restart()
		}, nil},
		{"delivered twice, with a restart between", func(g *gateway) {
			stamp := g.wall().Add(-time.Minute).UnixMilli()
			g.restart()
			g.feed(message{topic: "fluxora/v1/home/reading/bridge/energy-import", payload: fmt.Sprintf(`{"t":%d,"v":2}`, stamp), repeated: true})
			g.set(0)
		}, nil},
		{"some arrive after the time is known", func(g *gateway) {
			stamp := g.wall().UnixMilli()
			g.set(0)
			g.pass(time.Hour)
			g.feed(message{topic: "fluxora/v1/home/reading/bridge/energy-import", payload: fmt.Sprintf(`{"t":%d,"v":3}`, stamp)})
		}, append(all[:6:6], "bridge 3 120 estimated")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGateway(t, until1970)
				defer func() { g.stop() }()
				g.publish(1)
				g.pass(time.Minute)
				g.publish(2)
				g.pass(time.Minute)
				if s := g.in.Stats(); s.Held != 4 || s.Readings != 2 || len(s.Refused) > 0 {
					t.Errorf("%+v, want 4 held and 2 stored", s)
				}
				tc.then(g)
				g.clock.Now()
				want := tc.want
				if want == nil {
					want = all
				}
				if tc.name == "not known yet" {
					want = []string{all[0], all[3]}
				}
				g.want(want...)
				if s := g.in.Stats(); s.Held != 0 && tc.name != "not known yet" {
					t.Errorf("%d still held", s.Held)
				}
			})
		})
	}
}

func TestJumpInMidRun(t *testing.T) {
	const days = 240 * time.Hour
	for _, off := range []time.Duration{days, -days} {
		for name, then := range map[string]func(g *gateway){
			"it jumps back":       func(g *gateway) { g.set(0) },
			"the hub contradicts": func(g *gateway) { g.clock.Hub(g.truth) },
		} {
			t.Run(fmt.Sprint(off, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGateway(t, 0)
					defer func() { g.stop() }()
					g.publish(1)
					g.pass(time.Minute)
					g.set(off)
					g.publish(2)
					g.want("untimed 1 0 measured", "bridge 1 0 measured", "meter 1 0 measured", "meter 2 60 measured")
					g.pass(time.Minute)
					then(g)
					g.publish(3)
					want := []string{
						"untimed 1 0 measured", "bridge 1 0 measured", "meter 1 0 measured",
						"untimed 2 60 estimated", "bridge 2 60 estimated", "meter 2 60 measured",
						"untimed 3 120 measured", "bridge 3 120 measured", "meter 3 120 measured",
					}
					if name == "the hub contradicts" { // the wall clock is still wrong
						want[6], want[7] = "untimed 3 120 estimated", "bridge 3 120 estimated"
					}
					g.want(want...)
				})
			})
		}
	}
	t.Run("to 1970", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway(t, 0)
			defer func() { g.stop() }()
			g.set(until1970)
			g.publish(1)
			g.want("untimed 1 0 estimated", "bridge 1 0 estimated", "meter 1 0 measured")
		})
	})
	t.Run("and it was right to", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway(t, -days) // believed for want of better
			defer func() { g.stop() }()
			g.set(0)
			g.publish(1)
			g.pass(clock.Settle)
			g.clock.Now()
			g.want("untimed 1 0 measured", "bridge 1 0 measured", "meter 1 0 measured")
		})
	})
}

func TestReadingsOfAnEarlierBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, 0)
		defer func() { g.stop() }()
		g.publish(1)
		g.reboot("boot-2", 10*time.Minute, until1970)
		g.publish(2) // ten minutes after noon
		g.pass(time.Hour)
		g.publish(3)
		g.reboot("boot-3", 10*time.Minute, until1970)
		g.clock.Hub(g.truth)
		g.want("untimed 1 0 measured", "bridge 1 0 measured", "meter 1 0 measured",
			"untimed 2 600 estimated", "bridge 2 600 estimated", "meter 2 600 measured",
			"untimed 3 4200 estimated", "bridge 3 4200 estimated", "meter 3 4200 measured")
	})
	t.Run("that cannot be dated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway(t, until1970)
			defer func() { g.stop() }()
			g.publish(2)
			g.reboot("boot-2", 10*time.Minute, 0)
			g.clock.Now()
			g.want("meter 2 0 measured")
			qs, err := g.store.Quarantined(0, 10)
			if err != nil || len(qs) != 2 {
				t.Fatalf("%d messages in quarantine, %v", len(qs), err)
			}
			for _, q := range qs {
				if q.Reason != string(meter.UnsetClock) || q.Point == "" || q.Topic == "" {
					t.Errorf("%+v", q)
				}
			}
			if s := g.in.Stats(); s.Held != 0 || s.Refused[meter.UnsetClock] != 2 {
				t.Errorf("%+v", s)
			}
		})
	})
}

func TestHoldingIsBoundedAndDropsNothingInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, until1970)
		defer func() { g.stop() }()
		const messages, each = 160, 1000
		for i := range messages {
			b := []byte{'['}
			for j := range each {
				if j > 0 {
					b = append(b, ',')
				}
				b = fmt.Appendf(b, `{"t":%d,"v":%d.%03d}`, g.wall().UnixMilli()+int64(j*37%97), (i*each+j)*7919%1000003, j)
			}
			g.in.Take(context.Background(), mqtt.NewMessage(energyTopic, append(b, ']'), false, false, nil))
		}
		time.Sleep(time.Second) // the commit window is a millisecond
		g.set(0)
		g.clock.Now()
		time.Sleep(time.Second)
		stored := 0
		for range g.readings() {
			stored++
		}
		if s := g.in.Stats(); s.Held != 0 || stored != messages*each || g.store.QuarantineStats().Kept > 0 {
			t.Errorf("%d stored, %d held, %+v, %+v, want %d stored", stored, s.Held, s, g.store.QuarantineStats(), messages*each)
		}
	})
}
