package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoBinaries says that no server binaries are installed where they were looked for.
var ErrNoBinaries = errors.New("no Postgres server binaries")

// ErrVersion says that a data directory belongs to a Postgres version that is not installed.
var ErrVersion = errors.New("wrong Postgres version")

// installation is a directory that holds initdb and postgres of one major version.
type installation struct {
	dir   string
	major int
}

// findInstallation returns the installation to use: the one of major version want, or the newest when want is 0. Only
// dir is looked at when it is not empty.
func findInstallation(ctx context.Context, dir string, want int) (installation, error) {
	var dirs []string
	if dir != "" {
		dirs = []string{dir}
	} else {
		if p, err := exec.LookPath("postgres"); err == nil {
			if p, err = filepath.EvalSymlinks(p); err == nil {
				dirs = append(dirs, filepath.Dir(p))
			}
		}
		for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*"} {
			found, _ := filepath.Glob(pattern) // the patterns are well formed
			dirs = append(dirs, found...)
		}
	}
	var all []installation
	for _, d := range dirs {
		if major, err := version(ctx, d); err == nil {
			all = append(all, installation{d, major})
		} else if dir != "" {
			return installation{}, fmt.Errorf("%w in %s: want a directory that holds initdb and postgres: %w", ErrNoBinaries, dir, err)
		}
	}
	if len(all) == 0 {
		return installation{}, fmt.Errorf("%w in PATH or /usr/lib/postgresql/*/bin: install the package postgresql (Debian, Ubuntu) or postgresql-server (Fedora), or give the hub a database URL", ErrNoBinaries)
	}
	slices.SortStableFunc(all, func(a, b installation) int { return b.major - a.major })
	if want == 0 {
		return all[0], nil
	}
	for _, in := range all {
		if in.major == want {
			return in, nil
		}
	}
	return installation{}, fmt.Errorf("%w: the data directory was made by Postgres %d, installed is %d: install the package postgresql-%d, or move the data with pg_upgrade", ErrVersion, want, all[0].major, want)
}

// version returns the major version of the server in dir.
func version(ctx context.Context, dir string) (int, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "-V").Output()
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(out)) // postgres (PostgreSQL) 15.20 (Debian …)
	if len(f) < 3 {
		return 0, fmt.Errorf("postgres -V answered %q", out)
	}
	digits, _, _ := strings.Cut(f[2], ".")
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i > 0 {
		digits = digits[:i] // 19devel, 19beta1
	}
	major, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("postgres -V answered %q", out)
	}
	return major, nil
}

// dataVersion returns the major version that made the cluster in data, 0 when there is none.
func dataVersion(data string) (int, error) {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
			return 0, fmt.Errorf("%s is not empty and holds no PG_VERSION: want a directory made by the hub, or none", data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read version of the cluster: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s says %q: want a version number", filepath.Join(data, "PG_VERSION"), b)
	}
	return major, nil
}
