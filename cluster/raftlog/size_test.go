package raftlog

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/hashicorp/raft"
)

// The newest entries stay for followers; what one that is being sent the state will ask for stays,
// within bounds.
func TestHowMuchOfTheLogIsKept(t *testing.T) {
	const size = 1000
	tests := map[string]struct {
		entries int
		limit   int64
		needed  uint64
		last    uint64 // that Raft asks for to go
		first   uint64 // of those that are left
	}{
		"all is small":              {10, 100 * size, 0, 9, 1},
		"by bytes":                  {100, 100 * size, 0, 99, 51},
		"by entries":                {keptEntries + 100, 1 << 30, 0, keptEntries + 99, 101},
		"one too large stays":       {10, size / 2, 0, 9, 10},
		"what the store lacks":      {100, 100 * size, 0, 20, 21},
		"a follower needs it":       {100, 100 * size, 7, 99, 7},
		"a follower needs too much": {100, 20 * size, 7, 99, 91},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			log := openTestLog(t, t.TempDir())
			defer log.Close()
			log.limit = func() int64 { return test.limit }
			log.needed = func() uint64 { return test.needed }
			var list []*raft.Log
			for i := range test.entries {
				list = append(list, &raft.Log{Index: uint64(i) + 1, Data: make([]byte, size-sealSize)})
			}
			must(t, log.StoreLogs(list))
			must(t, log.DeleteRange(1, test.last))
			if first, err := log.FirstIndex(); err != nil || first != test.first {
				t.Errorf("the log begins at %d, %v; want %d", first, err, test.first)
			}
		})
	}
}

// The sizes are those of the entries in the file, whatever was written, replaced and cut.
func TestEntrySizes(t *testing.T) {
	dir := t.TempDir()
	log := openTestLog(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	next := uint64(1)
	for range 300 {
		switch random.IntN(4) {
		case 0:
			must(t, log.cut(1, max(next, 20)-random.Uint64N(20)))
		case 1: // another leader's entries replace some
			from := max(next, 6) - random.Uint64N(5)
			must(t, log.cut(from, next))
			next = from
			fallthrough
		default:
			var list []*raft.Log
			for range random.IntN(5) {
				list = append(list, &raft.Log{Index: next, Data: make([]byte, random.IntN(3000))})
				next++
			}
			must(t, log.StoreLogs(list))
		}
	}
	was := log.sizes.list
	must(t, log.Close())
	log = openTestLog(t, dir)
	defer log.Close()
	if len(was) != len(log.sizes.list) {
		t.Fatalf("%d sizes, but %d entries in the file", len(was), len(log.sizes.list))
	}
	for i, entry := range log.sizes.list {
		if was[i].index != entry.index {
			t.Errorf("entry %d is noted as %d", entry.index, was[i].index)
		}
	}
}

// A file that is mostly free gets smaller, and keeps the entries, the term and the vote: also after
// a crash at any step.
func TestCompactLog(t *testing.T) {
	const kept = 5
	fill := func(t *testing.T) (*Store, string) {
		dir := t.TempDir()
		log := openTestLog(t, dir)
		log.limit = func() int64 { return 1 << 20 }
		for i := range uint64(200) {
			must(t, log.StoreLog(&raft.Log{Index: i + 1, Term: 3, Data: make([]byte, 100<<10)}))
		}
		must(t, log.SetUint64([]byte("CurrentTerm"), 4))
		vote(t, log, 4, "n2")
		must(t, log.cut(1, 200-kept))
		return log, dir
	}
	check := func(t *testing.T, log *Store) {
		t.Helper()
		checkVote(t, log, 4, "n2")
		if term, err := log.GetUint64([]byte("CurrentTerm")); err != nil || term != 4 {
			t.Errorf("the term is %d, %v", term, err)
		}
		for i := range uint64(kept) {
			var entry raft.Log
			must(t, log.GetLog(200-i, &entry))
			if len(entry.Data) != 100<<10 || entry.Term != 3 {
				t.Errorf("entry %d has become %d bytes of term %d", 200-i, len(entry.Data), entry.Term)
			}
		}
		must(t, log.StoreLog(&raft.Log{Index: 201, Data: []byte("next")}))
	}
	t.Run("no crash", func(t *testing.T) {
		log, dir := fill(t)
		before := log.FileSize()
		must(t, log.CompactIfSparse())
		if size := log.FileSize(); size > 2<<20 || before < 10<<20 {
			t.Errorf("the file had %d bytes and has %d now", before, size)
		}
		check(t, log)
		must(t, log.Close())
		log = openTestLog(t, dir)
		check(t, log)
		must(t, log.Close())
	})
	crashes := map[string]func(path string) error{
		"copy begun": func(path string) error { return os.WriteFile(path+compactSuffix, make([]byte, 5000), 0o600) },
		"copied":     func(path string) error { return copyLog(path, path+compactSuffix) },
		"renamed": func(path string) error {
			if err := copyLog(path, path+compactSuffix); err != nil {
				return err
			}
			return os.Rename(path+compactSuffix, path)
		},
	}
	for name, crash := range crashes {
		t.Run("crash, "+name, func(t *testing.T) {
			log, dir := fill(t)
			must(t, log.Close())
			must(t, crash(log.path))
			log = openTestLog(t, dir)
			log.limit = func() int64 { return 1 << 20 }
			must(t, log.CompactIfSparse())
			if size := log.FileSize(); size > 2<<20 {
				t.Errorf("the file has %d bytes", size)
			}
			check(t, log)
			must(t, log.Close())
			if _, err := os.Stat(log.path + compactSuffix); !os.IsNotExist(err) {
				t.Errorf("what the crash left is there still: %v", err)
			}
		})
	}
}
