// Package apitest has clients of the API for tests: a transport that checks every exchange against
// the OpenAPI document, the SDK of Svix, and a client of the tail.
package apitest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	validation "github.com/pb33f/libopenapi-validator/errors"

	"hookwheel/httpapi/reference"
)

// contract holds what tests say to nodes, and what these answer, to the OpenAPI document: each
// answer must be one that the document describes, without a field that it does not know; each
// request that is taken must be one that it allows.
type contract struct {
	requests  validator.Validator
	responses validator.Validator // refuses fields that the document does not know
	described []Operation

	mu   sync.Mutex
	used map[Operation]bool
}

// Operation is a method and a path with its parameters in braces.
type Operation struct{ Method, Path string }

// theContract is made once: it takes a while.
var theContract = sync.OnceValues(func() (*contract, error) {
	text, err := reference.Document()
	if err != nil {
		return nil, err
	}
	described, err := Operations()
	if err != nil {
		return nil, err
	}
	c := &contract{used: make(map[Operation]bool), described: slices.Collect(maps.Keys(described))}
	slices.SortFunc(c.described, func(a, b Operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	if c.requests, err = newValidator(text); err != nil {
		return nil, err
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	closeObjects(document)
	if text, err = json.Marshal(document); err != nil {
		return nil, err
	}
	c.responses, err = newValidator(text)
	return c, err
})

// closeObjects makes each schema refuse the properties that it does not list.
func closeObjects(value any) {
	switch value := value.(type) {
	case map[string]any:
		if _, lists := value["properties"].(map[string]any); lists && value["additionalProperties"] == nil {
			value["additionalProperties"] = false
		}
		for _, inner := range value {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range value {
			closeObjects(inner)
		}
	}
}

func newValidator(text []byte) (validator.Validator, error) {
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(document, config.WithFormatAssertions(), config.WithoutSecurityValidation())
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return v, nil
}

// find is the operation of a request; false: the document has none.
func (c *contract) find(method, path string) (Operation, bool) {
	best, found := Operation{}, false
	for _, op := range c.described {
		if op.Method == method && matches(op.Path, path) && (!found || strings.Count(op.Path, "{") < strings.Count(best.Path, "{")) {
			best, found = op, true
		}
	}
	return best, found
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, part := range want {
		if !strings.HasPrefix(part, "{") && part != got[i] {
			return false
		}
	}
	return true
}

// check says what is wrong with an exchange; the bodies may be read again.
func (c *contract) check(request *http.Request, sent []byte, response *http.Response, got []byte) error {
	asked := request.Clone(request.Context())
	asked.URL.RawPath = ""
	if len(asked.URL.Path) > 1 {
		asked.URL.Path = strings.TrimSuffix(asked.URL.Path, "/") // as nodes read it
	}
	switch response.StatusCode {
	case http.StatusRequestTimeout, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge, http.StatusHTTPVersionNotSupported:
		return checkError(response, got) // any request may get these
	}
	op, known := c.find(request.Method, asked.URL.Path)
	if !known {
		return unknownOperation(response, got)
	}
	c.mu.Lock()
	c.used[op] = true
	c.mu.Unlock()
	if asked.Header.Get("Content-Type") == "" {
		asked.Header.Set("Content-Type", "application/json") // nodes do not ask for it
	}
	restored := *response
	restored.Body = io.NopCloser(bytes.NewReader(got))
	if valid, faults := c.responses.ValidateHttpResponse(asked, &restored); !valid {
		return fmt.Errorf("the answer %d is not as the document says: %s\n%.2000s", response.StatusCode, explain(faults), got)
	}
	if response.StatusCode >= 300 || asked.Header.Get("Content-Type") == "application/x-ndjson" { // which the validator reads as JSON
		return nil
	}
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	if valid, faults := c.requests.ValidateHttpRequestSync(asked); !valid {
		return fmt.Errorf("the document does not allow a request that was answered with %d: %s\n%.2000s", response.StatusCode, explain(faults), sent)
	}
	return nil
}

// unknownOperation checks the answer to what the document does not know, which must be an error in
// the format of the API.
func unknownOperation(response *http.Response, got []byte) error {
	if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed && response.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("the document does not have this operation, and the answer was %s", response.Status)
	}
	return checkError(response, got)
}

// checkError asks for an error in the format of the API.
func checkError(response *http.Response, got []byte) error {
	var problem struct{ Code, Detail string }
	if err := json.Unmarshal(got, &problem); err != nil || problem.Code == "" || problem.Detail == "" {
		return fmt.Errorf("the answer %d is not an error in the format of the API: %s", response.StatusCode, got)
	}
	return nil
}

func explain(faults []*validation.ValidationError) string {
	var text strings.Builder
	for _, fault := range faults {
		fmt.Fprintf(&text, "\n  %s: %s", fault.Message, fault.Reason)
		for _, detail := range fault.SchemaValidationErrors {
			fmt.Fprintf(&text, "\n    %s: %s", detail.FieldPath, detail.Reason)
		}
	}
	return text.String()
}

// Transport makes requests of a test to nodes, and fails it where one of them breaks the contract.
type Transport struct {
	T    testing.TB
	Next http.RoundTripper
}

func WithContract(t testing.TB) http.RoundTripper {
	return Transport{T: t, Next: http.DefaultTransport}
}

func (c Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	held, err := theContract()
	if err != nil {
		return nil, err
	}
	var sent []byte
	if request.Body != nil {
		if sent, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(sent))
	}
	response, err := c.Next.RoundTrip(request)
	if err != nil || response.Header.Get("Content-Type") == "text/event-stream" { // which does not end
		return response, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if err := held.check(request, sent, response, got); err != nil {
		c.T.Errorf("%s %s: %v", request.Method, request.URL.Path, err)
	}
	response.Body = io.NopCloser(bytes.NewReader(got))
	return response, nil
}

// CloseIdleConnections lets go of connections that the test has kept.
func (c Transport) CloseIdleConnections() {
	if idle, has := c.Next.(interface{ CloseIdleConnections() }); has {
		idle.CloseIdleConnections()
	}
}

// Proxy is an address for clients in other languages: it passes on to a node what they say, and
// fails the test where that or the answer breaks the contract.
func Proxy(t testing.TB, node string) string {
	target, err := url.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: WithContract(t), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// notExercised are operations of the document that no test calls yet.
var notExercised = []Operation{}

// Report fails a run of all tests that has left out an operation of the document.
func Report(code int) int {
	c, err := theContract()
	if code != 0 || err != nil || flag.Lookup("test.run").Value.String() != "" || testing.Short() {
		return code
	}
	for _, op := range c.described {
		if used, excused := c.used[op], slices.Contains(notExercised, op); used == excused {
			fmt.Fprintf(os.Stderr, "%s %s: used by a test: %t, said to be unused: %t\n", op.Method, op.Path, used, excused)
			code = 1
		}
	}
	return code
}

// Operations returns what the document says of each operation.
func Operations() (map[Operation]json.RawMessage, error) {
	text, err := reference.Document()
	if err != nil {
		return nil, err
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	operations := make(map[Operation]json.RawMessage)
	for path, methods := range document.Paths {
		for method, described := range methods {
			if method != "parameters" {
				operations[Operation{strings.ToUpper(method), path}] = described
			}
		}
	}
	return operations, nil
}
