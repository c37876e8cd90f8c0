package account

import (
	"errors"
	"fmt"
	"time"

	"fluxora.dev/hub/internal/access"
)

// What callers branch on, beside access.ErrInvalid, access.ErrInactive, store.ErrNotFound and store.ErrLast.
var (
	ErrCredentials = errors.New("wrong address or password")
	ErrTaken       = errors.New("the address has an account already")
	ErrClosed      = errors.New("registration is closed: an administrator makes accounts")
	ErrUninvited   = errors.New("the invitation is unknown, used, expired, or for another address")
	ErrBusy        = errors.New("too many logins at once") // try again
	ErrSelf        = errors.New("that would shut yourself out")
	ErrBeyond      = fmt.Errorf("%w: a key cannot be given more than you have", access.ErrDenied)
)

// InputError is a value that cannot be.
type InputError struct {
	Field   string // as the interface names it
	Message string
}

func (e *InputError) Error() string { return e.Field + " " + e.Message }

// ThrottledError says that logins failed too often.
type ThrottledError struct{ Wait time.Duration }

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many failed logins; try again in %s", max(time.Second, e.Wait.Round(time.Second)))
}
