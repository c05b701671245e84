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
	propagate receivers

	mu     sync.Mutex
	room   int // bytes that more of them may take
	opened map[webhook.ID]*opened
}

const (
	maxOpened   = 64 << 20 // bytes of cached secrets; beyond it, some others are dropped
	openedBytes = 512      // of a cached endpoint without its head and keys, about
	keyBytes    = 1024     // of a cached key, with the states of its hashes, about
)

// notOpened is the text that customers see if secrets can't be opened.
const notOpened = "not sent: the sender could not open the endpoint's secrets; its operator must act"

// opened is what all requests to an endpoint have in common.
type opened struct {
	endpoint *webhook.Endpoint
	peer     peer // the receiver
	keys     []openKey
	head     []byte // the request line and the headers that all requests share
	settings uint32 // for traces
	// propagates reports whether requests carry a trace context. The endpoint's own headers may
	// have one already.
	propagates bool
}

// size returns about how many bytes o takes.
func (o *opened) size() int { return openedBytes + len(o.head) + len(o.keys)*keyBytes }

type openKey struct {
	webhook.SigningKey
	expires time.Time
}

func (k *openKey) inForce(now time.Time) bool { return k.expires.IsZero() || !now.After(k.expires) }

func newSecrets(config *Config) *secrets {
	return &secrets{keyring: config.Keyring, userAgent: config.UserAgent, propagate: config.Propagate, room: maxOpened, opened: make(map[webhook.ID]*opened)}
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
	s.keep(o)
	return o, nil
}

// keep caches o in place of any other ones that there is no room for: a map is walked from a
// random place.
func (s *secrets) keep(o *opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(o.endpoint.ID)
	for id := range s.opened {
		if s.room >= o.size() {
			break
		}
		s.drop(id)
	}
	if s.room >= o.size() {
		s.opened[o.endpoint.ID] = o
		s.room -= o.size()
	}
}

// forget removes an endpoint from the cache, because it was changed or deleted.
func (s *secrets) forget(endpoint webhook.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(endpoint)
}

// forgetAll empties the cache.
func (s *secrets) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.opened {
		s.drop(id)
	}
}

func (s *secrets) drop(endpoint webhook.ID) {
	if o := s.opened[endpoint]; o != nil {
		s.room += o.size()
		delete(s.opened, endpoint)
	}
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
	u, err := webhook.ParseURL(endpoint.URL)
	if err == nil {
		err = own.Validate()
	}
	if err != nil { // both were checked when the endpoint was created
		return nil, nil, err
	}
	o.peer = peer{address: u.Address(), secure: u.Secure, insecure: u.Secure && endpoint.InsecureTLS}
	o.head = appendHead(nil, &u, s.userAgent, own)
	o.propagates = s.propagate.include(u.Host) && !own.Has("traceparent") && !own.Has("tracestate")
	return o, own, nil
}

// appendSignatures appends a signature by each key that has not expired, separated by spaces.
func (o *opened) appendSignatures(dst []byte, now time.Time, id string, timestamp int64, body []byte) []byte {
	start := len(dst)
	for i := range o.keys {
		key := &o.keys[i]
		if !key.inForce(now) {
			continue
		}
		if len(dst) > start {
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
