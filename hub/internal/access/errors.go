package access

import "errors"

// What checking a credential can end with, other than that it could not be checked.
var (
	ErrForeign  = errors.New("the credential is of another kind")            // somebody else may know it
	ErrInvalid  = errors.New("the credential is not good")                   // forged, expired, revoked, of nobody: wrap it to say which
	ErrInactive = errors.New("the user is switched off by an administrator") // the credential is good, its owner is not
)
