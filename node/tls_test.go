package node

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/config"
	"hookwheel/config/certs"
)

// An error of a certificate says which of the two uses it is about.
func TestOpenTLS(t *testing.T) {
	files := certs.Files{CA: "none/ca.pem", Cert: "none/n1.pem", Key: "none/n1-key.pem"}
	forCluster, forAPI := config.Default(), config.Default()
	forCluster.Cluster.TLS, forAPI.API.TLS = files, files
	for want, c := range map[string]config.Config{"TLS between nodes: ": forCluster, "TLS of the API: ": forAPI} {
		_, _, err := openTLS(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}
