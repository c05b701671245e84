package node

import (
	"strings"
	"testing"
)

func TestDescriptors(t *testing.T) {
	for _, c := range []struct{ limit, workers, files, want int }{
		{1024, 256, 0, 64},
		{20_000, 512, 0, 20_000 - 448 - 1024},
		{20_000, 512, 128, 20_000 - 448 - 1024},
		{20_000, 512, 2000, 20_000 - 2320 - 1024},
		{1 << 30, 256, 0, 1<<30 - 448 - 512},
	} {
		d := descriptors{c.limit, c.workers}
		if got := d.forClients(c.files); got != c.want || d.check(c.files) != nil {
			t.Errorf("of %d with %d files: %d, %v", c.limit, c.files, got, d.check(c.files))
		}
	}
	for files, need := range map[int]string{0: "needs 1536", 2000: "needs 3408"} {
		err := descriptors{700, 512}.check(files)
		if err == nil || !strings.Contains(err.Error(), "ulimit -n") || !strings.Contains(err.Error(), "LimitNOFILE") || !strings.Contains(err.Error(), need) {
			t.Errorf("of 700 with %d files: %v", files, err)
		}
	}
}
