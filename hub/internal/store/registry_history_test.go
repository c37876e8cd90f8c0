package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
)

// The registry remembers the life of each version and which agent held it when, whatever path the changes took.
func TestHistoryOfModels(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	org, _, agent := storetest.Site(t, s, "alpha", store.Site{Name: "school", Zone: "UTC", Resolution: time.Hour, Horizon: 48})
	var ids []uuid.UUID
	for i := range 2 {
		id := uuid.Must(uuid.NewV7())
		row := store.ModelRow{
			Org: org, ID: id, Family: "gbdt", State: "candidate", Resolution: time.Hour, Scores: []byte("[]"), SHA256: []byte{1}, Signature: []byte{2}, CreatedAt: time.Now(),
		}
		if i > 0 {
			row.Parent, row.Run = ids[0], uuid.New()
		}
		if err := s.PutModel(ctx, row, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if err := s.PromoteModel(ctx, org, id, false, "better", time.Now()); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if err := s.PutReport(ctx, org, agent, 1, wire.Report{Models: []wire.ModelState{{ID: id.String(), State: wire.ModelActive}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RollBackModel(ctx, org, time.Hour, "it was worse on Sundays", time.Now()); err != nil {
		t.Fatal(err)
	}
	changes, uses, err := s.ModelHistory(ctx, org, ids[1], 10)
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, c := range changes {
		states = append(states, c.State)
	}
	if len(states) != 3 || states[0] != "candidate" || states[1] != "active" || states[2] != "retired" || changes[2].Reason != "it was worse on Sundays" {
		t.Errorf("life of the second: %+v", changes)
	}
	if len(uses) != 1 || uses[0].Agent != agent || uses[0].Site != "school" || uses[0].State != "active" || uses[0].To != nil {
		t.Errorf("uses of the second: %+v", uses)
	}
	if _, uses, err = s.ModelHistory(ctx, org, ids[0], 10); err != nil || len(uses) != 1 || uses[0].To == nil || uses[0].To.Before(uses[0].From) {
		t.Errorf("uses of the first: %+v, %v", uses, err)
	}

	for _, id := range ids { // a name moves
		if err := s.SetModelAlias(ctx, org, "winter", id); err != nil {
			t.Fatal(err)
		}
	}
	m, artifact, err := s.Model(ctx, org, "winter")
	if err != nil || m.ID != ids[1] || m.Parent != ids[0] || m.Run == uuid.Nil || len(m.Aliases) != 1 || len(artifact) != 1 {
		t.Errorf("by alias: %+v, %v", m, err)
	}
	if m, _, err := s.Model(ctx, org, ids[0].String()); err != nil || m.Parent != uuid.Nil || m.Run != uuid.Nil || len(m.Aliases) != 0 {
		t.Errorf("by id: %+v, %v", m, err)
	}
	if err := s.DeleteModelAlias(ctx, org, "winter"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"an alias taken away": second(s.Model(ctx, org, "winter")),
		"an unknown id":       second(s.Model(ctx, org, uuid.NewString())),
		"no such alias":       s.DeleteModelAlias(ctx, org, "winter"),
		"no such model":       s.SetModelAlias(ctx, org, "x", uuid.New()),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second(_ store.ModelRow, _ []byte, err error) error { return err }
