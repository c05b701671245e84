package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"hookwheel/cluster"
	"hookwheel/webhook"
)

// clusterOut is the cluster as this node sees it.
type clusterOut struct {
	Cluster string           `json:"cluster"` // its id; empty: the node has not joined one yet
	Node    string           `json:"node"`    // that responds
	Leader  string           `json:"leader"`  // empty: unknown to this node
	Waiting string           `json:"waiting,omitempty"`
	Members []cluster.Member `json:"members"`
}

func getCluster(r *request) (*response, error) {
	status := r.server.config.Node.Status()
	ctx, cancel := leaderContext()
	defer cancel()
	out := clusterOut{Cluster: status.Cluster, Node: status.ID, Leader: status.LeaderID, Waiting: status.Waiting,
		Members: r.server.config.Node.Members(ctx)}
	return ok(out), nil
}

// memberIn is a node that is to join.
type memberIn struct {
	Address string `json:"address"` // host:port, for the other nodes
	Voter   *bool  `json:"voter"`   // default: true
}

func addMember(r *request) (*response, error) {
	var in memberIn
	if err := json.Unmarshal(r.body(), &in); err != nil || in.Address == "" {
		return nil, webhook.Invalid("address", `must be the host:port at which the new node listens for the others, such as "10.0.0.4:9071"`)
	}
	note, err := r.writer().MemberChanged(r.context(), webhook.MemberAdded, in.Address)
	if err != nil {
		return nil, err
	}
	resp, err := changeCluster(func(ctx context.Context) error {
		return r.server.config.Node.Join(ctx, in.Address, in.Voter == nil || *in.Voter, note)
	})
	if err == nil {
		r.audit(auditMemberAdded, "address", in.Address)
	}
	return resp, err
}

func removeMember(r *request) (*response, error) {
	node := r.path("node")
	known := func(m cluster.Server) bool { return m.ID == node || m.Server == node }
	if !slices.ContainsFunc(r.server.config.Node.Status().Servers, known) {
		return nil, &webhook.Error{Code: webhook.CodeNotFound, Detail: "The cluster has no such node."}
	}
	note, err := r.writer().MemberChanged(r.context(), webhook.MemberRemoved, node)
	if err != nil {
		return nil, err
	}
	resp, err := changeCluster(func(ctx context.Context) error { return r.server.config.Node.Remove(ctx, node, note) })
	if err == nil {
		r.audit(auditMemberGone, "member", node)
	}
	return resp, err
}

func transferLeadership(r *request) (*response, error) {
	var in struct {
		To string `json:"to"` // a node; empty: the one with the longest log
	}
	if body := r.body(); len(body) > 0 {
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, webhook.Invalid("to", "must be the name of a node, or absent")
		}
	}
	return changeCluster(func(ctx context.Context) error { return r.server.config.Node.Transfer(ctx, in.To) })
}

// changeCluster asks the leader for a change of the cluster. A refusal is a conflict with the state
// of the cluster.
func changeCluster(change func(context.Context) error) (*response, error) {
	ctx, cancel := leaderContext()
	defer cancel()
	err := change(ctx)
	var refusal *cluster.Refusal
	if errors.As(err, &refusal) {
		return nil, &webhook.Error{Code: webhook.CodeConflict, Detail: refusal.Reason}
	}
	if err != nil {
		return nil, err
	}
	return noContent(), nil
}

// requestFingerprint makes all nodes hash their state as of the same entry. The hashes appear in
// getCluster some time later.
func requestFingerprint(r *request) (*response, error) {
	ctx, cancel := leaderContext()
	defer cancel()
	index, err := r.writer().Fingerprint(ctx)
	if err != nil {
		return nil, err
	}
	return accepted(struct {
		Index uint64 `json:"fingerprintIndex"`
	}{index}), nil
}
