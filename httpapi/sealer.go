package httpapi

import (
	"crypto/rand"
	"encoding/json"

	"hookwheel/webhook"
)

// sealer seals and opens the secrets of endpoints.
type sealer struct{ keyring *webhook.Keyring }

// seal encrypts a secret for the replicated state.
func (s sealer) seal(plain []byte) webhook.Sealed {
	nonce := make([]byte, webhook.SealNonceSize)
	rand.Read(nonce) // never fails
	return s.keyring.Seal(plain, nonce)
}

// keysFit returns an error if an endpoint's signature style does not work with its keys.
func (s sealer) keysFit(e *webhook.Endpoint) error {
	for _, key := range e.Keys {
		text, err := s.keyring.Open(key.Sealed)
		if err != nil {
			return err
		}
		signing, err := webhook.ParseSigningKey(string(text))
		if err != nil {
			return err
		}
		if signing.Fits(e.Style) != nil {
			return webhook.Invalid("signatureStyle", "cannot be standard while the endpoint signs with a secret that does not begin with whsec_: rotate it first")
		}
	}
	return nil
}

// sealHeaders sets the headers of an endpoint, which may contain secrets.
func (s sealer) sealHeaders(e *webhook.Endpoint, headers webhook.Headers) error {
	if len(headers) == 0 {
		e.Headers = nil
		return nil
	}
	text, err := json.Marshal(headers)
	if err != nil {
		return err
	}
	e.Headers = s.seal(text)
	return nil
}

func (s sealer) openHeaders(e *webhook.Endpoint) (headers webhook.Headers, err error) {
	headers = make(webhook.Headers)
	if len(e.Headers) == 0 {
		return headers, nil
	}
	text, err := s.keyring.Open(e.Headers)
	if err != nil {
		return nil, err
	}
	return headers, json.Unmarshal(text, &headers)
}

// isCurrent reports whether all secrets of an endpoint are sealed with the first key of the
// keyring.
func (s sealer) isCurrent(e *webhook.Endpoint) bool {
	for i := range e.Keys {
		if !s.keyring.IsCurrent(e.Keys[i].Sealed) {
			return false
		}
	}
	return len(e.Headers) == 0 || s.keyring.IsCurrent(e.Headers)
}

// reseal seals a secret with the first key of the keyring.
func (s sealer) reseal(sealed webhook.Sealed) (webhook.Sealed, error) {
	plain, err := s.keyring.Open(sealed)
	if err != nil {
		return nil, err
	}
	return s.seal(plain), nil
}
