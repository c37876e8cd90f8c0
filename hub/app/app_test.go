package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/app"
	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/postgres/pgtest"
)

// settings returns settings for a hub with a private Postgres of t's own, on free ports.
func settings(t testing.TB) app.Config {
	t.Helper()
	pgtest.Server(t) // skips when there is no Postgres
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := app.DefaultConfig()
	c.DataDir, c.HTTP.Listen, c.Uplink.Listen = dir, "127.0.0.1:0", "127.0.0.1:0"
	return c
}

func start(t testing.TB, c app.Config, out io.Writer) *app.App {
	t.Helper()
	a, err := app.New(context.Background(), app.Options{Config: c, Out: out, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop() })
	return a
}

func status(t testing.TB, a *app.App, token, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+a.HTTPAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestServeStopAndServeAgain(t *testing.T) {
	c := settings(t)
	var out bytes.Buffer
	a := start(t, c, &out)
	token := a.FirstAPIToken()
	if token == "" || strings.Count(out.String(), token) != 1 {
		t.Fatalf("the first token %q is not printed once: %q", token, out.String())
	}
	for _, path := range []string{"/healthz", "/readyz", "/v1/sites", "/v1/points", "/v1/models", "/v1/agents", "/metrics"} {
		if code, body := status(t, a, token, path); code != http.StatusOK {
			t.Errorf("GET %s: %d %s", path, code, body)
		}
	}
	if _, body := status(t, a, token, "/metrics"); !strings.Contains(body, "fluxora_hub_database_up 1") || !strings.Contains(body, "fluxora_hub_sessions 0") {
		t.Errorf("metrics: %s", body)
	}
	conn, err := net.Dial("tcp", a.UplinkAddr())
	if err != nil {
		t.Fatalf("the uplink does not listen: %v", err)
	}
	conn.Close()

	// Commands beside the running hub use its database.
	b, err := app.OpenAdmin(t.Context(), app.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.CreateToken(t.Context(), app.SiteSettings{Name: "oslo", Zone: "Europe/Oslo", Resolution: 15 * time.Minute}, time.Hour)
	if err != nil || e.Token == "" {
		t.Fatalf("token: %+v, %v", e, err)
	}
	if _, body := status(t, a, token, "/v1/sites"); !strings.Contains(body, `"resolution":"PT15M"`) || !strings.Contains(body, "Europe/Oslo") {
		t.Errorf("sites: %s", body)
	}
	ts, err := b.Tokens(t.Context())
	if err != nil || len(ts) != 1 || ts[0].ID != e.ID || ts[0].Used || ts[0].Token != "" {
		t.Errorf("tokens: %+v, %v", ts, err)
	}
	if err := b.RevokeToken(t.Context(), e.ID); err != nil {
		t.Error(err)
	}
	if err := b.RevokeToken(t.Context(), e.ID); err == nil || !strings.Contains(err.Error(), "token list") {
		t.Errorf("revoke a token that is gone: %v, want what to do", err)
	}
	if err := b.RevokeAgent(t.Context(), uuid.New()); err == nil || !strings.Contains(err.Error(), "agent list") {
		t.Errorf("revoke no agent: %v, want what to do", err)
	}
	if _, _, err := b.Backtest(t.Context(), time.Hour); err == nil || !strings.Contains(err.Error(), "fluxora-hub train") {
		t.Errorf("backtest without a model: %v, want what to do", err)
	}
	// The running hub works a training that a command asks for.
	if tr, err := b.Train(t.Context(), time.Hour, app.TrainingOrder{}, func(app.Training) {}); err != nil || tr.Outcome != "skipped" || !strings.Contains(tr.Reason, "no intervals") {
		t.Errorf("training on nothing: %+v, %v", tr, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}

	// A second hub on the same directory is refused, in words.
	if _, err := app.New(t.Context(), app.Options{Config: c}); !errors.Is(err, postgres.ErrInUse) || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("second hub: %v", err)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}

	// Again: the data, the authority and the token are still there, and no second token is made.
	out.Reset()
	a = start(t, c, &out)
	if a.FirstAPIToken() != "" || out.Len() != 0 {
		t.Errorf("second start printed %q", out.String())
	}
	if code, body := status(t, a, token, "/v1/sites"); code != http.StatusOK || !strings.Contains(body, "oslo") {
		t.Errorf("after the restart: %d %s", code, body)
	}
	fresh, err := a.RotateAPIToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := status(t, a, fresh, "/v1/sites"); code != http.StatusOK && code != http.StatusUnauthorized { // known within seconds
		t.Errorf("fresh token: %d", code)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.DataDir, "database.url")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the database's URL stays behind: %v", err)
	}
}

func TestPrivatePostgresIsKilledAndComesBack(t *testing.T) {
	c := settings(t)
	a := start(t, c, nil)
	token := a.FirstAPIToken()
	pid, err := os.ReadFile(filepath.Join(c.DataDir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	n, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- a.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for back := false; !back; {
		select {
		case err := <-gone:
			t.Fatalf("the hub ended: %v", err)
		case <-ctx.Done():
			t.Fatal("the database did not come back")
		case <-tick.C:
			again, err := os.ReadFile(filepath.Join(c.DataDir, "postgres", "data", "postmaster.pid"))
			if err != nil || bytes.Equal(again, pid) {
				continue
			}
			code, _ := status(t, a, token, "/v1/sites")
			back = code == http.StatusOK
		}
	}
	if code, body := status(t, a, token, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d %s", code, body)
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := app.DefaultConfig()
	c.DataDir = filepath.Join(t.TempDir(), "data")
	c.HTTP.Listen = l.Addr().String()
	_, err = app.New(t.Context(), app.Options{Config: c})
	if err == nil || !strings.Contains(err.Error(), "http.listen") || !strings.Contains(err.Error(), "--set") {
		t.Errorf("taken port: %v, want the setting and how to change it", err)
	}
	if _, err := os.Stat(c.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("a hub that cannot listen has made its data directory")
	}
}

func TestImportAndTrainWithoutAHub(t *testing.T) {
	c := settings(t)
	c.Training.Rounds, c.Training.Threads = 5, 1
	file := filepath.Join(t.TempDir(), "table.csv")
	var table strings.Builder
	table.WriteString("meter_id,timestamp,kwh\n")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 40 * 24 {
		table.WriteString("school," + at.Add(time.Duration(i)*time.Hour).Format(time.RFC3339) + "," + strconv.Itoa(2+i%24/8*3+i%7) + "\n")
	}
	if err := os.WriteFile(file, []byte(table.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := app.OpenAdmin(t.Context(), app.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for range 2 { // the second time adds nothing
		got, err := a.Import(t.Context(), file, app.SiteSettings{Name: "drammen", Zone: "Europe/Oslo"}, "energy-import", nil)
		if err != nil || got.Points != 1 || got.Resolution != time.Hour {
			t.Fatalf("import: %+v, %v", got, err)
		}
	}
	tr, err := a.Train(t.Context(), time.Hour, app.TrainingOrder{}, func(app.Training) {})
	if err != nil || tr.State != "done" || tr.Outcome == "skipped" || len(tr.Scores) < 3 {
		t.Fatalf("training: %+v, %v", tr, err)
	}
	if _, err := json.Marshal(tr); err != nil {
		t.Error(err)
	}
	tr, err = a.Train(t.Context(), time.Hour, app.TrainingOrder{Settings: map[string]string{"family": "additive"}}, func(app.Training) {})
	if err != nil || tr.Model == nil {
		t.Fatalf("training of an additive model: %+v, %v", tr, err)
	}
	d, err := a.Decompose(t.Context(), app.DecompositionQuery{Point: "drammen/school", Register: "energy-import", Model: tr.Model.String(), Horizon: 24 * time.Hour})
	if err != nil || len(d.Steps) != 24 || !(d.Steps[12].Sum > 2000) || d.Steps[12].Share != 1 || len(d.Steps[12].Parts) != 7 {
		t.Errorf("decomposition: %+v, %v", d, err)
	}
	if _, err := a.Decompose(t.Context(), app.DecompositionQuery{Point: "drammen/barn", Register: "energy-import"}); err == nil || !strings.Contains(err.Error(), "site/point") {
		t.Errorf("decomposition of no point: %v", err)
	}
	if _, err := a.Import(t.Context(), file, app.SiteSettings{Name: "drammen"}, "gas", nil); err == nil {
		t.Error("an unknown register was imported")
	}
}

// No server may outlive its hub.
func TestNothingIsLeftRunning(t *testing.T) {
	c := settings(t)
	a := start(t, c, nil)
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("sh", "-c", "ps ax -o args | grep -c '[p]ostgres -D "+c.DataDir+"'").Output()
	if strings.TrimSpace(string(out)) != "0" {
		t.Errorf("servers left behind: %s", out)
	}
}
