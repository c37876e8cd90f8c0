package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/forecast"
)

func TestAdmit(t *testing.T) {
	s := storetest.Open(t)
	org, site, _ := storetest.Site(t, s, "org", store.Site{Name: "here"})
	ctx, now := t.Context(), time.Now()
	token := uuid.New()
	if err := s.PutEnrolmentToken(ctx, org, token, site.ID, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	a := store.Admission{Org: org, Site: site.ID, Token: token, Agent: uuid.New(), Version: "1", Certificate: "0a", NotAfter: now.Add(24 * time.Hour)}
	with := func(fn func(*store.Admission)) store.Admission {
		v := a
		fn(&v)
		return v
	}
	for _, tc := range []struct {
		name string
		a    store.Admission
		now  time.Time
		want error
	}{
		{"unknown token", with(func(v *store.Admission) { v.Token = uuid.New() }), now, store.ErrNotFound},
		{"another organisation", with(func(v *store.Admission) { v.Org = uuid.New() }), now, store.ErrNotFound},
		{"another site", with(func(v *store.Admission) { v.Site = uuid.New() }), now, store.ErrNotFound},
		{"expired", a, now.Add(time.Hour), store.ErrNotFound},
		{"good", a, now, nil},
		{"the answer was lost", with(func(v *store.Admission) { v.Certificate = "0b" }), now, nil},
		{"another agent", with(func(v *store.Admission) { v.Agent = uuid.New() }), now, store.ErrTokenUsed},
	} {
		got, err := s.Admit(ctx, tc.a, tc.now)
		if !errors.Is(err, tc.want) || tc.want == nil && (err != nil || got.Name != "here") {
			t.Errorf("%s: %+v, %v, want %v", tc.name, got, err, tc.want)
		}
	}
	for _, serial := range []string{"0a", "0b"} {
		got, err := s.AgentByCertificate(ctx, a.Agent, serial)
		if err != nil || got.Org != org || got.Site != site.ID || got.SiteName != "here" || got.Revoked {
			t.Errorf("agent by certificate %s: %+v, %v", serial, got, err)
		}
	}
	if _, err := s.AgentByCertificate(ctx, a.Agent, "0c"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown certificate: error %v, want ErrNotFound", err)
	}
	stranger := uuid.New()
	fallen, err := s.Fallen(ctx, []uuid.UUID{a.Agent, a.Agent, stranger}, []string{"0a", "0c", "0a"})
	if err != nil || !slices.Equal(fallen, []uuid.UUID{a.Agent, stranger}) {
		t.Errorf("of a good, an unknown and a stranger's certificate %v are not valid, %v: want the last two", fallen, err)
	}
	if err := s.RevokeAgent(ctx, uuid.New(), a.Agent); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoked by another organisation: error %v, want ErrNotFound", err)
	}
	if err := s.RevokeAgent(ctx, org, a.Agent); err != nil {
		t.Fatal(err)
	}
	if got, err := s.AgentByCertificate(ctx, a.Agent, "0a"); err != nil || !got.Revoked {
		t.Errorf("revoked agent: %+v, %v", got, err)
	}
	if fallen, err := s.Fallen(ctx, []uuid.UUID{a.Agent}, []string{"0a"}); err != nil || len(fallen) != 1 {
		t.Errorf("after revocation %v are not valid, %v: want the agent", fallen, err)
	}
	if _, err := s.Admit(ctx, a, now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoked agent enrols again: error %v, want ErrNotFound", err)
	}
}

