package store

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Unavailable reports whether an error means that Postgres could not be asked, as opposed to that it refused: the same call
// may succeed once the server is back.
func Unavailable(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch {
		case strings.HasPrefix(refused.Code, "08"), // connection exceptions
			strings.HasPrefix(refused.Code, "57P"), // shutting down, crashed, starting up
			refused.Code == "53300":                // too many connections
			return true
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "conn closed")
}

// Unstorable reports whether an error means that a value of the caller is none that Postgres can hold: a NUL in a text, broken UTF-8, a
// number or an instant out of range.
func Unstorable(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{"22003", "22008", "22021", "22P05"}, refused.Code)
}
