package authority

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// ErrToken marks an enrolment token that is forged, expired or malformed.
var ErrToken = errors.New("enrolment token is not valid")

// audience keeps other JWTs of the hub from passing for enrolment tokens.
const audience = "fluxora-enrol"

// Token is what an enrolment token says.
type Token struct {
	ID        uuid.UUID
	Org, Site uuid.UUID
	Expires   time.Time
}

type claims struct {
	jwt.RegisteredClaims
	Org  uuid.UUID `json:"org"`
	Site uuid.UUID `json:"site"`
	Pin  string    `json:"pin"` // SHA-256 of the CA certificate, hex; the agent reads it
}

// NewToken returns a token that admits one agent to the site within life, and what the token says. The caller puts the
// latter into the store before giving the former to anybody.
func (a *Authority) NewToken(org, site uuid.UUID, life time.Duration) (string, Token, error) {
	now := a.o.Now()
	t := Token{uuid.New(), org, site, now.Add(life).UTC().Truncate(time.Second)}
	pin := a.Pin()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			ID: t.ID.String(), Audience: jwt.ClaimStrings{audience}, ExpiresAt: jwt.NewNumericDate(t.Expires), IssuedAt: jwt.NewNumericDate(now),
		},
		Org: org, Site: site, Pin: hex.EncodeToString(pin[:]),
	}).SignedString(a.token)
	if err != nil {
		return "", Token{}, fmt.Errorf("sign an enrolment token: %w", err)
	}
	return signed, t, nil
}

// ParseToken returns what the token says, after verifying its signature and expiry. That it was not used yet is for the
// store to say. Comparing an Ed25519 signature takes the same time for every wrong one.
func (a *Authority) ParseToken(signed string) (Token, error) {
	if len(signed) > 4<<10 {
		return Token{}, fmt.Errorf("%w: longer than 4096 bytes", ErrToken)
	}
	var c claims
	_, err := jwt.ParseWithClaims(signed, &c, func(*jwt.Token) (any, error) { return a.token.Public(), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithAudience(audience), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(a.o.Now), jwt.WithLeeway(skew))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return Token{}, fmt.Errorf("%w: it expired at %s: make another with `fluxora-hub token create`", ErrToken, c.ExpiresAt.UTC().Format(time.RFC3339))
	case err != nil:
		return Token{}, fmt.Errorf("%w: this hub did not make it", ErrToken)
	}
	id, err := uuid.Parse(c.ID)
	if err != nil {
		return Token{}, fmt.Errorf("%w: id %q", ErrToken, c.ID)
	}
	return Token{id, c.Org, c.Site, c.ExpiresAt.UTC()}, nil
}