func TestSecretsAreKept(t *testing.T) {
	s := storetest.Open(t)
	if _, err := s.Secret(t.Context(), "key"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	for _, v := range []string{"first", "second"} {
		if got, err := s.PutSecretIfAbsent(t.Context(), "key", []byte(v)); err != nil || string(got) != "first" {
			t.Errorf("put %s: %q, %v, want first", v, got, err)
		}
	}
}

func TestReport(t *testing.T) {
	s, org, agent := open(t)
	ctx := t.Context()
	model := uuid.New()
	f := forecast.Forecast{
		Point: "main", Register: "energy-import", Origin: 1_700_000_000_000, Resolution: time.Hour, Levels: []float64{0.5}, Values: []float64{1, 2},
		Rung: forecast.Active, Model: model.String(), Completeness: 1, Issued: 1_700_000_001_000,
	}
	r := wire.Report{
		Forecasts:   []forecast.Forecast{f},
		Quarantined: []wire.Quarantined{{ID: 1, Reason: "malformed", Detail: "bad \x00 byte \xff", Topic: "t", Received: 1_700_000_000_000}},
		Models:      []wire.ModelState{{ID: model.String(), State: wire.ModelActive}},
	}
	for range 2 { // idempotent
		if err := s.PutReport(ctx, org, agent, epoch, r); err != nil {
			t.Fatal(err)
		}
	}
	next := uuid.New()
	if err := s.PutModelStates(ctx, org, agent, []wire.ModelState{{ID: next.String(), State: wire.ModelActive}}); err != nil {
		t.Fatal(err)
	}
	if a, b, c := count(t, s, "forecast"), count(t, s, "quarantine"), count(t, s, "agent_model"); a != 1 || b != 1 || c != 1 {
		t.Errorf("%d forecasts, %d quarantined, %d models, want one each", a, b, c)
	}
	stale := f
	stale.Issued--
	stale.Values = []float64{9, 9}
	if err := s.PutForecasts(ctx, org, agent, []forecast.Forecast{stale}); err != nil {
		t.Fatal(err)
	}
	var wh []float64
	if err := s.Pool().QueryRow(ctx, `select wh from forecast where org_id = $1`, org).Scan(&wh); err != nil || wh[0] != 1 {
		t.Errorf("forecast %v (%v), want the one issued later", wh, err)
	}
	bad := f
	bad.Values = []float64{-1}
	if err := s.PutForecasts(ctx, org, agent, []forecast.Forecast{bad}); err == nil {
		t.Error("a negative forecast was stored")
	}
	if err := s.PutForecasts(ctx, uuid.New(), agent, []forecast.Forecast{f}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another organisation: error %v, want ErrNotFound", err)
	}
}

func TestModels(t *testing.T) {
	s := storetest.Open(t)
	org, site, _ := storetest.Site(t, s, "org", store.Site{Name: "here"})
	id := uuid.New()
	_, err := s.Pool().Exec(t.Context(), `
		insert into model (org_id, model_id, family, state, spec, resolution_ms, trained_from, trained_to, points, rows, scores, sha256, signature, artifact)
		values ($1, $2, 'gbdt', 'active', 'ab', 3600000, now(), now(), 1, 1, '{}', $3, $4, $5)`, org, id, make([]byte, 32), []byte("sig"), []byte("artifact"))
	if err != nil {
		t.Fatal(err)
	}
	vs, err := s.AnnouncedModels(t.Context(), org, site.ID)
	if err != nil || len(vs) != 1 || vs[0].ID != id.String() || vs[0].Size != 8 {
		t.Errorf("announced %+v, %v", vs, err)
	}
	if vs, err := s.AnnouncedModels(t.Context(), uuid.New(), site.ID); err != nil || len(vs) != 0 {
		t.Errorf("announced to another organisation: %+v, %v", vs, err)
	}
	for _, tc := range []struct {
		offset uint64
		n      int
		want   string
	}{{0, 3, "art"}, {3, 100, "ifact"}, {8, 3, ""}, {1 << 40, 3, ""}} {
		if b, err := s.ArtifactChunk(t.Context(), org, id, tc.offset, tc.n); err != nil || string(b) != tc.want {
			t.Errorf("artifact from %d: %q, %v, want %q", tc.offset, b, err, tc.want)
		}
	}
	if _, err := s.ArtifactChunk(t.Context(), uuid.New(), id, 0, 3); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("artifact of another organisation: error %v, want ErrNotFound", err)
	}
}
