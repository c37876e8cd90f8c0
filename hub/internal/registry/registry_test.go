package registry_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// key signs as the hub's authority does.
type key ed25519.PrivateKey

func (k key) SignArtifact(digest [sha256.Size]byte) []byte {
	return model.Sign(ed25519.PrivateKey(k), digest)
}

// told counts announcements.
type told struct {
	mu   sync.Mutex
	orgs []uuid.UUID
}

func (t *told) Announce(_ context.Context, org uuid.UUID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.orgs = append(t.orgs, org)
	return errors.New("nobody listens") // must not undo a promotion
}

// seasonal fits a small model of the family that costs least.
func seasonal(t testing.TB) *model.Artifact {
	t.Helper()
	h := feature.History{Start: meter.Millis(1_700_000_000_000).Floor(time.Hour), Resolution: time.Hour, Energy: make([]float64, 60*24)}
	for i := range h.Energy {
		h.Energy[i] = 500 + 100*math.Mod(float64(i*i), 24)
	}
	art, _, err := train.Fit(t.Context(), train.Dataset{Points: []train.Point{{ID: "p", Register: meter.EnergyImport, History: h}}},
		train.Params{Family: model.FamilySeasonal, Threads: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return art
}

type world struct {
	*registry.Registry
	store *store.Store
	org   uuid.UUID
	told  *told
	pub   ed25519.PublicKey
	art   *model.Artifact
}

func open(t testing.TB) world {
	t.Helper()
	s := storetest.Open(t)
	org, err := s.EnsureOrganisation(t.Context(), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	heard := &told{}
	return world{registry.New(s, key(priv), heard, slog.New(slog.DiscardHandler), time.Now), s, org, heard, pub, seasonal(t)}
}

func (w world) add(t testing.TB) uuid.UUID {
	t.Helper()
	id, err := w.Add(t.Context(), w.org, w.art, []registry.Score{{Contender: "candidate", MASE: 0.8}}, registry.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w world) states(t testing.TB) map[uuid.UUID]string {
	t.Helper()
	rows, err := w.store.ModelRows(t.Context(), w.org, 1000)
	if err != nil {
		t.Fatal(err)
	}
	out := map[uuid.UUID]string{}
	for _, r := range rows {
		out[r.ID] = r.State
	}
	return out
}

func TestLifeOfAModel(t *testing.T) {
	w, ctx := open(t), t.Context()
	if _, err := w.Active(ctx, w.org, time.Hour); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("active model of nothing: %v, want not found", err)
	}
	if _, err := w.RollBack(ctx, w.org, time.Hour, "x"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("roll back of nothing: %v, want not found", err)
	}
	a, b, c, d := w.add(t), w.add(t), w.add(t), w.add(t)
	for _, id := range []uuid.UUID{a, b, c} {
		if err := w.Promote(ctx, w.org, id, "better"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Reject(ctx, w.org, d, "worse"); err != nil {
		t.Fatal(err)
	}
	want := map[uuid.UUID]string{a: registry.Retired, b: registry.Previous, c: registry.Active, d: registry.Rejected}
	for id, state := range w.states(t) {
		if want[id] != state {
			t.Errorf("model %s is %s, want %s", id, state, want[id])
		}
	}
	for _, id := range []uuid.UUID{a, b, c, d} {
		if err := w.Promote(ctx, w.org, id, "again"); !errors.Is(err, store.ErrModelState) {
			t.Errorf("promote what is no candidate: %v", err)
		}
		if err := w.Reject(ctx, w.org, id, "again"); !errors.Is(err, store.ErrModelState) {
			t.Errorf("reject what is no candidate: %v", err)
		}
	}
	if id, err := w.RollBack(ctx, w.org, time.Hour, "bad at night"); err != nil || id != b {
		t.Fatalf("roll back: %s, %v, want %s", id, err, b)
	}
	if s := w.states(t); s[b] != registry.Active || s[c] != registry.Retired {
		t.Errorf("after the roll-back: %v", s)
	}
	if len(w.told.orgs) != 4 {
		t.Errorf("agents were told %d times, want 4", len(w.told.orgs))
	}
	art, err := w.Active(ctx, w.org, time.Hour)
	if err != nil || art.ID != b.String() || art.SelfTest() != nil {
		t.Errorf("active: %v, %v", art, err)
	}
	if _, err := w.Active(ctx, w.org, 15*time.Minute); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("active model of another resolution: %v", err)
	}
	if err := w.Promote(ctx, uuid.New(), a, "x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("promote another organisation's model: %v", err)
	}
}

func TestArtifactsAreSigned(t *testing.T) {
	w := open(t)
	id := w.add(t)
	row, encoded, err := w.store.ModelInState(t.Context(), w.org, time.Hour, registry.Candidate)
	if err != nil || row.ID != id {
		t.Fatalf("candidate %s: %v", row.ID, err)
	}
	digest := sha256.Sum256(encoded)
	if [32]byte(row.SHA256) != digest || model.Verify(w.pub, digest, row.Signature) != nil {
		t.Error("the stored signature does not verify over the stored bytes")
	}
	if row.Size != int64(len(encoded)) || row.Spec != w.art.Spec.HexHash() {
		t.Errorf("row %+v", row)
	}
}

func TestBrokenModelIsNotAdded(t *testing.T) {
	w := open(t)
	broken := *w.art
	broken.Vectors = append([]model.Vector(nil), broken.Vectors...)
	broken.Vectors[0].Want = append([]float64(nil), broken.Vectors[0].Want...)
	broken.Vectors[0].Want[0]++
	if _, err := w.Add(t.Context(), w.org, &broken, nil, registry.Origin{}); !errors.Is(err, model.ErrSelfTest) {
		t.Errorf("add a model that fails its self-test: %v", err)
	}
	if _, err := w.Add(t.Context(), w.org, w.art, []registry.Score{{MASE: math.NaN()}}, registry.Origin{}); err == nil {
		t.Error("a score that is no number was stored")
	}
	if s := w.states(t); len(s) != 0 {
		t.Errorf("stored: %v", s)
	}
}

func TestPromotionsAtOnceLeaveOneActive(t *testing.T) {
	w := open(t)
	var ids []uuid.UUID
	for range 8 {
		ids = append(ids, w.add(t))
	}
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			if err := w.Promote(context.Background(), w.org, id, "race"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	count := map[string]int{}
	for _, s := range w.states(t) {
		count[s]++
	}
	if count[registry.Active] != 1 || count[registry.Previous] != 1 || count[registry.Retired] != 6 {
		t.Errorf("states after 8 promotions at once: %v", count)
	}
}
