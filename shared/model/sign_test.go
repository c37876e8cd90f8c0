package model_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"testing"

	"fluxora.dev/shared/model"
)

func TestSignVerify(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("an artifact"))
	signature := model.Sign(private, digest)
	if err := model.Verify(public, digest, signature); err != nil {
		t.Fatal(err)
	}
	flipped := digest
	flipped[0] ^= 1
	for name, err := range map[string]error{
		"another digest":   model.Verify(public, flipped, signature),
		"another key":      model.Verify(other, digest, signature),
		"no signature":     model.Verify(public, digest, nil),
		"cut signature":    model.Verify(public, digest, signature[:63]),
		"no key":           model.Verify(nil, digest, signature),
		"without a domain": model.Verify(public, digest, ed25519.Sign(private, digest[:])),
	} {
		if !errors.Is(err, model.ErrSignature) {
			t.Errorf("%s: error %v, want ErrSignature", name, err)
		}
	}
}
