package chaos

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

var kitchen = series{"kitchen", meter.EnergyImport, meter.Counter}

func TestTruthKeepsCorrectionsInOrder(t *testing.T) {
	x := make(truth)
	for _, v := range []int64{5, 5, 7} { // a repeat is no correction
		x.enter(kitchen, 1000, value{Value: v})
	}
	if vs := x[kitchen][1000]; !reflect.DeepEqual(vs, []value{{Value: 5}, {Value: 7}}) {
		t.Errorf("values %v: want 5, then 7", vs)
	}
	if instants, values := x.count(); instants != 1 || values != 2 {
		t.Errorf("%d instants with %d values: want 1 with 2", instants, values)
	}
	x.amend(kitchen, 1000, nil)
	if instants, _ := x.count(); instants != 0 {
		t.Errorf("%d instants after the only one was named as lost: want none", instants)
	}
}

func TestTruthFoldsWhatCounts(t *testing.T) {
	x := make(truth)
	for i, v := range []int64{10, 11, 12} {
		x.enter(kitchen, meter.Millis(i)*3_600_000, value{Value: v * 1_000_000})
	}
	x.enter(kitchen, 3_600_000, value{Value: 11_500_000})
	is, err := x.intervals(kitchen, interval.Options{Resolution: time.Hour})
	if err != nil || len(is) != 2 || is[0].Energy != 1500 || is[1].Energy != 500 {
		t.Errorf("intervals %v, %v: want 1500 and 500 Wh", is, err)
	}
}

func TestSplit(t *testing.T) {
	a, b := value{Value: 1}, value{Value: 2}
	for _, tc := range []struct {
		name    string
		got     value
		ok      bool
		earlier map[int64]bool
		held    int
		missing int
	}{
		{"both there", b, true, map[int64]bool{1: true}, 2, 0},
		{"the correction is lost", a, true, nil, 1, 1},
		{"the first value is lost", b, true, nil, 1, 1},
		{"nothing is there", value{}, false, nil, 0, 2},
	} {
		if held, missing := split([]value{a, b}, tc.got, tc.ok, tc.earlier); len(held) != tc.held || missing != tc.missing {
			t.Errorf("%s: %d held and %d missing: want %d and %d", tc.name, len(held), missing, tc.held, tc.missing)
		}
	}
}

// TestSameSeedSameCampaign shows that what is published and what harm is planned depend on nothing but the seed.
func TestSameSeedSameCampaign(t *testing.T) {
	can, _ := (&world{}).faults()
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	run := func() (out []byte, kinds []string) {
		rng := rand.New(rand.NewPCG(7, 0))
		for _, d := range devices(rng, from, from.AddDate(0, 1, 0)) {
			for range 20 {
				for _, m := range d.say(site, 50) {
					out = append(append(out, m.topic...), m.payload...)
				}
			}
		}
		for _, s := range draw(rng, can, 30, time.Minute) {
			kinds = append(kinds, s.kind+s.after.String()+s.hold.String())
		}
		return out, kinds
	}
	said, planned := run()
	again, plannedAgain := run()
	if !bytes.Equal(said, again) || !reflect.DeepEqual(planned, plannedAgain) || len(said) == 0 || len(planned) != 30 {
		t.Errorf("the same seed gives another campaign: %d and %d bytes, %d and %d faults", len(said), len(again), len(planned), len(plannedAgain))
	}
}

// TestMetersPublishAsTheFieldDoes shows that late, repeated and corrected readings are among what is published, and that every
// payload is a good one.
func TestMetersPublishAsTheFieldDoes(t *testing.T) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, d := range devices(rand.New(rand.NewPCG(3, 0)), from, from.AddDate(0, 1, 0)) {
		x, newest := make(truth), meter.Millis(0)
		late, repeated, corrected := 0, 0, 0
		info, err := meter.LookupRegister(string(d.Register))
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			for _, m := range d.say(site, 50) {
				rs, err := topic.DecodeReadings(nil, m.payload, info)
				if err != nil || len(rs) != len(m.readings) {
					t.Fatalf("%s: %v", m.payload, err)
				}
				for i, r := range rs {
					if r.At != m.readings[i].At || r.Value != m.readings[i].Value {
						t.Fatalf("%s says %+v: want %+v", m.payload, r, m.readings[i])
					}
					switch vs := x[d.series][r.At]; {
					case len(vs) > 0 && vs[len(vs)-1].Value == r.Value:
						repeated++
					case len(vs) > 0:
						corrected++
					case r.At < newest:
						late++
					}
					newest = max(newest, r.At)
					x.enter(d.series, r.At, value{r.Value, r.Quality})
				}
			}
		}
		if late == 0 || repeated == 0 || corrected == 0 {
			t.Errorf("%s: %d late, %d repeated, %d corrected: want some of each", d.Point, late, repeated, corrected)
		}
	}
}

func TestHarmChangesOneFile(t *testing.T) {
	for seed := range uint64(40) {
		dir := t.TempDir()
		whole := bytes.Repeat([]byte("fluxora "), 2048)
		for i := range whole {
			whole[i] += byte(i / 4096)
		}
		for _, name := range []string{"a.db", "b.db"} {
			if err := os.WriteFile(filepath.Join(dir, name), whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		what, err := harm(rand.New(rand.NewPCG(seed, 0)), dir)
		if err != nil {
			t.Fatal(err)
		}
		changed := 0
		for _, name := range []string{"a.db", "b.db"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, whole) {
				changed++
			}
		}
		if changed > 1 {
			t.Errorf("seed %d, %s: %d files changed: want at most one", seed, what, changed)
		}
	}
}
