package api_test

import (
	"testing"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/quarantine"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

func TestQuarantine(t *testing.T) {
	s := storetest.Open(t)
	alpha, beta := newTenant(t, s, "alpha"), newTenant(t, s, "beta")
	var qs []wire.Quarantined
	for id := range uint64(3) {
		qs = append(qs, wire.Quarantined{ID: id + 1, Reason: "malformed", Detail: "no JSON", Topic: "a/b", Payload: []byte("\xff"), Received: meter.MillisOf(first), Point: "main"})
	}
	if err := s.PutQuarantined(t.Context(), alpha.org, alpha.agent, epoch, qs); err != nil {
		t.Fatal(err)
	}
	if err := quarantine.Drop(t.Context(), s, alpha.org, store.QuarantineKey{Agent: alpha.agent, Epoch: epoch, ID: 3}, "ada", "rubbish"); err != nil {
		t.Fatal(err)
	}
	srv := serve(t, s, nil)
	page := read[api.QuarantinePage](t, srv, alpha.token, "/v1/quarantine?limit=2&site=alpha-site")
	if q := page.Quarantine; len(q) != 2 || q[0].ID != 1 || q[0].Reason != "malformed" || string(q[0].Payload) != "\xff" || q[0].Settled != nil || page.Next == "" {
		t.Errorf("first page %+v", page)
	}
	page = read[api.QuarantinePage](t, srv, alpha.token, "/v1/quarantine?limit=2&cursor="+page.Next)
	if q := page.Quarantine; len(q) != 1 || q[0].ID != 3 || q[0].Settled == nil || q[0].Settled.How != "dropped" || q[0].Settled.By != "ada" || page.Next != "" {
		t.Errorf("last page %+v", page)
	}
	if page := read[api.QuarantinePage](t, srv, beta.token, "/v1/quarantine"); len(page.Quarantine) != 0 {
		t.Errorf("another organisation sees %+v", page)
	}
	for _, path := range []string{"/v1/quarantine?cursor=x", "/v1/quarantine?limit=0", "/v1/quarantine?bogus=1"} {
		if a := ask(t, srv, alpha.token, path); a.status/100 != 4 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}
