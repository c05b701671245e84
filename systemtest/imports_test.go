package systemtest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports enforces the order of the packages: each may import only those of ours that follow
// it here.
func TestImports(t *testing.T) {
	allowed := map[string][]string{
		"webhook":              nil,
		"durable":              nil,
		"tlslimit":             nil,
		"wal":                  {"durable", "wal/badgerfiles", "wal/blobfiles", "webhook"},
		"wal/badgerfiles":      {"durable"},
		"wal/blobfiles":        {"durable"},
		"cluster":              {"cluster/raftlog", "durable", "tlslimit"},
		"cluster/raftlog":      {"cluster/journal"},
		"cluster/journal":      {"durable"},
		"scheduler":            {"webhook"},
		"delivery":             {"scheduler", "tlslimit", "webhook"},
		"httpapi":              {"cluster", "httpapi/pages", "httpapi/reference", "tlslimit", "wal", "webhook"},
		"httpapi/pages":        nil,
		"httpapi/pages/build":  {"httpapi/pages/bundle"},
		"httpapi/pages/bundle": nil, // for the command that makes the pages, and a test
		"httpapi/reference":    nil,
		"bench":                {"webhook"},
		"faults":               {"webhook"},
		"config/certs":         {"durable"},
		"backup":               {"durable", "wal"},
		"config":               {"backup", "config/certs", "cluster", "scheduler", "webhook"},
		"node":                 {"backup", "config/certs", "cluster", "config", "delivery", "httpapi", "node/tracing", "scheduler", "wal", "webhook"},
		"node/tracing":         {"webhook"},
		"cli/migrate":          {"webhook"},
		"cli":                  {"backup", "bench", "config/certs", "cli/migrate", "cluster", "config", "durable", "node", "wal", "webhook"},
		"":                     {"cli"},
		"release":              {"cli"},
		"docs/reference":       {"cli", "config", "httpapi/reference", "node"}, // makes pages
		"release/image":        nil,
		// Only tests import these, or nothing does.
		"backup/s3test":          nil,
		"config/certs/certstest": nil,
		"delivery/receivertest":  {"systemtest/wait"},
		"httpapi/apitest":        {"httpapi/reference", "systemtest/wait"},
		"systemtest":             nil,
		"systemtest/collector":   nil,
		"systemtest/memdir":      nil,
		"systemtest/process":     nil,
		"systemtest/abuse":       nil,
		"systemtest/wait":        nil,
	}
	only := map[string][]string{ // who may import a library
		"github.com/dgraph-io/badger": {"wal", "wal/badgerfiles"},
		"github.com/hashicorp/raft":   {"cluster", "cluster/raftlog"},
		"go.etcd.io/bbolt":            {"cluster/raftlog"},
		"github.com/valyala/fasthttp": {"delivery", "httpapi", "bench"},
		"github.com/hashicorp/hcl":    {"config"},
		"github.com/evanw/esbuild":    {"httpapi/pages/bundle"},
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "hookwheel/...").Output() // its messages about downloads go elsewhere
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(strings.TrimPrefix(fields[0], "hookwheel"), "/")
		for _, imported := range fields[1:] {
			ours, isOurs := strings.CutPrefix(imported, "hookwheel/")
			if isOurs && !slices.Contains(allowed[name], ours) {
				t.Errorf("%s must not import %s", name, ours)
			}
			for library, users := range only {
				if strings.HasPrefix(imported, library) && !slices.Contains(users, name) {
					t.Errorf("%q must not import %s", name, imported)
				}
			}
		}
	}
}
