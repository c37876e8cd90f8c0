package clock_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"fluxora.dev/agent/internal/clock"
	"fluxora.dev/shared/meter"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// machine is a machine whose clocks the test moves.
type machine struct {
	id    string
	truth time.Time // what time it really is
	up    time.Time // when it booted
	off   time.Duration
	kept  []byte
	clock *clock.Clock
}

func newMachine() *machine { return &machine{id: "boot-1", truth: noon, up: noon.Add(-time.Hour)} }

func (m *machine) start(t *testing.T) {
	t.Helper()
	m.clock = clock.New(clock.Source{
		Wall: func() time.Time { return m.truth.Add(m.off) },
		Boot: func() time.Duration { return m.truth.Sub(m.up) },
		ID:   m.id,
	}, nil)
	if err := m.clock.Restore(m.kept, func(b []byte) error { m.kept = b; return nil }); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) keep(t *testing.T) {
	t.Helper()
	if err := m.clock.Keep(); err != nil {
		t.Fatal(err)
	}
}

// reboot passes away for a time; the wall clock is off by off from then on.
func (m *machine) reboot(t *testing.T, id string, away, off time.Duration) {
	t.Helper()
	m.keep(t)
	m.pass(away)
	m.id, m.up, m.off = id, m.truth, off
	m.start(t)
}

func (m *machine) pass(d time.Duration) { m.truth = m.truth.Add(d) }

// jump lets d pass and makes the wall clock stand off by off.
func (m *machine) jump(d, off time.Duration) {
	m.clock.Now()
	m.pass(d)
	m.off = off
}

func (m *machine) want(t *testing.T, trust clock.Trust, behind time.Duration) {
	t.Helper()
	got := m.clock.Moment()
	if now := m.clock.Now(); got.Trust != trust || now.Sub(m.truth) != behind {
		t.Errorf("%s at %s, want %s at %s", got.Trust, now, trust, m.truth.Add(behind))
	}
}

func until(to time.Time) time.Duration { return to.Sub(noon) }

var (
	unix0 = time.Unix(0, 0).UTC()
	y2038 = time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC)
)

func TestFirstStart(t *testing.T) {
	for _, tc := range []struct {
		name string
		wall time.Time
		want clock.Trust
	}{
		{"ordinary", noon, clock.Right},
		{"1970", unix0, clock.Unset},
		{"2019", time.Date(2019, 12, 31, 23, 59, 59, 0, time.UTC), clock.Unset},
		{"the second after 2038", y2038, clock.Right},
		{"2099", time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC), clock.Right},
		{"2106", time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC), clock.Unset},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine()
			m.off = until(tc.wall)
			m.start(t)
			m.want(t, tc.want, m.off)
		})
	}
}

func TestUnsetClockIsSetByAJumpOrTheHub(t *testing.T) {
	for _, how := range []string{"jump", "hub", "person"} {
		t.Run(how, func(t *testing.T) {
			m := newMachine()
			m.off = until(unix0)
			m.start(t)
			if s := m.clock.StartOf("boot-1"); s.Known || s.Never {
				t.Errorf("start of an unset boot is %+v", s)
			}
			m.pass(time.Hour)
			switch how {
			case "jump":
				m.off = 0
			case "hub":
				m.clock.Hub(m.truth)
				m.want(t, clock.Right, 0) // though the wall clock still says 1970
				if !m.clock.Moment().Astray() {
					t.Error("the wall clock is not called astray")
				}
				m.pass(time.Hour)
			case "person":
				m.off = 3 * time.Second
				m.clock.Person()
				m.off = 0
			}
			m.want(t, clock.Right, 0)
			s := m.clock.StartOf("boot-1")
			if d := s.At.Time().Sub(m.up); !s.Known || d < -4*time.Second || d > 4*time.Second {
				t.Errorf("this boot began %+v, want %s", s, m.up)
			}
			select {
			case <-m.clock.Changed():
			default:
				t.Error("nobody was told")
			}
		})
	}
}

