package postgres

import (
	"fmt"
	"os"
	"syscall"
)

// attributes returns how a process of the account is started. It gets signal dead when the thread that started it ends.
func (a account) attributes(dead syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: dead}
	if a.drop {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// serves reports whether process pid is a server of the cluster in data.
func serves(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == data
}
