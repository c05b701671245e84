package delivery

import (
	"fmt"
	"sync"
	"time"

	"hookwheel/webhook"
)

// secrets are the signing keys of endpoints, opened. An endpoint is never changed, only replaced, so what was opened for one holds
// for as long as the endpoint is the same in memory.
type secrets struct {
	keyring *webhook.Keyring

	mu     sync.Mutex
	opened map[webhook.ID]*opened
}

// maxOpened bounds how many endpoints' secrets stand in memory; beyond that all are forgotten.
const maxOpened = 100_000

// opened is what an endpoint signs with.
type opened struct {
	endpoint *webhook.Endpoint
	keys     []openKey
}

type openKey struct {
	webhook.SigningKey
	expires time.Time
}

func newSecrets(keyring *webhook.Keyring) *secrets {
	return &secrets{keyring: keyring, opened: make(map[webhook.ID]*opened)}
}

func (s *secrets) of(endpoint *webhook.Endpoint) (*opened, error) {
	s.mu.Lock()
	o := s.opened[endpoint.ID]
	s.mu.Unlock()
	if o != nil && o.endpoint == endpoint {
		return o, nil
	}
	o = &opened{endpoint: endpoint}
	for _, key := range endpoint.Keys {
		text, err := s.keyring.Open(key.Sealed)
		if err != nil {
			return nil, err
		}
		signing, err := webhook.ParseSigningKey(string(text))
		if err != nil {
			return nil, fmt.Errorf("a signing key of the endpoint: %w", err)
		}
		o.keys = append(o.keys, openKey{signing, key.Expires})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.opened) >= maxOpened {
		clear(s.opened)
	}
	s.opened[endpoint.ID] = o
	return o, nil
}

// appendSignatures appends one signature for each key that is in force, with spaces between.
func (o *opened) appendSignatures(dst []byte, now time.Time, id string, timestamp int64, body []byte) []byte {
	for i := range o.keys {
		key := &o.keys[i]
		if !key.expires.IsZero() && now.After(key.expires) {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ' ')
		}
		dst = key.AppendSignature(dst, id, timestamp, body)
	}
	return dst
}
