package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/valyala/fasthttp"

	"hookwheel/cluster"
	"hookwheel/webhook"
)

// clusterOut is how the cluster looks from the node that is asked.
type clusterOut struct {
	Cluster string           `json:"cluster"` // its id; empty: the node is in none yet
	Node    string           `json:"node"`    // who answers
	Leader  string           `json:"leader"`  // empty: nobody, or not known to this node
	Waiting string           `json:"waiting,omitempty"`
	Members []cluster.Member `json:"members"`
}

func (s *Server) getCluster(*fasthttp.RequestCtx) (answer, error) {
	status := s.config.Node.Status()
	ctx, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	out := clusterOut{Cluster: status.Cluster, Node: status.ID, Leader: status.LeaderID, Waiting: status.Waiting,
		Members: s.config.Node.Members(ctx)}
	return answer{fasthttp.StatusOK, out}, nil
}

// memberIn is a node to be let in.
type memberIn struct {
	Address string `json:"address"` // host:port for the other nodes
	Voter   *bool  `json:"voter"`   // default: true
}

func (s *Server) addMember(ctx *fasthttp.RequestCtx) (answer, error) {
	var in memberIn
	if err := json.Unmarshal(ctx.PostBody(), &in); err != nil || in.Address == "" {
		return answer{}, webhook.Invalid("address", `must be the host:port at which the new node listens for the others, such as "10.0.0.4:9071"`)
	}
	a, err := s.change(func(ctx context.Context) error {
		return s.config.Node.Join(ctx, in.Address, in.Voter == nil || *in.Voter)
	})
	if err == nil {
		s.audit.note(ctx, auditMemberAdded, "address", in.Address)
	}
	return a, err
}

func (s *Server) removeMember(ctx *fasthttp.RequestCtx) (answer, error) {
	node := ctx.UserValue("node").(string)
	known := func(m cluster.Server) bool { return m.ID == node || m.Server == node }
	if !slices.ContainsFunc(s.config.Node.Status().Servers, known) {
		return answer{}, &webhook.Error{Code: webhook.CodeNotFound, Detail: "The cluster has no such node."}
	}
	a, err := s.change(func(ctx context.Context) error { return s.config.Node.Remove(ctx, node) })
	if err == nil {
		s.audit.note(ctx, auditMemberGone, "member", node)
	}
	return a, err
}

func (s *Server) transferLeadership(ctx *fasthttp.RequestCtx) (answer, error) {
	var in struct {
		To string `json:"to"` // a node; empty: the one that is furthest
	}
	if body := ctx.PostBody(); len(body) > 0 {
		if err := json.Unmarshal(body, &in); err != nil {
			return answer{}, webhook.Invalid("to", "must be the name of a node, or absent")
		}
	}
	return s.change(func(ctx context.Context) error { return s.config.Node.Transfer(ctx, in.To) })
}

// change asks the leader for a change of the cluster. What it refuses is a conflict with how the cluster is.
func (s *Server) change(make func(context.Context) error) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	err := make(ctx)
	var refusal *cluster.Refusal
	if errors.As(err, &refusal) {
		return answer{}, &webhook.Error{Code: webhook.CodeConflict, Detail: refusal.Reason}
	}
	return answer{status: fasthttp.StatusNoContent}, err
}

// askFingerprint has all nodes sum up their state as of one entry. Their sums come with getCluster, some time later.
func (s *Server) askFingerprint(*fasthttp.RequestCtx) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	index, err := s.config.Writer.Fingerprint(ctx)
	return answer{fasthttp.StatusAccepted, struct {
		Index uint64 `json:"fingerprintIndex"`
	}{index}}, err
}
