package raftlog

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/journal"
)

// The newest entries stay for followers; what one that is being sent the state will ask for stays,
// within bounds.
func TestHowMuchOfTheLogIsKept(t *testing.T) {
	const size = 4096 // of a batch of one entry
	tests := map[string]struct {
		entries int
		limit   int64
		needed  uint64
		alone   bool
		last    uint64 // that Raft asks for to go
		first   uint64 // of those that are left
	}{
		"all is small":              {10, 100 * size, 0, false, 9, 1},
		"by bytes":                  {100, 100 * size, 0, false, 99, 51},
		"by entries":                {keptEntries + 100, 1 << 30, 0, false, keptEntries + 99, 101},
		"no follower":               {100, 200 * size, 0, true, 99, 37},
		"one too large stays":       {10, size / 2, 0, false, 9, 10},
		"what the store lacks":      {100, 100 * size, 0, false, 20, 21},
		"a follower needs it":       {100, 100 * size, 7, false, 99, 7},
		"a follower needs too much": {100, 20 * size, 7, false, 99, 91},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			log := openTestLog(t, t.TempDir())
			defer log.Close()
			log.limit = func() int64 { return test.limit }
			log.SetAlone(test.alone)
			log.needed = func() uint64 { return test.needed }
			var list []*raft.Log
			for i := range test.entries {
				list = append(list, &raft.Log{Index: uint64(i) + 1, Data: make([]byte, size-100)})
			}
			if test.entries <= 100 {
				for _, entry := range list {
					must(t, log.StoreLog(entry))
				}
			} else {
				must(t, log.StoreLogs(list))
			}
			must(t, log.DeleteRange(1, test.last))
			if first, err := log.FirstIndex(); err != nil || first != test.first {
				t.Errorf("the log begins at %d, %v; want %d", first, err, test.first)
			}
		})
	}
}

// Files that are no longer needed are given back, but for those that will be used again, and the
// rest of the log, the term and the vote stay.
func TestFilesAreGivenBack(t *testing.T) {
	const entries, kept, limit = 200, 5, 1 << 20
	check := func(t *testing.T, log *Store) {
		t.Helper()
		checkVote(t, log, 4, "n2")
		if term, err := log.votes.GetUint64(keyCurrentTerm); err != nil || term != 4 {
			t.Errorf("the term is %d, %v", term, err)
		}
		for i := range uint64(kept) {
			var entry raft.Log
			must(t, log.GetLog(entries-i, &entry))
			if len(entry.Data) != 100<<10 || entry.Term != 3 {
				t.Errorf("entry %d has become %d bytes of term %d", entries-i, len(entry.Data), entry.Term)
			}
		}
		if size := log.FileSize(); size > limit+3*minSegment {
			t.Errorf("the files have %d bytes", size)
		}
	}
	dir := t.TempDir()
	open := func() *Store {
		log, err := Open(dir, Options{Limit: func() int64 { return limit }, Fatal: func(err error) { t.Error(err) }})
		must(t, err)
		return log
	}
	log := open()
	for i := range uint64(entries) {
		must(t, log.StoreLog(&raft.Log{Index: i + 1, Term: 3, Data: make([]byte, 100<<10)}))
	}
	must(t, log.votes.SetUint64(keyCurrentTerm, 4))
	vote(t, log, 4, "n2")
	if size := log.FileSize(); size < entries*100<<10 {
		t.Errorf("the files have %d bytes", size)
	}
	must(t, log.DeleteRange(1, entries-kept))
	check(t, log)
	must(t, log.Close())
	log = open()
	check(t, log)
	must(t, log.StoreLog(&raft.Log{Index: entries + 1, Data: []byte("next")}))
	must(t, log.Close())
}

// A mark shows that the last entry was stored, so that damage to it is found.
func TestLastEntryDamaged(t *testing.T) {
	dir := t.TempDir()
	log := openTestLog(t, dir)
	must(t, log.StoreLog(&raft.Log{Index: 1, Data: []byte("the only entry")}))
	must(t, errors.Join(log.Settle(), log.Settle()))
	damageEntry(t, log, 1)
	must(t, log.votes.bolt.Close()) // the process is killed
	if _, err := Open(dir, Options{}); !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), segments(t, log.dir)[0]) {
		t.Errorf("got %v", err)
	}
}