func TestJumpsInMidRun(t *testing.T) {
	for _, tc := range []struct {
		name string
		off  time.Duration
		then func(m *machine)
		want clock.Trust
		at   time.Duration // off the truth at the end
	}{
		{"forward, and back", 240 * time.Hour, func(m *machine) { m.jump(time.Minute, 0) }, clock.Right, 0},
		{"backward, and back", -240 * time.Hour, func(m *machine) { m.jump(time.Minute, 0) }, clock.Right, 0},
		{"forward, not yet decided", 240 * time.Hour, func(m *machine) {}, clock.Doubtful, 0},
		{"forward, stays", 240 * time.Hour, func(m *machine) { m.clock.Now(); m.pass(clock.Settle) }, clock.Right, 240 * time.Hour},
		{"backward, stays", -240 * time.Hour, func(m *machine) { m.clock.Now(); m.pass(clock.Settle) }, clock.Right, -240 * time.Hour},
		{"the hub contradicts", 240 * time.Hour, func(m *machine) { m.clock.Hub(m.truth.Add(time.Second)); m.pass(clock.Settle) }, clock.Right, 0},
		{"the hub agrees", 240 * time.Hour, func(m *machine) { m.clock.Hub(m.truth.Add(240 * time.Hour)) }, clock.Right, 240 * time.Hour},
		{"to 1970", until(unix0), func(m *machine) { m.clock.Now(); m.pass(clock.Settle) }, clock.Right, 0},
		{"far beyond 2038", 20 * 365 * 24 * time.Hour, func(m *machine) { m.clock.Now(); m.pass(clock.Settle) }, clock.Right, 0},
		{"again and again", 240 * time.Hour, func(m *machine) {
			for i := range 10 {
				m.jump(clock.Settle/2, time.Duration(i+11)*24*time.Hour)
			}
		}, clock.Doubtful, 0},
		{"a leap second, repeated", -time.Second, func(m *machine) {}, clock.Right, -time.Second},
		{"a leap second, left out", time.Second, func(m *machine) {}, clock.Right, time.Second},
		{"a small correction", 40 * time.Second, func(m *machine) {}, clock.Right, 40 * time.Second},
		{"meters contradict", 240 * time.Hour, func(m *machine) {
			for range 5 {
				m.clock.Meter(7, meter.MillisOf(m.truth))
				m.pass(20 * time.Second)
			}
		}, clock.Right, 0},
		{"a backlog of a meter is no opinion", 240 * time.Hour, func(m *machine) {
			for i := range 50 {
				m.clock.Meter(7, meter.MillisOf(m.truth.Add(time.Duration(i)*time.Minute)))
				m.pass(time.Second)
			}
		}, clock.Doubtful, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine()
			m.start(t)
			m.jump(time.Minute, tc.off)
			m.clock.Now()
			tc.then(m)
			m.want(t, tc.want, tc.at)
		})
	}
}

func TestHubNeverCorrectsARightClock(t *testing.T) {
	m := newMachine()
	m.start(t)
	m.clock.Hub(m.truth.Add(48 * time.Hour))
	m.want(t, clock.Right, 0)
	m.clock.Hub(unix0)
	m.want(t, clock.Right, 0)
}

func TestMeterSetsAnUnsetClock(t *testing.T) {
	m := newMachine()
	m.off = until(unix0)
	m.start(t)
	for range 6 {
		m.clock.Meter(1, meter.MillisOf(m.truth))
		m.clock.Meter(2, meter.MillisOf(noon)) // stands still
		m.clock.Meter(3, 1000)                 // not set either
		m.pass(15 * time.Second)
	}
	m.want(t, clock.Right, 0)
}

func TestRestartOfTheProgram(t *testing.T) {
	m := newMachine()
	m.start(t)
	m.keep(t)
	m.pass(time.Minute)
	m.off = -1000 * time.Hour // it jumped while nobody looked
	m.start(t)
	m.want(t, clock.Doubtful, 0)
	m.off = until(unix0)
	m.start(t)
	m.want(t, clock.Right, 0)
}

