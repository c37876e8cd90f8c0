package model

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
)

// signDomain stands before the digest in what is signed, so that a signature over an artifact can never pass for one over
// anything else made with the same key.
const signDomain = "fluxora artifact v1\n"

// ErrSignature marks an artifact that the hub's key did not sign.
var ErrSignature = errors.New("artifact signature does not verify")

// Sign returns the Ed25519 signature over the SHA-256 digest of an artifact.
func Sign(key ed25519.PrivateKey, digest [sha256.Size]byte) []byte {
	return ed25519.Sign(key, append([]byte(signDomain), digest[:]...))
}

// Verify returns an error, which wraps ErrSignature, unless signature is that of key's owner over the digest.
func Verify(key ed25519.PublicKey, digest [sha256.Size]byte, signature []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: key of %d bytes: want %d", ErrSignature, len(key), ed25519.PublicKeySize)
	}
	if !ed25519.Verify(key, append([]byte(signDomain), digest[:]...), signature) {
		return fmt.Errorf("%w: digest %x", ErrSignature, digest[:8])
	}
	return nil
}
