package account

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// longEmail is the longest address that mail can be sent to (RFC 5321, 4.5.3.1.3), in bytes.
const longEmail = 254

// FoldEmail returns an address as it is compared and kept: without spaces around it, in lower case, in one form of Unicode. So that
// one person has one account however the address is typed.
func FoldEmail(email string) (string, error) {
	folded := strings.ToLower(norm.NFKC.String(strings.TrimSpace(email)))
	a, err := mail.ParseAddress(folded)
	switch {
	case !utf8.ValidString(email), err != nil, a.Address != folded, len(folded) > longEmail, strings.ContainsFunc(folded, unicode.IsControl):
		return "", &InputError{"email", "is no e-mail address: want name@host"}
	}
	return folded, nil
}

// checkFullName returns an error that says what is wrong with a person's name.
func checkFullName(name string) error {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > 200 || strings.ContainsFunc(name, unicode.IsControl) {
		return &InputError{"full_name", "cannot be shown: want at most 200 characters of text"}
	}
	return nil
}
