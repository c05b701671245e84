package httpapi

import "github.com/valyala/fasthttp"

// getHealth reports whether this node can serve, which takes a leader, and is not about to stop.
func getHealth(r *request) (*response, error) {
	status := r.server.config.Node.Status()
	space := r.server.config.Store.Space()
	free, _ := space.Free()
	health := struct {
		Status      string `json:"status"` // ok, full (no new messages), no leader, stopping
		Node        string `json:"node"`
		State       string `json:"state"`
		Leader      string `json:"leader"`
		Term        uint64 `json:"term"`
		CommitIndex uint64 `json:"commitIndex"`
		Applied     uint64 `json:"appliedIndex"`
		FreeBytes   int64  `json:"freeBytes"`
		StoreBytes  int64  `json:"storeBytes"`
		DataBytes   int64  `json:"dataBytes"`
		Full        string `json:"full,omitempty"` // why it accepts no new messages
	}{"ok", status.ID, status.State, status.LeaderID, status.Term, status.Commit, status.Applied, free,
		space.Size(), space.Used(), r.server.config.Store.Gate().Full()}
	switch {
	case r.server.stopping.Load():
		health.Status = "stopping"
		return &response{status: fasthttp.StatusServiceUnavailable, value: health}, nil
	case status.LeaderID == "":
		health.Status = "no leader"
		return &response{status: fasthttp.StatusServiceUnavailable, value: health}, nil
	case health.Full != "":
		health.Status = "full"
	}
	return ok(health), nil
}

// getPortalHealth responds with the status of getHealth alone, as customers see nothing else of the
// cluster.
func getPortalHealth(r *request) (*response, error) {
	health, err := getHealth(r)
	if err != nil {
		return nil, err
	}
	return &response{status: health.status}, nil
}

// ping reports that this process responds at all.
func ping(*request) (*response, error) { return noContent(), nil }
