package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// agent runs the command line and returns its exit code and what it printed.
func agent(t *testing.T, env []string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(args, env, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandLine(t *testing.T) {
	good := file(t, "site: home\n")
	bad := file(t, "site: my home\nmqtt:\n  uri: x\nresolution: soon\n")
	dir := t.TempDir()
	for _, c := range []struct {
		name           string
		env            []string
		args           []string
		code           int
		stdout, stderr []string // what must be printed there; nothing at all when empty
	}{
		{"version", nil, []string{"version"}, 0, []string{"fluxora-agent " + version}, nil},
		{"help", nil, []string{"--help"}, 0, []string{"--check-config", "enroll", "FLUXORA_AGENT_CONFIG"}, nil},
		{"help of a command", nil, []string{"enroll", "--help"}, 0, []string{"--token-file"}, nil},
		{"unknown flag", nil, []string{"--bogus"}, 2, nil, []string{"--bogus", "--help"}},
		{"unknown command", nil, []string{"bogus"}, 2, nil, []string{"bogus", "--help"}},
		{"half a setting", nil, []string{"--set", "site"}, 2, nil, []string{"--set"}},
		{"no settings", nil, []string{"--check-config"}, 2, nil, []string{"default: site:"}},
		{"good file", nil, []string{"--check-config", "--config", good}, 0, []string{"in order"}, nil},
		{"good file by environment", []string{"FLUXORA_AGENT_CONFIG=" + good}, []string{"--check-config"}, 0, []string{"in order"}, nil},
		{"flag wins over environment", []string{"FLUXORA_AGENT_SITE=not good"}, []string{"--check-config", "--set", "site=good"}, 0, []string{"in order"}, nil},
		{"every mistake", []string{"FLUXORA_AGENT_STORE_MAXBYTES=1"}, []string{"--check-config", "--config", bad, "--set", "log.level=loud"}, 2, nil, []string{
			bad + ":1:7: site:", bad + ":3:3: mqtt.uri: no such key; did you mean url?", bad + ":4:13: resolution:", "did you mean FLUXORA_AGENT_STORE_MAX_BYTES?",
			"flag --set log.level: log.level:",
		}},
		{"mistakes stop a run too", nil, []string{"--config", bad}, 2, nil, []string{":1:7: site:"}},
		{"no file", nil, []string{"--check-config", "--config", filepath.Join(dir, "none.yaml")}, 2, nil, []string{"none.yaml does not exist"}},
		{"enroll without a hub", nil, []string{"enroll", "--set", "site=a", "--token", "x"}, 1, nil, []string{"--hub HOST:PORT"}},
		{"enroll with no token at all", nil, []string{"enroll", "--set", "site=a", "--set", "data_dir=" + dir, "--hub", "127.0.0.1:1"}, 1, nil, []string{"token"}},
		{"enroll with a bad token", nil, []string{"enroll", "--set", "site=a", "--set", "data_dir=" + dir, "--hub", "127.0.0.1:1", "--token", "rubbish"}, 1, nil, []string{"token"}},
		{"token file that is not there", nil, []string{"enroll", "--set", "site=a", "--hub", "127.0.0.1:1", "--token-file", filepath.Join(dir, "none")}, 1, nil, []string{"none: no such file"}},
		{"two tokens", nil, []string{"enroll", "--set", "site=a", "--hub", "h:1", "--token", "x", "--token-file", "y"}, 2, nil, []string{"--token"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := agent(t, c.env, "", c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, x := range []struct {
				name, got string
				want      []string
			}{{"stdout", stdout, c.stdout}, {"stderr", stderr, c.stderr}} {
				if len(x.want) == 0 && x.got != "" {
					t.Errorf("%s: %q, want nothing", x.name, x.got)
				}
				for _, w := range x.want {
					if !strings.Contains(x.got, w) {
						t.Errorf("%s lacks %q:\n%s", x.name, w, x.got)
					}
				}
			}
		})
	}
}
