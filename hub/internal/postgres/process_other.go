//go:build unix && !linux

package postgres

import "syscall"

// attributes returns how a process of the account is started. Without a parent-death signal the next hub ends what a
// killed one left.
func (a account) attributes(syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.drop {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// serves reports whether process pid is a server of the cluster in data, as far as can be told: that it lives.
func serves(pid int, data string) bool { return syscall.Kill(pid, 0) == nil }
