package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/ingest"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// site is an ingest over a real store. Feed takes messages and returns once they are acked.
type site struct {
	t     testing.TB
	store *store.Store
	in    *ingest.Ingest
	stop  func()
}

func newSite(t testing.TB, dir string, change func(*config.Config)) *site {
	t.Helper()
	c := config.Default()
	c.Site = "home"
	c.Store.CommitWindow = time.Millisecond
	if change != nil {
		change(&c)
	}
	now := func() time.Time { return noon }
	s, err := store.Open(dir, store.Options{Now: now, MaxSeries: c.Limits.Series})
	if err != nil {
		t.Fatal(err)
	}
	in, err := ingest.New(s, ingest.Options{Config: c, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	x := &site{t: t, store: s, in: in}
	stop := run(t, in)
	x.stop = func() {
		stop()
		_ = s.Close()
	}
	t.Cleanup(x.stop)
	return x
}

// run runs in until the returned function is called.
func run(t testing.TB, in *ingest.Ingest) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = in.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

type message struct {
	topic, payload     string
	retained, repeated bool
}

func (x *site) feed(ms ...message) {
	x.t.Helper()
	acks := make(chan struct{}, len(ms))
	for _, m := range ms {
		x.in.Take(context.Background(), mqtt.NewMessage(m.topic, []byte(m.payload), m.retained, m.repeated, func() { acks <- struct{}{} }))
	}
	for range ms {
		<-acks
	}
}

func (x *site) readings() []meter.Reading {
	x.t.Helper()
	rs, _, err := x.store.Readings(1, 1<<30)
	if err != nil {
		x.t.Fatal(err)
	}
	return rs
}

const energyTopic = "fluxora/v1/home/reading/main/energy-import"

func TestBadInput(t *testing.T) {
	good := message{topic: energyTopic, payload: `{"t":"2026-03-01T11:59:00Z","v":12.5,"unit":"kWh"}`}
	for _, tt := range []struct {
		name, topic, payload string
		want                 meter.Reason
	}{
		{"malformed", energyTopic, `{"t":1772359200000,`, meter.Malformed},
		{"empty", energyTopic, ``, meter.Malformed},
		{"wrong type", energyTopic, `{"t":"2026-03-01T11:00:00Z","v":[]}`, meter.BadValue},
		{"quoted", energyTopic, `{"t":"2026-03-01T11:00:00Z","v":"1"}`, meter.BadValue},
		{"NaN", energyTopic, `{"t":"2026-03-01T11:00:00Z","v":NaN}`, meter.BadValue},
		{"infinite", energyTopic, `{"t":"2026-03-01T11:00:00Z","v":1e999}`, meter.BadValue},
		{"unknown field", energyTopic, `{"t":"2026-03-01T11:00:00Z","v":1,"x":2}`, meter.UnknownField},
		{"unit of power", energyTopic, `{"t":"2026-03-01T11:00:00Z","v":1,"unit":"kW"}`, meter.BadUnit},
		{"unknown register", "fluxora/v1/home/reading/main/heat", `{"t":"2026-03-01T11:00:00Z","v":1}`, meter.UnknownRegister},
		{"other site", "fluxora/v1/next-door/reading/main/energy-import", `{"t":"2026-03-01T11:00:00Z","v":1}`, meter.UnknownTopic},
		{"other topic", "stat/x", `1`, meter.UnknownTopic},
		{"absurd", energyTopic, `{"t":"2026-03-01T11:00:00Z","v":1e13}`, meter.Absurd},
		{"negative energy", energyTopic, `{"t":"2026-03-01T11:00:00Z","v":-1}`, meter.Absurd},
		{"future", energyTopic, `{"t":"2026-03-01T12:05:01Z","v":1}`, meter.Future},
		{"1970", energyTopic, `{"t":"1970-01-01T00:01:00Z","v":1}`, meter.UnsetClock},
		{"401 days", energyTopic, `{"t":"2025-01-24T11:00:00Z","v":1}`, meter.TooOld},
		{"huge", energyTopic, string(bytes.Repeat([]byte{' '}, 10<<20)), meter.TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newSite(t, t.TempDir(), nil)
			x.feed(message{topic: tt.topic, payload: tt.payload}, good)
			s := x.in.Stats()
			if d := cmp.Diff(map[meter.Reason]uint64{tt.want: 1}, s.Refused); d != "" {
				t.Errorf("refused: %s", d)
			}
			if s.Readings != 1 || s.Messages != 2 {
				t.Errorf("%d readings of %d messages, want 1 of 2", s.Readings, s.Messages)
			}
			qs, err := x.store.UnsentQuarantine(10)
			if err != nil || len(qs) != 1 || qs[0].Reason != string(tt.want) || qs[0].Detail == "" || qs[0].Topic != tt.topic {
				t.Errorf("quarantine %+v, %v, want one %s with its detail and topic", qs, err, tt.want)
			}
		})
	}
}

func TestTimesAtTheEdges(t *testing.T) {
	x := newSite(t, t.TempDir(), nil)
	x.feed(message{topic: energyTopic, payload: `[{"t":"2026-03-01T12:05:00Z","v":2},{"t":"2025-01-25T12:00:00Z","v":1}]`})
	if n := x.in.Stats().Readings; n != 2 {
		t.Errorf("%d readings, want 2: five minutes ahead and 400 days late are taken", n)
	}
}

func TestPartOfAnArrayIsRefused(t *testing.T) {
	x := newSite(t, t.TempDir(), nil)
	x.feed(message{topic: energyTopic, payload: `[{"t":"2026-03-01T11:00:00Z","v":1},{"t":"2027-01-01T00:00:00Z","v":2},{"t":"2027-01-01T01:00:00Z","v":3}]`})
	s := x.in.Stats()
	if s.Readings != 1 || s.Refused[meter.Future] != 2 {
		t.Errorf("%+v, want one stored and two in the future", s)
	}
	qs, err := x.store.UnsentQuarantine(10)
	if err != nil || len(qs) != 1 || !bytes.Contains(qs[0].Payload, []byte(`"v":3`)) || bytes.Contains(qs[0].Payload, []byte(`"v":1`)) || qs[0].Point != "main" {
		t.Errorf("quarantine %+v %v, want one entry with the two readings", qs, err)
	}
}

func TestRepeats(t *testing.T) {
	dir := t.TempDir()
	x := newSite(t, dir, nil)
	a := message{topic: energyTopic, payload: `{"t":"2026-03-01T10:00:00Z","v":1}`}
	again := a
	again.repeated = true
	retained := a
	retained.retained = true
	differs := message{topic: energyTopic, payload: `{"t":"2026-03-01T10:00:00Z","v":2}`}
	x.feed(a, again, retained)
	x.feed(retained, differs)
	if n := len(x.readings()); n != 2 {
		t.Errorf("%d readings, want 2: one and the differing one", n)
	}
	x.stop()
	x = newSite(t, dir, nil)
	x.feed(again)
	if s := x.in.Stats(); s.Readings != 0 || s.Repeats != 1 {
		t.Errorf("after a restart %+v, want a repeat", s)
	}
}

// TestUndatedMessageOnItsWayInACrash: what the broker sends again because it was never acked is taken unless it is known.
func TestUndatedMessageOnItsWayInACrash(t *testing.T) {
	dir := t.TempDir()
	plain := func(c *config.Config) {
		c.MQTT.Mappings = []config.Mapping{{Preset: "plain", Topic: "m/{point}", Register: "1.8.0", Unit: "kWh"}}
	}
	x := newSite(t, dir, plain)
	x.feed(message{topic: "m/main", payload: "1"}, message{topic: "m/main", payload: "2"})
	x.feed(message{topic: "m/main", payload: "1", repeated: true}, message{topic: "m/main", payload: "2", repeated: true})
	x.stop() // and 3 was under way
	x = newSite(t, dir, plain)
	x.feed(message{topic: "m/main", payload: "2", repeated: true}, message{topic: "m/main", payload: "3", repeated: true},
		message{topic: "m/main", payload: "9", retained: true})
	var got []int64
	for _, r := range x.readings() {
		got = append(got, r.Value)
	}
	if want := []int64{1_000_000, 2_000_000, 3_000_000}; !slices.Equal(got, want) {
		t.Errorf("values %d, want %d", got, want)
	}
	if s := x.in.Stats(); s.Readings != 1 || s.Repeats != 2 {
		t.Errorf("after the restart %d stored and %d repeats, want 1 and 2", s.Readings, s.Repeats)
	}
}

func TestOldFileAgainIsNotStoredTwice(t *testing.T) {
	dir := t.TempDir()
	x := newSite(t, dir, nil)
	const n, each = 80_000, 1000
	var file []message
	for at := 0; at < n; at += each {
		var ps []topic.Payload
		for k := at; k < at+each; k++ {
			ps = append(ps, topic.Payload{At: meter.MillisOf(noon).Add(time.Duration(k-n) * 10 * time.Second), Value: int64(k) * 1000, Kind: meter.Counter})
		}
		file = append(file, message{topic: energyTopic, payload: string(topic.EncodeReadings(nil, ps, ""))})
	}
	x.feed(file...)
	x.feed(file[:10]...) // older than the window of repeats
	if s := x.in.Stats(); s.Readings != n || s.Repeats != 10*each || x.store.Next() != n+1 {
		t.Errorf("%d stored, %d repeats, want %d and %d", s.Readings, s.Repeats, n, 10*each)
	}
}

func TestManyUnknownPointsAreBounded(t *testing.T) {
	x := newSite(t, t.TempDir(), func(c *config.Config) { c.Limits.Series = 50 })
	const n = 10_000
	var ms []message
	for i := range n {
		ms = append(ms, message{topic: fmt.Sprintf("fluxora/v1/home/reading/p%d/energy-import", i), payload: `{"t":"2026-03-01T11:00:00Z","v":1}`})
	}
	x.feed(ms...)
	if s := x.in.Stats(); s.Readings != 50 || s.Refused[meter.TooManySeries] != n-50 {
		t.Errorf("%d stored, %d refused, want 50 and %d", s.Readings, s.Refused[meter.TooManySeries], n-50)
	}
	if got := len(x.store.Series()); got != 50 {
		t.Errorf("%d series, want 50", got)
	}
}

func TestMappings(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mapping config.Mapping
		message message
		want    map[meter.Register]int64 // thousandths of the base unit
		at      time.Time
		refused meter.Reason
	}{
		{
			"tasmota",
			config.Mapping{Preset: "tasmota"},
			message{topic: "tele/plug1/SENSOR", payload: `{"Time":"2026-03-01T11:00:00","ENERGY":{"Total":123.456,"Power":87}}`},
			map[meter.Register]int64{meter.EnergyImport: 123_456_000, meter.PowerImport: 87_000},
			noon, "",
		},
		{"tasmota without energy", config.Mapping{Preset: "tasmota"}, message{topic: "tele/x/SENSOR", payload: `{"Time":"2026-03-01T11:00:00"}`}, nil, noon, ""},
		{
			"shelly switch",
			config.Mapping{Preset: "shelly-gen2"},
			message{topic: "plug/status/switch:0", payload: `{"id":0,"output":true,"apower":12.3,"aenergy":{"total":1234.567,"by_minute":[0,0]}}`},
			map[meter.Register]int64{meter.EnergyImport: 1_234_567, meter.PowerImport: 12_300},
			noon, "",
		},
		{
			"shelly three phases",
			config.Mapping{Preset: "shelly-gen2"},
			message{topic: "em/status/emdata:0", payload: `{"id":0,"total_act":9.87,"total_act_ret":1.5}`},
			map[meter.Register]int64{meter.EnergyImport: 9870, meter.EnergyExport: 1500},
			noon, "",
		},
		{
			"zigbee",
			config.Mapping{Preset: "zigbee2mqtt"},
			message{topic: "zigbee2mqtt/plug", payload: `{"energy":1.23,"power":4,"state":"ON"}`},
			map[meter.Register]int64{meter.EnergyImport: 1_230_000, meter.PowerImport: 4000},
			noon, "",
		},
		{
			"plain number",
			config.Mapping{Preset: "plain", Topic: "ems/+/import", Point: "main", Register: "1.8.0", Unit: "kWh"},
			message{topic: "ems/7/import", payload: ` 5.000001 `},
			map[meter.Register]int64{meter.EnergyImport: 5_000_001},
			noon, "",
		},
		{"plain nonsense", config.Mapping{Topic: "a/b", Point: "main", Register: "1.8.0"}, message{topic: "a/b", payload: `offline`}, nil, noon, meter.BadValue},
		{
			"path, timestamp, serial",
			config.Mapping{Topic: "m/{point}/{register}", Path: "d[1].v", Timestamp: "d[1].at", MeterPath: "sn", Unit: "MWh"},
			message{topic: "m/p/1.8.0", payload: `{"sn":4711,"d":[0,{"v":"0.25","at":1772359200}]}`},
			map[meter.Register]int64{meter.EnergyImport: 250_000_000},
			time.Unix(1772359200, 0), "",
		},
		{"missing value", config.Mapping{Topic: "m/{point}", Register: "1.8.0", Path: "v"}, message{topic: "m/p", payload: `{}`}, nil, noon, meter.Malformed},
		{"value of wrong type", config.Mapping{Topic: "m/{point}", Register: "1.8.0", Path: "v"}, message{topic: "m/p", payload: `{"v":{}}`}, nil, noon, meter.BadValue},
		{"bad point", config.Mapping{Topic: "m/{point}", Register: "1.8.0"}, message{topic: "m/ü", payload: `1`}, nil, noon, meter.UnknownTopic},
		{"register unknown", config.Mapping{Topic: "m/{register}", Point: "p"}, message{topic: "m/x", payload: `1`}, nil, noon, meter.UnknownRegister},
		{"retained, of unknown age", config.Mapping{Topic: "m", Point: "p", Register: "1.8.0"}, message{topic: "m", payload: `1`, retained: true}, nil, noon, ""},
		{"bad timestamp", config.Mapping{Topic: "m", Point: "p", Register: "1.8.0", Path: "v", Timestamp: "t"}, message{topic: "m", payload: `{"v":1,"t":"yesterday"}`}, nil, noon, meter.BadTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newSite(t, t.TempDir(), func(c *config.Config) { c.MQTT.Mappings = []config.Mapping{tt.mapping} })
			x.feed(tt.message)
			got := make(map[meter.Register]int64)
			for _, r := range x.readings() {
				s, _ := x.store.LookupSeries(r.Series)
				got[s.Register] = r.Value
				if r.At != meter.MillisOf(tt.at) {
					t.Errorf("instant %s, want %s", r.At, tt.at.UTC())
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" && len(tt.want)+len(got) > 0 {
				t.Error(d)
			}
			if s := x.in.Stats(); (tt.refused != "") != (s.Refused[tt.refused] == 1) || len(s.Refused) > 1 {
				t.Errorf("refused %v, want %q", s.Refused, tt.refused)
			}
		})
	}
}

