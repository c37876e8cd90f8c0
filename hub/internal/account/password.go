package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// cost is what a password costs to hash: argon2id of RFC 9106. 32 MiB and two passes take 43 ms of a core of the machine of docs/benchmarks.md, above the
// least that OWASP's Password Storage Cheat Sheet asks for (19 MiB, two passes, or 46 MiB and one).
type cost struct {
	MiB     uint32
	Passes  uint32
	Threads uint8
}

var today = cost{MiB: 32, Passes: 2, Threads: 1}

const (
	saltBytes     = 16
	hashBytes     = 32
	shortPassword = 8   // characters
	longPassword  = 256 // bytes: hashing more only costs
	mostHashes    = 4   // at once: 128 MiB
)

// hasher hashes passwords, few at a time.
type hasher struct {
	slots chan struct{}
	dummy string // hash of a password that nobody has
}

func newHasher() *hasher {
	h := &hasher{slots: make(chan struct{}, min(runtime.GOMAXPROCS(0), mostHashes))}
	h.dummy = today.hash(rand.Text())
	return h
}

// in runs fn when fewer than the bound are at it. It returns an error when ctx ends first.
func (h *hasher) in(ctx context.Context, fn func() error) error {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		return fn()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
}

// hash returns the PHC form of a new password.
func (h *hasher) hash(ctx context.Context, password string) (phc string, err error) {
	err = h.in(ctx, func() error { phc = today.hash(password); return nil })
	return phc, err
}

// checkPassword returns an error that says what is wrong with a new password.
func checkPassword(password string) error {
	switch {
	case !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return &InputError{"password", "is no text: want UTF-8 without NUL"}
	case utf8.RuneCountInString(password) < shortPassword:
		return &InputError{"password", fmt.Sprintf("has fewer than %d characters", shortPassword)}
	case len(password) > longPassword:
		return &InputError{"password", fmt.Sprintf("has more than %d bytes", longPassword)}
	}
	return nil
}

func (c cost) hash(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.MiB<<10, c.Passes, c.Threads, b64.EncodeToString(salt), b64.EncodeToString(c.key(password, salt)))
}

func (c cost) key(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, c.Passes, c.MiB<<10, c.Threads, hashBytes)
}

// matches reports whether a password is that of a PHC form, and whether that form is what would be made today.
func matches(password, phc string) (ok, current bool) {
	var version int
	var kib uint32
	var c cost
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, false
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &kib, &c.Passes, &c.Threads); err != nil || kib < 1<<10 || kib > 1<<20 || c.Passes < 1 || c.Passes > 16 || c.Threads < 1 {
		return false, false
	}
	c.MiB = kib >> 10
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || err2 != nil || len(want) != hashBytes {
		return false, false
	}
	return subtle.ConstantTimeCompare(c.key(password, salt), want) == 1, c == today && len(salt) == saltBytes
}
