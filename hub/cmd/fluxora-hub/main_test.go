package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fluxora.dev/hub/internal/postgres/pgtest"
)

func call(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, env, &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hub.yaml")
	if err := os.WriteFile(file, []byte("http:\n  listen: 8420\ntrainning:\n  at: 02:00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		env  []string
		args []string
		code int
		want []string // in what is printed
	}{
		{"sound settings", nil, []string{"--check-config"}, 0, []string{"sound"}},
		{"every wrong key and value with its place", nil, []string{"--check-config", "--config", file}, 2, []string{"hub.yaml:3:1", "trainning", "did you mean training"}},
		{"file from the environment", []string{"FLUXORA_HUB_CONFIG=" + file}, []string{"--check-config"}, 2, []string{"hub.yaml:3:1"}},
		{"wrong value in the environment", []string{"FLUXORA_HUB_SITE_RESOLUTION=7m"}, []string{"serve", "--check-config"}, 2, []string{"FLUXORA_HUB_SITE_RESOLUTION", "15m"}},
		{"wrong flag value", nil, []string{"serve", "--check-config", "--http", "8420"}, 2, []string{"http.listen", "host:port"}},
		{"wrong setting", nil, []string{"--check-config", "--set", "http.lisen=:1"}, 2, []string{"http.listen"}},
		{"a list in a setting", nil, []string{"--check-config", "--set", "uplink.names=a,b", "--set", "http.listen=:1"}, 0, []string{"sound"}},
		{"missing file", nil, []string{"--check-config", "--config", file + ".not"}, 2, []string{"does not exist"}},
		{"unknown command", nil, []string{"sevre"}, 2, []string{"sevre", "--help"}},
		{"missing flag", nil, []string{"token", "create"}, 2, []string{"--site"}},
		{"id that is none", nil, []string{"agent", "revoke", "x"}, 2, []string{"id"}},
		{"help", nil, []string{"--help"}, 0, []string{"backtest", "token create", "api-token rotate", "import"}},
		{"version", nil, []string{"version"}, 0, []string{"fluxora-hub"}},
		{"openapi", nil, []string{"openapi"}, 0, []string{`"openapi": "3.1.0"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := call(t, tc.env, tc.args...)
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			for _, w := range tc.want {
				if !strings.Contains(out+errs, w) {
					t.Errorf("printed %q %q, want %q in it", out, errs, w)
				}
			}
			if code != 0 && out != "" {
				t.Errorf("a mistake printed %q to standard output", out)
			}
		})
	}
}

func TestCommandsOnADatabase(t *testing.T) {
	url := pgtest.Database(t, "empty", nil)
	env := []string{"FLUXORA_HUB_DATABASE_URL=" + url, "FLUXORA_HUB_LOG_LEVEL=error"}
	if code, out, errs := call(t, env, "migrate", "--json"); code != 0 || !strings.Contains(out, "up to date") {
		t.Fatalf("migrate: %d %s %s", code, out, errs)
	}
	code, out, errs := call(t, env, "token", "create", "--site", "oslo", "--zone", "Europe/Oslo", "--json")
	var token struct{ Token, ID, Site string }
	if err := json.Unmarshal([]byte(out), &token); code != 0 || err != nil || token.Token == "" || token.Site != "oslo" {
		t.Fatalf("token create: %d %v %s %s", code, err, out, errs)
	}
	if code, out, _ := call(t, env, "token", "create", "--site", "oslo"); code != 0 || strings.Count(strings.TrimSpace(out), "\n") != 0 || strings.Count(out, ".") != 2 {
		t.Errorf("for people, standard output holds the token alone: %d %q", code, out)
	}
	if code, out, _ := call(t, env, "token", "list"); code != 0 || !strings.Contains(out, token.ID) || strings.Contains(out, token.Token) {
		t.Errorf("token list: %d %s", code, out)
	}
	if code, out, _ := call(t, env, "token", "revoke", token.ID); code != 0 || !strings.Contains(out, token.ID) {
		t.Errorf("token revoke: %d %s", code, out)
	}
	if code, _, errs := call(t, env, "token", "revoke", token.ID); code != 1 || !strings.Contains(errs, "token list") {
		t.Errorf("token revoke again: %d %s", code, errs)
	}
	if code, out, _ := call(t, env, "api-token", "rotate"); code != 0 || !strings.HasPrefix(out, "flx_") {
		t.Errorf("api-token rotate: %d %q", code, out)
	}
	if code, out, errs := call(t, env, "quarantine", "list"); code != 0 || !strings.Contains(out, "REASON") {
		t.Errorf("quarantine list: %d %s %s", code, out, errs)
	}
	none := "0193c2a4-0000-7000-8000-000000000000/1/1"
	for _, args := range [][]string{
		{"release", none, "--why", "test", "--at", "2026-03-01T12:00:00Z", "--as", "main/energy-import"}, {"drop", none, "--why", "test"}, {"drop", "1", "--why", "test"},
	} {
		if code, _, errs := call(t, env, append([]string{"quarantine"}, args...)...); code != 1 || !strings.Contains(errs, "quarantine list") {
			t.Errorf("quarantine %v: %d %s", args, code, errs)
		}
	}
	if code, _, errs := call(t, env, "quarantine", "drop", none); code != 2 || !strings.Contains(errs, "--why") {
		t.Errorf("quarantine drop without a reason: %d %s", code, errs)
	}
	for _, args := range [][]string{{"backtest"}, {"model", "roll-back"}} {
		if code, _, errs := call(t, env, args...); code != 1 || errs == "" {
			t.Errorf("%v without a model: %d %s", args, code, errs)
		}
	}
	if code, _, errs := call(t, []string{"FLUXORA_HUB_DATABASE_URL=postgres://nobody@127.0.0.1:1/none?connect_timeout=1", "FLUXORA_HUB_LOG_LEVEL=error"}, "token", "create", "--site", "a b"); code != 1 || errs == "" {
		t.Errorf("no database: %d %s", code, errs)
	}
}

func TestSiteCommand(t *testing.T) {
	env := []string{"FLUXORA_HUB_DATABASE_URL=" + pgtest.Database(t, "empty", nil), "FLUXORA_HUB_LOG_LEVEL=error"}
	if code, _, errs := call(t, env, "token", "create", "--site", "oslo", "--zone", "Europe/Oslo"); code != 0 {
		t.Fatal(errs)
	}
	var v struct {
		Country   string
		Vacations []string
		Facts     map[string]float64
	}
	code, out, errs := call(t, env, "site", "oslo", "--country", "NO", "--vacations", "2024-06-22/2024-08-19,2024-12-21/2025-01-02", "--facts", "area_m2=437", "--json")
	if err := json.Unmarshal([]byte(out), &v); code != 0 || err != nil || v.Country != "NO" || len(v.Vacations) != 2 || v.Facts["area_m2"] != 437 {
		t.Fatalf("site: %d %v %s %s", code, err, out, errs)
	}
	if code, out, _ := call(t, env, "site", "oslo"); code != 0 || !strings.Contains(out, "2024-06-22/2024-08-19") {
		t.Errorf("site: %d %s", code, out)
	}
	for _, args := range [][]string{{"--country", "UK"}, {"--vacations", "2024-06-22"}, {"--facts", "Area=1"}, {"--zone", "Mars"}} {
		if code, _, errs := call(t, env, append([]string{"site", "oslo"}, args...)...); code != 1 || !strings.Contains(errs, "want") {
			t.Errorf("site %v: %d %s", args, code, errs)
		}
	}
	if code, _, _ := call(t, env, "site", "bergen"); code != 1 {
		t.Errorf("a site that is not there: %d", code)
	}
}

func TestFeaturesCommands(t *testing.T) {
	if code, out, errs := call(t, nil, "features", "describe"); code != 0 || !strings.Contains(out, "similar mean 4") {
		t.Errorf("describe without a database: %d %s %s", code, out, errs)
	}
	if code, _, errs := call(t, nil, "features", "describe", "./none.txt"); code != 1 || !strings.Contains(errs, "none.txt") {
		t.Errorf("describe a file that is not there: %d %s", code, errs)
	}
	env := []string{"FLUXORA_HUB_DATABASE_URL=" + pgtest.Database(t, "empty", nil), "FLUXORA_HUB_LOG_LEVEL=error"}
	file := filepath.Join(t.TempDir(), "spec.txt")
	if err := os.WriteFile(file, []byte("fluxora-features 1\nlead\nday 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := call(t, env, "features", "add", "short", file); code != 0 || !strings.HasPrefix(out, "short@1") {
		t.Errorf("add: %d %s %s", code, out, errs)
	}
	if code, out, _ := call(t, env, "features", "describe", "short@1"); code != 0 || !strings.Contains(out, "2 features") {
		t.Errorf("describe by name: %d %s", code, out)
	}
	if code, _, errs := call(t, env, "features", "describe", "long"); code != 1 || !strings.Contains(errs, "features list") {
		t.Errorf("describe a name that is not there: %d %s", code, errs)
	}
	out := filepath.Join(t.TempDir(), "rows.csv")
	if code, _, errs := call(t, env, "features", "materialize", "--from", "2024-05-01", "--to", "2024-05-02", "--out", out); code != 1 || !strings.Contains(errs, "no point") {
		t.Errorf("materialize nothing: %d %s", code, errs)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a file was left behind")
	}
	if code, _, errs := call(t, env, "features", "materialize", "--from", "yesterday", "--to", "2024-05-02", "--out", out); code == 0 || !strings.Contains(errs, "--from") {
		t.Errorf("materialize from yesterday: %d %s", code, errs)
	}
}
