package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const callTimeout = 10 * time.Second

// site is what a run needs on the node: an application, with an endpoint for each one of the sink.
type site struct {
	base  string // of the node that was asked, such as http://127.0.0.1:8071
	token string
	app   string
}

// newSite creates application and endpoints, and gives the sink their secrets; it ends early,
// without an error, when the context does. After an error, too, remove takes away what was made.
func newSite(ctx context.Context, base, token string, sink *Sink) (*site, error) {
	s := &site{base: strings.TrimRight(base, "/"), token: token}
	var made struct{ ID string }
	if err := s.call("POST", "/api/v1/app", map[string]string{"name": "bench"}, 201, &made); err != nil {
		return s, err
	}
	s.app = made.ID
	for i := 0; i < sink.Endpoints() && ctx.Err() == nil; i++ {
		if err := s.addEndpoint(sink, i); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *site) addEndpoint(sink *Sink, endpoint int) error {
	var made struct{ ID string }
	wish := map[string]string{"url": sink.URL(endpoint)}
	if err := s.call("POST", "/api/v1/app/"+s.app+"/endpoint", wish, 201, &made); err != nil {
		return err
	}
	var response struct{ Key string }
	if err := s.call("GET", "/api/v1/app/"+s.app+"/endpoint/"+made.ID+"/secret", nil, 200, &response); err != nil {
		return err
	}
	secret, err := webhook.ParseSecret(response.Key)
	if err != nil {
		return fmt.Errorf("secret of endpoint %s: %w", made.ID, err)
	}
	sink.SetSecret(endpoint, secret)
	return nil
}

// messages is where to post events on node, any one of the cluster.
func (s *site) messages(node string) string {
	return strings.TrimRight(node, "/") + "/api/v1/app/" + s.app + "/msg?with_content=false"
}

// batches is where to post batches of events.
func (s *site) batches(node string) string {
	return strings.TrimRight(node, "/") + "/api/v1/app/" + s.app + "/msg/batch"
}

// remove deletes the application, with its endpoints and messages.
func (s *site) remove() error {
	if s.app == "" {
		return nil
	}
	return s.call("DELETE", "/api/v1/app/"+s.app, nil, 204, nil)
}

// call sends in as JSON, if there is any, and reads the answer into out, if there is one. Any
// status but want is an error that quotes the answer.
func (s *site) call(method, path string, in any, want int, out any) error {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod(method)
	request.SetRequestURI(s.base + path)
	request.Header.Set("Authorization", "Bearer "+s.token)
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		request.Header.SetContentType("application/json")
		request.SetBody(body)
	}
	if err := fasthttp.DoTimeout(request, response, callTimeout); err != nil {
		return fmt.Errorf("%s %s: %w", method, s.base+path, err)
	}
	body := response.Body()
	if response.StatusCode() != want {
		return fmt.Errorf("%s %s: expected status %d, got %d %s", method, s.base+path, want,
			response.StatusCode(), body[:min(len(body), maxErrorText)])
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, s.base+path, err)
	}
	return nil
}
