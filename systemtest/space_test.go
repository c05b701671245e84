package systemtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hookwheel/systemtest/wait"
)

// TestSpaceIsGivenBack expunges most payloads of a cluster to which nothing else happens, and kills
// the leader meanwhile: each node gives the space back, and what is kept is as it was.
func TestSpaceIsGivenBack(t *testing.T) {
	t.Parallel()
	const (
		messages = 200
		size     = 500_000
		keep     = 8  // one of so many
		most     = 40 // MiB
	)
	c := startDevCluster(t)
	c.must(t, 1, "POST", "/app", `{"name": "Demo", "uid": "demo"}`, 201, nil)
	pad := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), size) }
	ids := make([]string, messages)
	for i := range ids {
		var made struct{ ID string }
		c.must(t, 1, "POST", "/app/demo/msg", fmt.Sprintf(`{"eventType": "a", "payload": {"pad": %q}}`, pad(i)), 202, &made)
		ids[i] = made.ID
	}
	for i, id := range ids {
		if i%keep != 0 {
			c.must(t, 1, "DELETE", "/app/demo/msg/"+id+"/content", "", 204, nil)
		}
	}
	c.kill(t, c.awaitHealth(t, 1, 2, 3))
	c.awaitHealth(t, 1, 2, 3)
	for node := 1; node <= clusterSize; node++ {
		wait.For(t, fmt.Sprintf("n%d gives space back", node), func() bool { return c.blobBytes(node) < most<<20 })
		for i := 0; i < messages; i += keep {
			var got struct{ Payload struct{ Pad string } }
			c.must(t, node, "GET", "/app/demo/msg/"+ids[i], "", 200, &got)
			if got.Payload.Pad != pad(i) {
				t.Errorf("n%d has another payload of message %d", node, i)
			}
		}
	}
}

// blobBytes returns how much the files of large values of a node take.
func (c *devCluster) blobBytes(node int) (total int64) {
	files, err := filepath.Glob(filepath.Join(c.data, "n"+strconv.Itoa(node), "store", "db-*", "blobs", "*"))
	if err != nil {
		panic(err) // the pattern is constant
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil { // it may be gone by now
			total += info.Size()
		}
	}
	return total
}
