package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// mutator changes some of the responses of a source at random.
type mutator struct {
	source http.Handler
	mu     sync.Mutex
	random *rand.Rand
}

func (m *mutator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recorded := httptest.NewRecorder()
	m.source.ServeHTTP(recorded, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	text := recorded.Body.Bytes()
	if m.random.IntN(4) == 0 {
		text = m.mutate(text)
	}
	if m.random.IntN(40) == 0 {
		recorded.Code = []int{200, 201, 204, 301, 400, 404, 409, 418, 429, 500, 503}[m.random.IntN(11)]
	}
	if m.random.IntN(40) == 0 {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)+1)) // cuts the connection
	}
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(text)
}

// mutate changes bytes, or a value in JSON.
func (m *mutator) mutate(text []byte) []byte {
	var value any
	if m.random.IntN(3) == 0 || json.Unmarshal(text, &value) != nil {
		changed := bytes.Clone(text)
		for range 1 + m.random.IntN(3) {
			if len(changed) == 0 {
				break
			}
			at := m.random.IntN(len(changed))
			switch m.random.IntN(3) {
			case 0:
				changed[at] = byte(m.random.IntN(256))
			case 1:
				changed = changed[:at]
			default:
				changed = append(changed[:at:at], append([]byte(`"a":{},`), changed[at:]...)...)
			}
		}
		return changed
	}
	changed, err := json.Marshal(m.replace(value))
	if err != nil {
		panic(err) // JSON that was decoded can be encoded
	}
	return changed
}

// replace replaces a value somewhere in another one.
func (m *mutator) replace(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			if m.random.IntN(len(v)+1) == 0 {
				if m.random.IntN(5) == 0 {
					delete(v, name)
				} else {
					v[name] = m.replace(v[name])
				}
				return v
			}
		}
	case []any:
		if len(v) > 0 && m.random.IntN(4) > 0 {
			at := m.random.IntN(len(v))
			v[at] = m.replace(v[at])
			return v
		}
	}
	strange := []any{nil, true, -1, 1e300, 70000, "", "..", "a/b", "\x1b[2J\n", "x\u202e", "*", strings.Repeat("long", 3000), []any{}, []any{nil}, map[string]any{}, map[string]any{"": nil},
		"app_1srOrx2ZWZBpBUvZwXKQmoEYga2", "operational-webhooks", "https://user:password@h.example/", "whsec_", "true"}
	return strange[m.random.IntN(len(strange))]
}

// checkMutated imports from sources whose responses are changed: it never panics, and all that is
// at the node afterwards is in the report.
func checkMutated(t *testing.T, seed uint64) {
	for name, source := range map[string]func(http.Handler) Source{
		"svix": func(h http.Handler) Source {
			return start(t, h, func(url, token string) (Source, error) { return NewSvix(url, token, nil, func(string) {}) })
		},
		"convoy": func(h http.Handler) Source {
			return start(t, h, func(url, token string) (Source, error) { return NewConvoy(url, token, "p1", nil, func(string) {}) })
		},
		"outpost": func(h http.Handler) Source {
			return start(t, h, func(url, token string) (Source, error) { return NewOutpost(url, token, nil, func(string) {}) })
		},
	} {
		m := &mutator{random: rand.New(rand.NewPCG(seed, 0)), source: map[string]http.Handler{"svix": newFakeSvix(), "convoy": newFakeConvoy(), "outpost": newFakeOutpost()}[name]}
		s := source(m)
		var service *service
		switch s := s.(type) {
		case *svix:
			service = s.service
		case *convoy:
			service = s.service
		case *outpost:
			service = s.service
		}
		service.backoff, service.pages = time.Microsecond, 30
		n := newFakeNode()
		r := importInto(t, n, s, Options{Update: seed%2 == 0})
		copied := make(map[string]bool)
		for _, item := range r.items {
			switch {
			case item.Result != Copied:
			case item.Kind == KindEventType:
				copied["/event-type/"+item.SourceID] = true
			case item.Kind == KindApplication:
				copied["/app/"+item.UID] = true
			default:
				copied["/app/"+item.Application+"/endpoint/"+item.UID] = true
			}
		}
		for path := range n.objects {
			if !copied[path] && len(path) < 200 { // longer names are cut in the report
				t.Errorf("%s, seed %d: %s is at the node, but not in the report: %s", name, seed, path, r.text)
			}
		}
		for _, secret := range []string{sourceToken, convoySecret, "c2Vjc2Vj", "0123abcd0123abcd"} {
			if strings.Contains(r.text, secret) {
				t.Errorf("%s, seed %d: the report has %q: %s", name, seed, secret, r.text)
			}
		}
	}
}

func TestMutatedResponses(t *testing.T) {
	for seed := range uint64(25) {
		checkMutated(t, seed)
	}
}

func FuzzMutatedResponses(f *testing.F) {
	f.Add(uint64(1000))
	f.Fuzz(checkMutated)
}
