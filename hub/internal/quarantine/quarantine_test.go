package quarantine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/quarantine"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

const main = "fluxora/v1/here/reading/main/energy-import"

func TestReleaseMakesIntervalsAnew(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	org, site, agent := storetest.Site(t, s, "org", store.Site{Name: "here", Resolution: time.Hour})
	if _, err := s.OpenSession(ctx, org, agent, wire.Hello{Epoch: 7}); err != nil {
		t.Fatal(err)
	}
	at := func(h int) meter.Millis { return meter.MillisOf(time.Date(2026, 3, 1, h, 0, 0, 0, time.UTC)) }
	var qs []wire.Quarantined
	for i, q := range []struct{ topic, payload string }{
		{main, fmt.Sprintf(`[{"t":%d,"v":5,"unit":"kWh"},{"t":%d,"v":7,"unit":"kWh"}]`, at(0), at(1))},
		{main, `{"t":3600000,"v":8,"unit":"kWh"}`},
		{"stat/x", `9500`},
		{main, `{"t":`},
		{main, fmt.Sprintf(`{"t":%d,"v":-1}`, at(5))},
	} {
		qs = append(qs, wire.Quarantined{ID: uint64(i + 1), Reason: "absurd", Topic: q.topic, Payload: []byte(q.payload), Received: at(6), Point: "main"})
	}
	if err := s.PutQuarantined(ctx, org, agent, 7, qs); err != nil {
		t.Fatal(err)
	}
	key := func(id uint64) store.QuarantineKey { return store.QuarantineKey{Agent: agent, Epoch: 7, ID: id} }
	for _, tc := range []struct {
		name string
		id   uint64
		how  quarantine.Release
		want int // -1 when refused
	}{
		{"as it is", 1, quarantine.Release{}, 2},
		{"twice", 1, quarantine.Release{}, -1},
		{"without an instant", 2, quarantine.Release{}, -1},
		{"with an instant", 2, quarantine.Release{At: at(2)}, 1},
		{"without a register", 3, quarantine.Release{At: at(3)}, -1},
		{"a number without an instant", 3, quarantine.Release{Register: meter.EnergyImport}, -1},
		{"a number", 3, quarantine.Release{Register: meter.EnergyImport, At: at(3)}, 1},
		{"what cannot be read", 4, quarantine.Release{}, -1},
		{"absurd", 5, quarantine.Release{}, -1},
		{"absurd, and accepted", 5, quarantine.Release{AcceptAbsurd: true}, 1},
	} {
		tc.how.By, tc.how.Why = "ada", "test"
		n, err := quarantine.Do(ctx, s, org, key(tc.id), tc.how)
		if tc.want < 0 && !errors.Is(err, quarantine.ErrRefused) || tc.want >= 0 && (err != nil || n != tc.want) {
			t.Errorf("%s: %d readings, %v, want %d", tc.name, n, err, tc.want)
		}
	}
	if err := quarantine.Drop(ctx, s, org, key(4), "ada", "rubbish"); err != nil {
		t.Error(err)
	}
	if err := quarantine.Drop(ctx, s, org, key(1), "ada", "changed my mind"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("drop of what was released: %v", err)
	}
	if _, err := quarantine.Do(ctx, s, org, key(99), quarantine.Release{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("release of nothing: %v", err)
	}
	// A crash between the readings and the decision: the second time adds nothing.
	if _, err := s.Pool().Exec(ctx, `delete from quarantine_decision where id = 2`); err != nil {
		t.Fatal(err)
	}
	if n, err := quarantine.Do(ctx, s, org, key(2), quarantine.Release{At: at(2), By: "ada", Why: "test"}); err != nil || n != 1 {
		t.Errorf("again after a crash: %d, %v", n, err)
	}
	if err := derive.New(s, derive.Options{}).Drain(ctx); err != nil {
		t.Fatal(err)
	}
	points, err := s.Points(ctx, org)
	if err != nil || len(points) != 1 {
		t.Fatalf("%+v, %v", points, err)
	}
	is, err := s.Intervals(ctx, org, points[0].ID, meter.EnergyImport, 0, 1<<42)
	if err != nil || len(is) != 3 || is[0].Energy != 2000 || is[1].Energy != 1000 || is[2].Energy != 1500 || is[0].Quality != meter.Measured || is[1].Quality != meter.Edited {
		t.Errorf("intervals %+v, %v, want 2, 1 and 1.5 kWh", is, err)
	}
	var arrived int
	if err := s.Pool().QueryRow(ctx, `select readings from site_arrival where org_id = $1 and site_id = $2`, org, site.ID).Scan(&arrived); err != nil || arrived != 5 {
		t.Errorf("%d readings arrived, %v, want 5", arrived, err)
	}
	rows, err := s.QuarantineRows(ctx, org, "here", key(1), 2)
	if err != nil || len(rows) != 2 || rows[0].ID != 2 || rows[0].Decision == nil || rows[0].Decision.By != "ada" || rows[1].Decision.Register != "energy-import" {
		t.Errorf("%+v, %v", rows, err)
	}
	if rows, err := s.QuarantineRows(ctx, org, "elsewhere", store.QuarantineKey{}, 2); err != nil || len(rows) != 0 {
		t.Errorf("of another site: %+v, %v", rows, err)
	}
}