// slowLog is a store whose commits take a second.
type slowLog struct {
	ingest.Log
	groups *[]int
	fail   *atomic.Bool
}

func (l slowLog) SeriesID(meter.Series) (meter.SeriesID, error) { return 1, nil }
func (l slowLog) Next() uint64                                  { return 1 }
func (l slowLog) Span(meter.SeriesID) (from, to meter.Millis, ok bool) {
	return 0, 0, false
}

func (l slowLog) Scan(meter.SeriesID, meter.Millis, meter.Millis, func(meter.Reading) error) error {
	return nil
}
func (l slowLog) Value(string) ([]byte, error)         { return nil, nil }
func (l slowLog) Quarantine([]store.Quarantined) error { return nil }
func (l slowLog) Append(_ context.Context, rs []meter.Reading) (uint64, error) {
	time.Sleep(time.Second)
	if l.fail != nil && l.fail.Load() {
		return 0, fmt.Errorf("no space left on device")
	}
	*l.groups = append(*l.groups, len(rs))
	return 1, nil
}

func TestGroupCommits(t *testing.T) {
	reading := func(i int) mqtt.Message {
		return mqtt.NewMessage(energyTopic, fmt.Appendf(nil, `{"t":"2026-03-01T11:00:%02d.%03dZ","v":1}`, i/1000, i%1000), false, false, nil)
	}
	var asked func() time.Duration
	run := func(t *testing.T, window time.Duration, feed func(in *ingest.Ingest)) []int {
		var groups []int
		c := config.Default()
		c.Site, c.Store.CommitWindow = "home", window
		in, err := ingest.New(slowLog{groups: &groups}, ingest.Options{Config: c, Now: func() time.Time { return noon }, Window: asked})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = in.Run(ctx) }()
		feed(in)
		time.Sleep(10 * time.Second)
		cancel()
		<-done
		return groups
	}
	t.Run("a full pipe does not wait for the window", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			got := run(t, time.Hour, func(in *ingest.Ingest) {
				for i := range 40 {
					in.Take(context.Background(), reading(i))
				}
			})
			if d := cmp.Diff([]int{20, 20}, got); d != "" || time.Since(began) > 11*time.Second {
				t.Error(d, time.Since(began))
			}
		})
	})
	t.Run("a trickle waits for the window, and collects while a commit is at work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			got := run(t, 3*time.Second, func(in *ingest.Ingest) {
				for i := range 10 {
					in.Take(context.Background(), reading(i))
					time.Sleep(time.Second - time.Millisecond)
				}
			})
			if d := cmp.Diff([]int{4, 4, 2}, got); d != "" {
				t.Error(d)
			}
		})
	})
	for name, tt := range map[string]struct {
		asked time.Duration
		want  []int
	}{
		"the flash budget allows less than the window":            {1500 * time.Millisecond, []int{2, 2, 2, 2, 2}},
		"the flash budget asks for more: the window is the bound": {time.Minute, []int{4, 4, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			asked = func() time.Duration { return tt.asked }
			synctest.Test(t, func(t *testing.T) {
				got := run(t, 3*time.Second, func(in *ingest.Ingest) {
					for i := range 10 {
						in.Take(context.Background(), reading(i))
						time.Sleep(time.Second - time.Millisecond)
					}
				})
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestCommitIsTriedAgainAndNothingAckedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var groups []int
		fail := new(atomic.Bool)
		fail.Store(true)
		c := config.Default()
		c.Site = "home"
		in, err := ingest.New(slowLog{groups: &groups, fail: fail}, ingest.Options{Config: c, Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = in.Run(ctx) }()
		var acked atomic.Bool
		in.Take(ctx, mqtt.NewMessage(energyTopic, []byte(`{"t":"2026-03-01T11:00:00Z","v":1}`), false, false, func() { acked.Store(true) }))
		time.Sleep(time.Minute)
		if acked.Load() || in.Stats().Failures < 3 {
			t.Errorf("acked %v after %d failed commits", acked.Load(), in.Stats().Failures)
		}
		fail.Store(false)
		time.Sleep(time.Minute)
		if !acked.Load() || len(groups) != 1 {
			t.Errorf("acked %v in %d commits, want one", acked.Load(), len(groups))
		}
		cancel()
		<-done
	})
}
