package node

import (
	"crypto/tls"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/config"
	"hookwheel/config/certs"
)

// openTLS reads the certificates that the configuration names. What it names none for is nil, and
// speaks plain TCP.
func openTLS(config config.Config, log *slog.Logger, metrics prometheus.Registerer) (forCluster func() (*tls.Config, error), forAPI *tls.Config, err error) {
	if config.Cluster.TLS != (certs.Files{}) {
		c, err := certs.Open(config.Cluster.TLS, config.Node, log.With("use", "cluster"))
		if err != nil {
			return nil, nil, fmt.Errorf("TLS between nodes: %w", err)
		}
		metrics.MustRegister(c.Gauge("cluster"))
		forCluster = c.Cluster
	}
	if config.API.TLS != (certs.Files{}) {
		c, err := certs.Open(config.API.TLS, "", log.With("use", "api"))
		if err != nil {
			return nil, nil, fmt.Errorf("TLS of the API: %w", err)
		}
		metrics.MustRegister(c.Gauge("api"))
		forAPI = c.API()
	}
	return forCluster, forAPI, nil
}
