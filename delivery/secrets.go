package delivery

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"hookwheel/webhook"
)

// secrets are the URLs, signing keys and own headers of endpoints, opened. An endpoint is never
// changed, only replaced, so what was opened for one holds for as long as the endpoint is the same
// in memory.
type secrets struct {
	keyring   *webhook.Keyring
	userAgent string

	mu     sync.Mutex
	opened map[webhook.ID]*opened
}

// maxOpened is how many endpoints' secrets are cached; beyond it the cache is cleared.
const maxOpened = 100_000

// notOpened is all that customers read of secrets that can't be opened.
const notOpened = "not sent: the sender could not open the endpoint's secrets; its operator must act"

// opened is what the requests to an endpoint have in common.
type opened struct {
	endpoint *webhook.Endpoint
	url      webhook.URL
	keys     []openKey
	head     []byte // the request line and the headers that are the same in each request
}

type openKey struct {
	webhook.SigningKey
	expires time.Time
}

func (k *openKey) inForce(now time.Time) bool { return k.expires.IsZero() || !now.After(k.expires) }

func newSecrets(config *Config) *secrets {
	return &secrets{keyring: config.Keyring, userAgent: config.UserAgent, opened: make(map[webhook.ID]*opened)}
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
	var own webhook.Headers
	if len(endpoint.Headers) > 0 {
		text, err := s.keyring.Open(endpoint.Headers)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &own); err != nil {
			return nil, fmt.Errorf("the own headers of the endpoint: %w", err)
		}
	}
	var err error
	if o.url, err = webhook.ParseURL(endpoint.URL); err == nil {
		err = own.Validate()
	}
	if err != nil { // both were checked when the endpoint was made
		return nil, err
	}
	o.head = appendHead(nil, &o.url, s.userAgent, own)
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
		if !key.inForce(now) {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ' ')
		}
		dst = key.AppendSignature(dst, id, timestamp, body)
	}
	return dst
}

// shared are the symmetric keys in force, the current one first.
func (o *opened) shared(now time.Time) (list []webhook.SigningKey) {
	for i := range o.keys {
		if key := &o.keys[i]; key.inForce(now) && !key.Asymmetric() {
			list = append(list, key.SigningKey)
		}
	}
	return list
}
