package raftlog

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

// BenchmarkStoreLogs stores entries of 1 KiB, and cuts the log as a node does.
func BenchmarkStoreLogs(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			log, err := Open(b.TempDir(), Options{Limit: func() int64 { return 64 << 20 }, Fatal: func(err error) { b.Error(err) }})
			must(b, err)
			defer log.Close()
			data, next, cut := make([]byte, 1024), uint64(1), uint64(1)
			b.SetBytes(int64(batch * len(data)))
			for b.Loop() {
				entries := make([]*raft.Log, batch)
				for i := range entries {
					entries[i] = &raft.Log{Index: next, Term: 1, Data: data}
					next++
				}
				must(b, log.StoreLogs(entries))
				if next > cut+20_000 {
					must(b, log.DeleteRange(cut, next-5_000))
					cut = next - 5_000
				}
			}
		})
	}
}
