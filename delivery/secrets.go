package delivery

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"hookwheel/webhook"
)

// secrets caches the opened URLs, signing keys and own headers of endpoints. An endpoint in memory
// is never changed, only replaced, so a cached value is valid for the same pointer.
type secrets struct {
	keyring   *webhook.Keyring
	userAgent string

	mu     sync.Mutex
	opened map[webhook.ID]*opened
}

// maxOpened is how many endpoints' secrets are cached; beyond it the cache is cleared.
const maxOpened = 100_000

// notOpened is the text that customers see if secrets can't be opened.
const notOpened = "not sent: the sender could not open the endpoint's secrets; its operator must act"

// opened is what all requests to an endpoint have in common.
type opened struct {
	endpoint *webhook.Endpoint
	url      webhook.URL
	keys     []openKey
	head     []byte // the request line and the headers that all requests share
	settings uint32 // for traces
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
	o, _, err := s.open(endpoint)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.opened) >= maxOpened {
		clear(s.opened)
	}
	s.opened[endpoint.ID] = o
	return o, nil
}

// open also returns the endpoint's own headers.
func (s *secrets) open(endpoint *webhook.Endpoint) (*opened, webhook.Headers, error) {
	o := &opened{endpoint: endpoint, settings: endpoint.SettingsHash()}
	for _, key := range endpoint.Keys {
		text, err := s.keyring.Open(key.Sealed)
		if err != nil {
			return nil, nil, err
		}
		signing, err := webhook.ParseSigningKey(string(text))
		if err != nil {
			return nil, nil, fmt.Errorf("a signing key of the endpoint: %w", err)
		}
		o.keys = append(o.keys, openKey{signing, key.Expires})
	}
	var own webhook.Headers
	if len(endpoint.Headers) > 0 {
		text, err := s.keyring.Open(endpoint.Headers)
		if err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(text, &own); err != nil {
			return nil, nil, fmt.Errorf("the headers of the endpoint: %w", err)
		}
	}
	var err error
	if o.url, err = webhook.ParseURL(endpoint.URL); err == nil {
		err = own.Validate()
	}
	if err != nil { // both were checked when the endpoint was created
		return nil, nil, err
	}
	o.head = appendHead(nil, &o.url, s.userAgent, own)
	return o, own, nil
}

// appendSignatures appends a signature by each key that has not expired, separated by spaces.
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

// shared returns the symmetric keys that have not expired, the current one first.
func (o *opened) shared(now time.Time) (list []webhook.SigningKey) {
	for i := range o.keys {
		if key := &o.keys[i]; key.inForce(now) && !key.IsAsymmetric() {
			list = append(list, key.SigningKey)
		}
	}
	return list
}
