package node

import (
	"strings"
	"testing"
)

func TestDescriptors(t *testing.T) {
	for _, c := range []struct{ limit, workers, tables, want int }{
		{1024, 512, 0, 64},
		{20_000, 512, 0, 20_000 - 448 - 512},
		{20_000, 512, 192, 20_000 - 448 - 512},
		{20_000, 512, 1000, 20_000 - 2064 - 512}, // a compaction may open as many as there are
		{1 << 30, 256, 0, 1<<30 - 448 - 256},
	} {
		d := descriptors{c.limit, c.workers}
		if got := d.forClients(c.tables); got != c.want || d.check(c.tables) != nil {
			t.Errorf("of %d with %d tables: %d, %v", c.limit, c.tables, got, d.check(c.tables))
		}
	}
	for tables, need := range map[int]string{0: "needs 1024", 1000: "needs 2640"} {
		err := descriptors{700, 512}.check(tables)
		if err == nil || !strings.Contains(err.Error(), "ulimit -n") || !strings.Contains(err.Error(), "LimitNOFILE") || !strings.Contains(err.Error(), need) {
			t.Errorf("of 700 with %d tables: %v", tables, err)
		}
	}
}
