package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/delivery"
	"hookwheel/httpapi"
	"hookwheel/node/tracing"
)

// startTracing returns what records traces of attempts and of requests; nil if nothing does.
func (n *Node) startTracing(version string, metrics prometheus.Registerer) (delivery.Tracer, httpapi.Tracer) {
	c := &n.config.Tracing
	if c.Endpoint == "" {
		return nil, nil
	}
	t := tracing.New(tracing.Config{Endpoint: c.Endpoint, Headers: c.Headers, Sample: c.Sample, Node: n.config.Node, Version: version, Logger: n.log, Metrics: metrics})
	n.onClose("export of traces", t.Close)
	return t, t
}
