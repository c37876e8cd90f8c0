package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
)

// TestRevokedAgent revokes an agent that is connected: the hub takes nothing of it any more, and the agent says why and goes on by
// itself.
func TestRevokedAgent(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	c := newCounter("kitchen", time.Now().AddDate(0, 0, -15))
	w.meters.send(messages(c.series, c.read(10*96, 15*time.Minute), 50)...)
	w.wantExactly(w.meters.acked)
	before := w.meters.count()

	_, err := w.hub.Command(w.ctx, "agent", "revoke", w.status(w.agent).Agent)
	w.must("revoke the agent", err)
	w.waitStatus(w.agent, "the agent to be shut out", func(o rest.Overview) bool {
		return !o.Hub.Connected && strings.Contains(o.Hub.LastError, "revoked")
	})
	w.meters.send(messages(c.series, c.read(4*96, 15*time.Minute), 50)...)
	w.passes(int64(w.meters.count() - 1))
	w.waitForecasts(w.agent, "baseline", "kitchen")
	if o := w.status(w.agent); o.Readings.Pending != int64(w.meters.count()-before) {
		t.Errorf("a revoked agent's books say %+v: want what came since to be pending", o.Readings)
	}
	if n := w.number(`select coalesce(sum(readings), 0)::bigint from site_arrival`); n != int64(before) {
		t.Errorf("the hub has %d readings: want the %d from before the agent was revoked", n, before)
	}
	var agents rest.Agents
	w.must("ask the hub for its agents", w.hub.API.Get(w.ctx, "/v1/agents", &agents))
	if len(agents.Agents) != 1 || agents.Agents[0].Revoked == nil {
		t.Errorf("the hub's agents are %+v: want one, revoked", agents.Agents)
	}
}

// TestStrangers brings what no hub may let in: a used token, an agent that belongs to another hub, and nobody at all.
func TestStrangers(t *testing.T) {
	w := newWorld(t, "")
	other := w.newHub("other")
	t.Cleanup(func() {
		if err := other.Stop(30 * time.Second); err != nil {
			t.Error(err)
		}
	})
	w.startBroker()
	w.startHub()
	w.must("start another hub", other.Start(w.ctx))

	token, err := w.hub.Command(w.ctx, "token", "create", "--site", site, "--zone", zone)
	w.must("make a token", err)
	w.must("enrol the first agent", w.enrolWith(w.agent, token))
	second := w.newAgent("twin", "")
	if err := w.enrolWith(second, token); err == nil || !strings.Contains(err.Error(), "used") || second.Enrolled() {
		t.Errorf("enrolling another agent with a used token: %v; want it refused because it was used", err)
	}

	// An agent of the other hub is pointed at this one. It must not take this hub for its own …
	stranger := w.newAgent("cottage", fmt.Sprintf("store:\n  commit_window: 100ms\nhub:\n  address: %s\n", w.hub.Uplink()))
	w.must("enrol the stranger at the other hub", stranger.Enrol(w.ctx, other, zone))
	w.must("start the stranger", stranger.Start(w.ctx))
	t.Cleanup(func() {
		if err := stranger.Stop(20 * time.Second); err != nil {
			t.Error(err)
		}
	})
	w.waitStatus(stranger, "the stranger to say why it is not connected", func(o rest.Overview) bool {
		return !o.Hub.Connected && strings.Contains(o.Hub.LastError, "certificate")
	})
	c := newCounter("kitchen", time.Now().AddDate(0, 0, -15))
	w.meters.send(at("cottage", messages(c.series, c.read(14*96, 15*time.Minute), 50))...)
	w.waitForecasts(stranger, "baseline", "kitchen")

	// … and this hub must not take it, even when it would.
	if err := w.knock(w.certificateOf(stranger)); err == nil {
		t.Error("the hub shakes hands with an agent of another hub")
	} else if !strings.Contains(err.Error(), "tls: ") {
		t.Errorf("the hub ends the handshake of an agent of another hub with %v: want a TLS alert", err)
	}
	if err := w.knock(w.certificateOf(w.agent)); err != nil {
		t.Errorf("the hub does not shake hands with its own agent: %v", err)
	}
	if n := w.number(`select count(*) from site_arrival where readings > 0`); n != 0 {
		t.Errorf("the hub took readings of %d sites: want none", n)
	}
}

func (w *world) enrolWith(a *stage.Agent, token string) error {
	w.Helper()
	file := w.path("token-" + a.Site)
	w.must("keep the token", os.WriteFile(file, []byte(token), 0o600))
	_, err := stage.Run(w.ctx, nil, a.Path, "enroll", "--config", filepath.Join(a.Dir, "agent.yaml"), "--hub", w.hub.Uplink(), "--token-file", file)
	return err
}

// certificateOf returns an agent's key and certificate.
func (w *world) certificateOf(a *stage.Agent) tls.Certificate {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(a.Dir, "agent", "identity", "identity.json"))
	w.must("read the identity", err)
	var id struct{ Key, Certificate []byte }
	w.must("read the identity", json.Unmarshal(b, &id))
	key, err := x509.ParsePKCS8PrivateKey(id.Key)
	w.must("read the key", err)
	return tls.Certificate{Certificate: [][]byte{id.Certificate}, PrivateKey: key}
}

// knock shakes hands with the hub's uplink, whoever it is, and returns the alert it gets. A hub that lets one in sends its HTTP/2
// settings first.
func (w *world) knock(c tls.Certificate) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{
		// The client shows its certificate whatever authorities the hub names, and does not look at the hub's.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil },
		InsecureSkipVerify:   true, NextProtos: []string{"h2"},
	}}
	conn, err := d.DialContext(ctx, "tcp", w.hub.Uplink())
	if err != nil {
		return err
	}
	defer conn.Close()
	w.must("bound the wait", conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Read(make([]byte, 1))
	return err
}
