package account

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

const (
	audience    = "fluxora"
	tokenType   = "at+jwt"         // RFC 9068: an access token and nothing else
	skew        = 30 * time.Second // that clocks may differ by
	mostKept    = 10_000           // verified tokens, and standings
	reloadAfter = 5 * time.Second  // between looks for a key that is not known
)

// claims is what an access token says: whose session it is.
type claims struct {
	jwt.RegisteredClaims
	Session uuid.UUID `json:"sid"`
}

// signer makes access tokens and verifies those of all replicas.
type signer struct {
	store  *store.Store
	issuer string
	life   time.Duration // of an access token
	rotate time.Duration // life of a signing key
	now    func() time.Time

	mu      sync.Mutex
	private ed25519.PrivateKey
	kid     string
	made    time.Time
	public  map[string]ed25519.PublicKey
	looked  time.Time // for public keys

	verified kept[[sha256.Size]byte, claims]
}

// sign returns an access token of a session and how long it is good.
func (s *signer) sign(ctx context.Context, account, session uuid.UUID) (string, error) {
	key, kid, err := s.key(ctx)
	if err != nil {
		return "", err
	}
	now := s.now()
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		Session: session,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.issuer, Audience: jwt.ClaimStrings{audience}, Subject: account.String(), ID: uuid.NewString(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(s.life)),
		},
	})
	t.Header["kid"], t.Header["typ"] = kid, tokenType
	return t.SignedString(key)
}

// key returns the key to sign with, a new one when there is none or it is old.
func (s *signer) key(ctx context.Context) (ed25519.PrivateKey, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.private != nil && now.Sub(s.made) < s.rotate {
		return s.private, s.kid, nil
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	digest := sha256.Sum256(public)
	kid := base64.RawURLEncoding.EncodeToString(digest[:12])
	// Published before it is used, so that every replica can verify its first token.
	if err := s.store.PutSigningKey(ctx, store.SigningKey{ID: kid, Public: public, CreatedAt: now, ExpiresAt: now.Add(s.rotate + s.life + skew)}); err != nil {
		return nil, "", err
	}
	s.private, s.kid, s.made = private, kid, now
	if s.public == nil {
		s.public = map[string]ed25519.PublicKey{}
	}
	s.public[kid] = public
	return private, kid, nil
}

// verify returns what a token says if it is ours and good now. It does not ask whether the session goes on.
func (s *signer) verify(ctx context.Context, token string) (claims, error) {
	digest := sha256.Sum256([]byte(token))
	if c, ok := s.verified.get(digest); ok && s.now().Before(c.ExpiresAt.Add(skew)) {
		return c, nil
	}
	var c claims
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithIssuer(s.issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(skew), jwt.WithTimeFunc(s.now), jwt.WithStrictDecoding(),
	).ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if t.Header["typ"] != tokenType {
			return nil, errors.New("not an access token")
		}
		return s.lookup(ctx, kid)
	})
	var gone *unreachable
	switch {
	case errors.As(err, &gone):
		return claims{}, gone.err
	case errors.Is(err, jwt.ErrTokenExpired):
		return claims{}, fmt.Errorf("the access token expired; refresh it: %w", access.ErrInvalid)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return claims{}, fmt.Errorf("the access token is not good yet; is the clock right? %w", access.ErrInvalid)
	case err != nil, c.Session == uuid.Nil, c.Subject == "", c.IssuedAt == nil:
		return claims{}, fmt.Errorf("the access token is not one of this hub: %w", access.ErrInvalid)
	}
	s.verified.put(digest, c)
	return c, nil
}

// unreachable is that a key could not be looked up.
type unreachable struct{ err error }

func (u *unreachable) Error() string { return u.err.Error() }

// lookup returns the public key of an id, from the database when another replica may have published it since the last look.
func (s *signer) lookup(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.looked) > time.Minute || s.public[kid] == nil && now.Sub(s.looked) > reloadAfter {
		keys, err := s.store.SigningKeys(ctx, now)
		if err != nil && s.public[kid] == nil {
			return nil, &unreachable{err}
		}
		if err == nil {
			s.looked, s.public = now, map[string]ed25519.PublicKey{}
			for _, k := range keys {
				if len(k.Public) == ed25519.PublicKeySize {
					s.public[k.ID] = k.Public
				}
			}
		}
	}
	if k := s.public[kid]; k != nil {
		return k, nil
	}
	return nil, errors.New("unknown key")
}

// JWK is a public key as RFC 8037 writes it.
type JWK struct {
	Type      string `json:"kty" enum:"OKP"`
	Curve     string `json:"crv" enum:"Ed25519"`
	X         string `json:"x" doc:"the key, base64url"`
	ID        string `json:"kid"`
	Use       string `json:"use" enum:"sig"`
	Algorithm string `json:"alg" enum:"EdDSA"`
}

// keys returns the public keys of all replicas.
func (s *signer) keys(ctx context.Context) ([]JWK, error) {
	if _, _, err := s.key(ctx); err != nil {
		return nil, err
	}
	keys, err := s.store.SigningKeys(ctx, s.now())
	out := make([]JWK, len(keys))
	for i, k := range keys {
		out[i] = JWK{Type: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(k.Public), ID: k.ID, Use: "sig", Algorithm: "EdDSA"}
	}
	return out, err
}

// foreignToken reports whether a credential is no signed token at all.
func foreignToken(token string) bool { return strings.Count(token, ".") != 2 }
