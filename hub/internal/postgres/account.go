package postgres

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating-system user that the server runs as.
type account struct {
	name     string
	uid, gid int
	drop     bool // the hub is root, so the server's processes change user
}

// serverAccount returns the user to run the server of directory dir as: the hub's own, or an unprivileged one when the
// hub is root. A cluster that exists keeps its owner.
func serverAccount(data string) (account, error) {
	if os.Geteuid() != 0 {
		u, err := user.Current()
		if err != nil {
			return account{}, fmt.Errorf("user %d has no entry in /etc/passwd, which Postgres needs: %w", os.Geteuid(), err)
		}
		return account{name: u.Username, uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	names := []string{"postgres", "nobody"}
	if fi, err := os.Stat(data); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			u, err := user.LookupId(strconv.Itoa(int(st.Uid)))
			if err != nil {
				return account{}, fmt.Errorf("%s belongs to user %d, who has no entry in /etc/passwd: %w", data, st.Uid, err)
			}
			names = []string{u.Username}
		}
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil && uid != 0 {
			return account{name: name, uid: uid, gid: gid, drop: true}, nil
		}
	}
	return account{}, fmt.Errorf("postgres refuses to run as root and there is no user %v to run it as: create a system user postgres", names)
}

// own makes dir, with mode 0700, the account's.
func (a account) own(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	if !a.drop {
		return nil
	}
	return os.Chown(dir, a.uid, a.gid)
}

// reaches returns an error that names the first directory above dir which the account may not enter.
func (a account) reaches(dir string) error {
	if !a.drop {
		return nil
	}
	for d := filepath.Dir(dir); ; d = filepath.Dir(d) {
		fi, err := os.Stat(d)
		if err != nil {
			return err
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		mode := fi.Mode().Perm()
		switch {
		case !ok:
		case int(st.Uid) == a.uid && mode&0o100 != 0:
		case int(st.Uid) != a.uid && int(st.Gid) == a.gid && mode&0o010 != 0:
		case int(st.Uid) != a.uid && int(st.Gid) != a.gid && mode&0o001 != 0:
		default:
			return fmt.Errorf("user %s, as whom Postgres runs, may not enter %s (mode %04o): want a data directory whose parents have mode 0711 or 0755", a.name, d, mode)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

// home returns a directory for HOME: programs that dropped privileges must not look into root's.
func (a account) home() string {
	if u, err := user.Lookup(a.name); err == nil && u.HomeDir != "" {
		return u.HomeDir
	}
	return "/"
}
