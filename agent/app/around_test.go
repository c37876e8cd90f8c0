package app

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
)

// rows returns the bits of the default features of a history at noon of 16 May 2024, a day before a holiday of Norway.
func rows(t *testing.T, s *feature.Site) (bits []uint32) {
	t.Helper()
	origin := meter.MillisOf(time.Date(2024, 5, 16, 12, 0, 0, 0, time.UTC))
	h := feature.History{Start: origin.Add(-40 * 24 * time.Hour), Resolution: time.Hour, Energy: make([]float64, 40*24), Site: s}
	for i := range h.Energy {
		h.Energy[i] = float64(i * i % 977)
	}
	spec, err := feature.ParseSpec(feature.Default().String() + "fact area_m2\n")
	if err != nil {
		t.Fatal(err)
	}
	b, row := feature.NewBuilder(spec), make([]float32, spec.Len())
	if err := b.Reset(h, origin); err != nil {
		t.Fatal(err)
	}
	for step := 1; step <= 48; step++ {
		b.Row(step, row)
		for _, v := range row {
			bits = append(bits, math.Float32bits(v))
		}
	}
	return bits
}

func equal(a, b []uint32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// TestTheHubsWordOfTheSiteGivesTheHubsRows keeps what the hub decided as the store does, and compares rows with the hub's.
func TestTheHubsWordOfTheSiteGivesTheHubsRows(t *testing.T) {
	told := wire.SiteConfig{
		Revision: 3, Country: "NO", Vacations: []holiday.Range{{From: holiday.On(2024, 5, 1), To: holiday.On(2024, 5, 20)}}, Facts: map[string]float64{"area_m2": 437.25},
	}
	text, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	var kept wire.SiteConfig
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	own := Config{Country: "SE", Facts: map[string]float64{"area_m2": 1}}
	if !equal(rows(t, decidedBy(own, kept).Around()), rows(t, told.Around())) {
		t.Error("the agent's rows are not the hub's")
	}
	if equal(rows(t, own.Around()), rows(t, told.Around())) {
		t.Error("surroundings make no difference to rows")
	}
	if c := decidedBy(own, wire.SiteConfig{Country: "QQ"}); c.Country != "SE" {
		t.Errorf("a country that is not known here became %s", c.Country)
	}
}

func TestSurroundingsInTheSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.yaml")
	text := "site: home\nzone: Europe/Oslo\ncountry: NO\nvacations:\n  - 2024-06-22/2024-08-19\n  - 2024-12-21/2025-01-02\nfacts:\n  area_m2: 437.25\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Around()
	if a.Country != "NO" || len(a.Vacations) != 2 || a.Vacations[1].String() != "2024-12-21/2025-01-02" || a.Facts["area_m2"] != 437.25 {
		t.Errorf("%+v", a)
	}
	for _, bad := range []string{"country: UK\n", "vacations: [2024-06-22]\n", "vacations: [2024-06-22/2024-06-01]\n", "facts: {Area: 1}\n"} {
		if err := os.WriteFile(path, []byte("site: home\nzone: Europe/Oslo\n"+bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadConfig(path, nil, nil); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
