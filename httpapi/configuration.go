package httpapi

import (
	"strings"

	"hookwheel/webhook"
)

// Changeable is the part of the configuration that can change while the server serves.
type Changeable struct {
	Token          string        // the bearer token of the root admin
	JWTSecret      string        // signs JWTs; empty: JWTs are refused
	PortalURL      string        // of the portal; empty: /portal of this server
	CORS           []string      // origins whose pages may use the API; "*": all
	FrameAncestors []string      // origins whose pages may show the portal in a frame
	RefreshURL     string        // page that gives customers a new link; may be empty
	Manual         int           // manual sends per minute by the portals of an application; 0: no limit
	KeyRequests    int           // requests per second of each API key; 0: no limit
	PortalRequests int           // and of each token of an application
	AccessLog      bool          // whether requests are logged
	Delivery       DeliveryFacts // shown to customers
	Configuration  []Setting     // shown to operators
}

// live is what is in effect, with what depends on it. It does not change; another one replaces it.
type live struct {
	Changeable
	cors   cors
	manual *manualSends
	rates  *rateLimits
}

// Change replaces what can change. Requests under way may still see what was there before.
func (s *Server) Change(c Changeable) {
	next := &live{Changeable: c, cors: newCORS(c.CORS)}
	before := s.live.Load()
	if before != nil && before.Manual == c.Manual {
		next.manual = before.manual // with what customers have used
	} else {
		next.manual = newManualSends(c.Manual)
	}
	if before != nil && before.KeyRequests == c.KeyRequests && before.PortalRequests == c.PortalRequests {
		next.rates = before.rates
	} else {
		next.rates = newRateLimits(&c, s.limited)
	}
	s.live.Store(next)
}

// Setting is a setting of a node's configuration, without secrets.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"` // empty: none
	Secret  bool   `json:"secret"`
	Default bool   `json:"default"`
	Source  string `json:"source"` // empty: it is set nowhere
}

type configurationOut struct {
	Node string    `json:"node"` // that responds
	Data []Setting `json:"data"`
}

func getConfiguration(r *request) (*response, error) {
	return ok(configurationOut{Node: r.server.config.NodeID, Data: r.server.live.Load().Configuration}), nil
}

// Reloaded names the settings that reading the configuration again has found changed.
type Reloaded struct {
	Changed []string `json:"changed"` // and in effect
	Restart []string `json:"restart"` // which only a restart puts into effect
}

type reloadedOut struct {
	Node string `json:"node"` // that responds
	Reloaded
}

// reloadConfiguration has this node read its configuration again.
func reloadConfiguration(r *request) (*response, error) {
	found, err := r.server.config.Reload()
	if err != nil {
		return nil, &webhook.Error{Code: webhook.CodeConflict, Detail: "The configuration of " + r.server.config.NodeID +
			" was not reloaded, and nothing has changed:\n" + err.Error()}
	}
	r.audit(auditReloaded, "changed", strings.Join(found.Changed, " "), "restart", strings.Join(found.Restart, " "))
	return ok(reloadedOut{Node: r.server.config.NodeID, Reloaded: found}), nil
}
