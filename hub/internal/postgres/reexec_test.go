package postgres_test

import (
	"os"
	osexec "os/exec"
)

// reexec prepares this test binary to run one test in another process.
func reexec(test string, env ...string) *osexec.Cmd {
	cmd := osexec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env...)
	return cmd
}