func TestReboot(t *testing.T) {
	for _, tc := range []struct {
		name      string
		away, off time.Duration
		want      clock.Trust
		at        time.Duration
	}{
		{"with a clock that ran on", 48 * time.Hour, 0, clock.Right, 0},
		{"into 1970", time.Hour, -56 * 365 * 24 * time.Hour, clock.Unset, -time.Hour},
		{"with the time of the shutdown", 48 * time.Hour, -48*time.Hour + time.Second, clock.Unset, -48*time.Hour + time.Second},
		{"ten years ahead", time.Hour, 10 * 365 * 24 * time.Hour, clock.Unset, -time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine()
			m.start(t)
			m.reboot(t, "boot-2", tc.away, tc.off)
			m.want(t, tc.want, tc.at)
		})
	}
	t.Run("with the time of the shutdown, and nobody corrects it", func(t *testing.T) {
		m := newMachine()
		m.start(t)
		m.reboot(t, "boot-2", 2*time.Minute, -time.Minute)
		m.pass(2 * time.Minute)
		m.want(t, clock.Unset, -time.Minute)
		m.pass(2 * time.Minute)
		m.want(t, clock.Right, -time.Minute)
	})
}

func TestBootsWithoutTheTimeAreBounded(t *testing.T) {
	const year1970 = -56 * 365 * 24 * time.Hour
	for _, tc := range []struct {
		name  string
		away  time.Duration // before each boot
		known bool
	}{
		{"short", 10 * time.Minute, true},
		{"long", 10 * time.Hour, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine()
			m.start(t)
			good := m.truth
			m.reboot(t, "boot-2", tc.away, year1970)
			second := m.truth
			m.pass(3 * time.Hour)
			m.reboot(t, "boot-3", tc.away, year1970)
			third := m.truth
			m.pass(2 * time.Hour)
			m.reboot(t, "boot-4", tc.away, year1970)
			m.pass(time.Hour)
			m.clock.Hub(m.truth)
			m.want(t, clock.Right, 0)
			for id, began := range map[string]time.Time{"boot-2": second, "boot-3": third} {
				s := m.clock.StartOf(id)
				if s.Known != tc.known || s.Never == tc.known {
					t.Fatalf("%s: %+v, want known %v", id, s, tc.known)
				}
				if d := s.At.Time().Sub(began); tc.known && (d < -30*time.Minute || d > 30*time.Minute) {
					t.Errorf("%s: off by %s, want within half an hour", id, d)
				}
				if !tc.known && (s.After != meter.MillisOf(good) || s.Before < meter.MillisOf(began)) {
					t.Errorf("%s: %+v does not hold %s", id, s, began)
				}
			}
			m.keep(t)
			m.start(t) // and it is remembered
			if s := m.clock.StartOf("boot-2"); s.Known != tc.known {
				t.Errorf("after a restart: %+v", s)
			}
		})
	}
	m := newMachine()
	m.start(t)
	if s := m.clock.StartOf("boot-0"); !s.Never {
		t.Errorf("a boot never heard of: %+v", s)
	}
}

func TestDamagedRecordIsReportedAndPassedOver(t *testing.T) {
	m := newMachine()
	m.start(t)
	c := clock.New(clock.Source{Wall: func() time.Time { return m.truth }, Boot: func() time.Duration { return time.Hour }, ID: "b"}, nil)
	if err := c.Restore([]byte("{"), nil); err == nil {
		t.Error("no error")
	}
	if got := c.Moment(); got.Trust != clock.Right {
		t.Errorf("%+v", got)
	}
}

func TestMachine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offset")
	if err := os.WriteFile(path, []byte("-48h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := clock.Machine(path)
	if d := time.Since(s.Wall()); d < 47*time.Hour || d > 49*time.Hour {
		t.Errorf("off by %s, want 48h", d)
	}
	if s.ID == "" || s.Boot() <= 0 || s.Boot() < s.Boot()-time.Hour {
		t.Errorf("boot %q since %s", s.ID, s.Boot())
	}
	if again := clock.Machine(""); again.ID != s.ID || time.Since(again.Wall()) > time.Minute {
		t.Errorf("%q at %s", again.ID, again.Wall())
	}
}
