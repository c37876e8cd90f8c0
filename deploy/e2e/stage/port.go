package stage

import (
	"fmt"
	"net"
)

// FreePort returns a TCP port on loopback that nobody listens on at the moment.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// CheckPort returns an error that names the flag to change when somebody listens on the port already.
func CheckPort(port int, what, flag string) error {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("port %d, wanted for %s, is taken: give another with %s", port, what, flag)
	}
	return l.Close()
}
