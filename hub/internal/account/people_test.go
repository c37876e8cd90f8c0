package account_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/store"
)

func TestRegistration(t *testing.T) {
	w := open(t, nil)
	ctx := t.Context()
	r := account.Registration{Email: "new@example.com", Password: password, FullName: "New"}
	if _, err := w.Register(ctx, r, account.From{}); !errors.Is(err, account.ErrClosed) {
		t.Errorf("by default: %v, want closed", err)
	}
	admin := access.Caller{Organisation: w.org, Role: access.Admin, Scopes: []access.Scope{access.Every}}
	text, _, err := w.Invite(ctx, admin, "New@example.com", access.Analyst, time.Hour, account.From{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Invite(ctx, access.Caller{Organisation: w.org, Role: access.Operator}, "x@example.com", access.Admin, time.Hour, account.From{}); !errors.Is(err, access.ErrDenied) {
		t.Errorf("an operator invites an administrator: %v", err)
	}
	invited := w.replica(func(o *account.Options) { o.Registration = account.Invited })
	if _, err := invited.Register(ctx, r, account.From{}); !errors.Is(err, account.ErrClosed) {
		t.Errorf("without an invitation: %v", err)
	}
	wrong := r
	wrong.Email, wrong.Invitation = "other@example.com", text
	if _, err := invited.Register(ctx, wrong, account.From{}); !errors.Is(err, account.ErrUninvited) {
		t.Errorf("with another's invitation: %v", err)
	}
	r.Invitation = text
	if _, err := invited.Register(ctx, r, account.From{}); err != nil {
		t.Fatal(err)
	}
	if c, err := w.Authenticate(ctx, w.login(t, "new@example.com").Access); err != nil || c.Organisation != w.org || c.Role != access.Analyst {
		t.Errorf("whom was invited: %+v, %v", c, err)
	}
	r.Email = "new2@example.com"
	if _, err := invited.Register(ctx, r, account.From{}); !errors.Is(err, account.ErrUninvited) {
		t.Errorf("with a used invitation: %v", err)
	}
	open := w.replica(func(o *account.Options) { o.Registration = account.Open })
	r.Invitation = ""
	p, err := open.Register(ctx, r, account.From{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.Authenticate(ctx, w.login(t, "new2@example.com").Access)
	if err != nil || c.Organisation == w.org || c.Role != access.Admin || c.Tier != access.Free || p.Platform {
		t.Errorf("who registered alone: %+v, %v", c, err)
	}
	if _, err := open.Register(ctx, r, account.From{}); !errors.Is(err, account.ErrTaken) {
		t.Errorf("again: %v", err)
	}
	text, _, _ = w.Invite(ctx, admin, "new2@example.com", access.Viewer, time.Hour, account.From{Actor: "test"})
	if _, err := w.Accept(ctx, p.ID, text, account.From{}); err != nil {
		t.Errorf("accept: %v", err)
	}
	sessions, err := w.Sessions(ctx, p.ID)
	if err != nil || len(sessions) != 1 {
		t.Fatalf("sessions %v, %v", sessions, err)
	}
	if err := w.Enter(ctx, p.ID, sessions[0].ID, w.org, account.From{}); err != nil {
		t.Errorf("enter the other organisation: %v", err)
	}
	third, _ := w.store.EnsureOrganisation(ctx, "gamma")
	if err := w.Enter(ctx, p.ID, sessions[0].ID, third, account.From{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("enter a stranger's organisation: %v", err)
	}
}

func TestKeys(t *testing.T) {
	w := open(t, nil)
	ctx := t.Context()
	admin := access.Caller{Kind: access.User, Organisation: w.org, Role: access.Admin, Scopes: []access.Scope{access.Every}}
	wish := account.KeyWish{Name: "grafana", Role: access.Viewer, Scopes: []access.Scope{access.ReadReadings, access.ReadMetrics}, Life: time.Hour}
	text, k, err := w.CreateKey(ctx, admin, wish, account.From{Actor: "test"})
	if err != nil || !strings.HasPrefix(text, "flk_") {
		t.Fatal(text, err)
	}
	c, err := w.Authenticate(ctx, text)
	if err != nil || c.Kind != access.Key || c.Subject != k.ID.String() || c.Organisation != w.org || c.Role != access.Viewer || !c.Has(access.ReadReadings) || c.Has(access.ReadFleet) {
		t.Errorf("caller %+v, %v", c, err)
	}
	keys, err := w.store.APIKeys(ctx, w.org, 10)
	if err != nil || len(keys) != 1 || keys[0].UsedAt == nil || !keys[0].UsedAt.Equal(w.now()) {
		t.Errorf("keys %+v, %v: want the time of use", keys, err)
	}
	w.refused(t, text+"x", "unknown")
	w.refused(t, "flk_", "unknown")
	for name, bad := range map[string]func(*account.KeyWish){
		"no scope": func(k *account.KeyWish) { k.Scopes = nil }, "every scope": func(k *account.KeyWish) { k.Scopes = []access.Scope{access.Every} }, "unknown scope": func(k *account.KeyWish) { k.Scopes = []access.Scope{"x"} },
		"no end": func(k *account.KeyWish) { k.Life = 0 }, "for ever": func(k *account.KeyWish) { k.Life = 1 << 62 }, "no name": func(k *account.KeyWish) { k.Name = "" }, "platform": func(k *account.KeyWish) { k.Role = access.Platform }, "no role": func(k *account.KeyWish) { k.Role = access.Nobody },
	} {
		k := wish
		bad(&k)
		var in *account.InputError
		if _, _, err := w.CreateKey(ctx, admin, k, account.From{}); !errors.As(err, &in) {
			t.Errorf("%s: %v", name, err)
		}
	}
	small := access.Caller{Kind: access.Key, Organisation: w.org, Role: access.Viewer, Scopes: []access.Scope{access.ReadReadings}}
	if _, _, err := w.CreateKey(ctx, small, wish, account.From{}); !errors.Is(err, access.ErrDenied) {
		t.Errorf("a key makes one that may more: %v", err)
	}
	if err := w.RevokeKey(ctx, uuid.New(), k.ID, account.From{Actor: "test"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another organisation revokes it: %v", err)
	}
	if err := w.RevokeKey(ctx, w.org, k.ID, account.From{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	w.refused(t, text, "revoked")
	text, _, _ = w.CreateKey(ctx, admin, wish, account.From{Actor: "test"})
	w.wait(time.Hour)
	w.refused(t, text, "expired")
}

func TestSomebodyIsLeftToAdminister(t *testing.T) {
	w := open(t, nil)
	ctx, from, no := t.Context(), account.From{Actor: "test"}, false
	root, err := w.Create(ctx, account.Newcomer{Email: "root@example.com", Password: password, Platform: true, Org: w.org, Role: access.Admin}, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(ctx, root.ID, from); !errors.Is(err, store.ErrLast) {
		t.Errorf("delete: %v", err)
	}
	if _, err := w.Change(ctx, root.ID, account.Change{Active: &no}, from); !errors.Is(err, store.ErrLast) {
		t.Errorf("switch off: %v", err)
	}
	admin := access.Caller{Organisation: w.org, Role: access.Admin}
	for _, r := range []access.Role{access.Viewer, access.Nobody} {
		if err := w.SetRole(ctx, admin, root.ID, r, from); !errors.Is(err, store.ErrLast) {
			t.Errorf("role %s: %v", r, err)
		}
	}
	w.person(t, "second@example.com", access.Admin)
	if err := w.SetRole(ctx, admin, root.ID, access.Viewer, from); err != nil {
		t.Errorf("with a second administrator: %v", err)
	}
}

func TestAuditLogIsOnlyAddedTo(t *testing.T) {
	w := open(t, nil)
	p := w.person(t, "a@example.com", access.Viewer)
	entries, err := w.store.Audits(t.Context(), w.org, uuid.Max, "", 10)
	if err != nil || len(entries) != 1 || entries[0].Action != "account.create" || entries[0].Subject != p.ID.String() || entries[0].Actor != "test" || entries[0].Detail["role"] != "viewer" {
		t.Fatalf("audit log %+v, %v", entries, err)
	}
	for _, sql := range []string{`update audit set actor = 'x'`, `delete from audit`, `truncate audit`} {
		if _, err := w.store.Pool().Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "only added to") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
