package webhook

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
)

// Sealed is a secret as it is replicated and stored. It never appears in a log.
//
//	0 | plain text                               without a key in the configuration
//	1 | key id 4 | nonce 12 | cipher text         AES-256-GCM; key and key id are derived from the configured one
type Sealed []byte

const (
	sealedPlain   = 0
	sealedAESGCM  = 1
	sealKeyIDSize = 4

	// SealNonceSize is how many random bytes a Seal takes.
	SealNonceSize = 12
)

// LogValue hides the secret.
func (s Sealed) LogValue() slog.Value { return slog.StringValue("…") }

// Format hides the secret from every verb.
func (s Sealed) Format(f fmt.State, _ rune) { fmt.Fprint(f, "…") }

// ErrSealKey means that none of the configured keys opens a secret.
var ErrSealKey = errors.New("a secret is sealed with a key that is not in the configuration: add it to encryption_keys")

// Keyring seals and opens secrets. The zero Keyring keeps them as plain text.
type Keyring struct {
	keys []sealKey // the first one seals
}

type sealKey struct {
	id   [sealKeyIDSize]byte
	aead cipher.AEAD
}

// NewKeyring returns a Keyring of the configured keys, which have at least 32 characters each. The
// first key seals; all of them open.
func NewKeyring(configured []string) (*Keyring, error) {
	k := new(Keyring)
	for _, text := range configured {
		derived, err := hkdf.Key(sha256.New, []byte(text), nil, "hookwheel secrets 1", 32+sealKeyIDSize)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(derived[:32])
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		k.keys = append(k.keys, sealKey{[sealKeyIDSize]byte(derived[32:]), aead})
	}
	return k, nil
}

// Seal seals plain; nonce is SealNonceSize random bytes, never used twice.
func (k *Keyring) Seal(plain, nonce []byte) Sealed {
	if len(k.keys) == 0 {
		return append(Sealed{sealedPlain}, plain...)
	}
	first := &k.keys[0]
	sealed := append(Sealed{sealedAESGCM}, first.id[:]...)
	sealed = append(sealed, nonce...)
	return first.aead.Seal(sealed, nonce, plain, nil)
}

// Open returns the plain text of s. The error is ErrSealKey if the key is missing.
func (k *Keyring) Open(s Sealed) ([]byte, error) {
	if len(s) > 0 && s[0] == sealedPlain {
		return s[1:], nil
	}
	if len(s) < 1+sealKeyIDSize+SealNonceSize || s[0] != sealedAESGCM {
		return nil, errors.New("a sealed secret is damaged")
	}
	id, nonce, text := s[1:1+sealKeyIDSize], s[1+sealKeyIDSize:][:SealNonceSize], s[1+sealKeyIDSize+SealNonceSize:]
	for i := range k.keys {
		if key := &k.keys[i]; bytes.Equal(key.id[:], id) {
			plain, err := key.aead.Open(nil, nonce, text, nil)
			if err != nil {
				return nil, errors.New("a sealed secret is damaged")
			}
			return plain, nil
		}
	}
	return nil, ErrSealKey
}

// IsCurrent reports whether s is sealed with the key that Seal uses.
func (k *Keyring) IsCurrent(s Sealed) bool {
	if len(k.keys) == 0 {
		return len(s) > 0 && s[0] == sealedPlain
	}
	return len(s) > 1+sealKeyIDSize && s[0] == sealedAESGCM && bytes.Equal(s[1:1+sealKeyIDSize], k.keys[0].id[:])
}
