package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestScrubFindsDamage damages an entry on the disk that nobody reads any more.
func TestScrubFindsDamage(t *testing.T) {
	failed := make(chan error, 1)
	log, err := Open(t.TempDir(), Options{Fatal: func(err error) { failed <- err }})
	must(t, err)
	defer log.Close()
	for i := range uint64(50) {
		must(t, log.StoreLog(&raft.Log{Index: i + 1, Data: fmt.Appendf(nil, "the data of entry %d", i+1)}))
	}
	if !log.scrubOnce(t.Context(), time.Millisecond) {
		t.Fatal("a log that is well is not")
	}
	damageEntry(t, log, 47)
	if log.scrubOnce(t.Context(), time.Millisecond) {
		t.Fatal("the damage was not found")
	}
	if err := <-failed; !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), log.path) {
		t.Errorf("%v does not name the damaged file", err)
	}
}

// damageEntry changes a byte of the data of an entry.
func damageEntry(t *testing.T, log *Store, index uint64) {
	t.Helper()
	entry := new(raft.Log)
	must(t, log.BoltStore.GetLog(index, entry))
	log.swap.Lock()
	defer log.swap.Unlock()
	file, err := os.OpenFile(log.path, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	whole, err := os.ReadFile(log.path)
	must(t, err)
	at := bytes.LastIndex(whole, entry.Data)
	if at < 0 || len(entry.Data) == 0 {
		t.Fatalf("entry %d is not in the file", index)
	}
	for ; at >= 0; at = bytes.LastIndex(whole[:at], entry.Data) { // old pages included
		must(t, second(file.WriteAt([]byte{whole[at] ^ 1}, int64(at))))
	}
}
