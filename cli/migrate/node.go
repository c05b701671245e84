package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hookwheel/webhook"
)

// API calls the API of a node. Errors that the node responds with are *webhook.Error.
type API interface {
	Call(ctx context.Context, method, path string, in, out any) error
}

// node is the Hookwheel node that receives the objects.
type node struct {
	api     API
	backoff time.Duration
	reached bool // it has responded
}

const nodeRetries = 5

// call calls the API, again if the error may pass: while the cluster elects a leader, or when the
// token has made too many requests.
func (n *node) call(ctx context.Context, method, path string, in, out any) error {
	for attempt := 0; ; attempt++ {
		err := n.api.Call(ctx, method, path, in, out)
		var response *webhook.Error
		known := errors.As(err, &response)
		n.reached = n.reached || err == nil || known
		passes := known && slices.Contains([]webhook.Code{webhook.CodeUnavailable, webhook.CodeInternal, webhook.CodeChanged, "rate_limited"}, response.Code)
		if err == nil || attempt == nodeRetries || !n.reached || known && !passes {
			return err
		}
		if err := sleep(ctx, n.backoff<<attempt); err != nil {
			return err
		}
	}
}

// find returns an object, or nil if there is none.
func (n *node) find(ctx context.Context, path string) (json.RawMessage, error) {
	var object json.RawMessage
	err := n.call(ctx, http.MethodGet, path, nil, &object)
	if webhook.ErrorCode(err) == webhook.CodeNotFound {
		return nil, nil
	}
	return object, err
}

// check refuses tokens with which an import would end in the middle.
func (n *node) check(ctx context.Context) error {
	var caller struct{ Role webhook.Role }
	if err := n.call(ctx, http.MethodGet, "/auth/whoami", nil, &caller); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if caller.Role != webhook.RoleAdmin {
		return fmt.Errorf("the token of the node has the role %q, and an import needs one with the role %q", caller.Role, webhook.RoleAdmin)
	}
	return nil
}

// endpointLimit returns how many endpoints an application may have unless it has a limit of its
// own; 0 is any number.
func (n *node) endpointLimit(ctx context.Context) (limit int, err error) {
	var configuration struct {
		Data []struct{ Name, Value string }
	}
	if err := n.call(ctx, http.MethodGet, "/cluster/configuration", nil, &configuration); err != nil {
		return 0, fmt.Errorf("node: %w", err)
	}
	for _, setting := range configuration.Data {
		if setting.Name == "limits.endpoints" {
			return strconv.Atoi(setting.Value)
		}
	}
	return 0, nil
}

// isRefusal reports whether an error is about one object, so that others may still be copied.
func isRefusal(err error) bool {
	return slices.Contains([]webhook.Code{webhook.CodeInvalid, webhook.CodeNotFound, webhook.CodeConflict, webhook.CodeTypeExists, webhook.CodeChanged,
		webhook.CodeLimit, webhook.CodeTooLarge, webhook.CodeBadRequest, webhook.CodeInvalidScheme}, webhook.ErrorCode(err))
}

func applicationPath(uid string) string { return "/app/" + url.PathEscape(uid) }

func endpointPath(app, uid string) string {
	return applicationPath(app) + "/endpoint/" + url.PathEscape(uid)
}

func eventTypePath(name string) string { return "/event-type/" + url.PathEscape(name) }

func idOf(object json.RawMessage) string {
	var out struct{ ID string }
	if json.Unmarshal(object, &out) != nil {
		return ""
	}
	return out.ID
}

// nodeHeaders are the headers of an endpoint at the node.
type nodeHeaders struct {
	Headers   webhook.Headers
	Sensitive []string // whose values are not shown
}

// has reports whether there is a header of this name, and its value if that is shown.
func (h *nodeHeaders) has(name string) (value string, shown, there bool) {
	for other, value := range h.Headers {
		if strings.EqualFold(other, name) {
			return value, true, true
		}
	}
	there = slices.ContainsFunc(h.Sensitive, func(other string) bool { return strings.EqualFold(other, name) })
	return "", false, there
}
