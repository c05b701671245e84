package cluster

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestScrubFindsDamage: an entry that nobody reads any more is damaged on the disk, and the node
// learns of it.
func TestScrubFindsDamage(t *testing.T) {
	nodes := startMembers(t, 1)
	n, _ := readyLeader(t, nodes)
	bodies := proposeMany(t, nodes, 4, 50)
	if !n.scrubOnce(time.Millisecond) {
		t.Fatal("a log that is well is not")
	}
	last, err := n.log.LastIndex()
	must(t, err)
	victim := last - uint64(len(bodies))/20
	damageEntry(t, n.log, victim)
	failed := make(chan error, 1)
	n.Node.config.Fatal = func(err error) { failed <- err }
	if n.scrubOnce(time.Millisecond) {
		t.Fatal("the damage was not found")
	}
	if err := <-failed; !errors.Is(err, errDamagedLog) || !strings.Contains(err.Error(), n.log.path) {
		t.Errorf("%v does not name the damaged file", err)
	}
}

// damageEntry changes a byte of the data of an entry.
func damageEntry(t *testing.T, log *logStore, index uint64) {
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

// TestIdentityHasSum: a bit that flips anywhere in node.json is told as damage.
func TestIdentityHasSum(t *testing.T) {
	dir := t.TempDir()
	card, err := openIdentity(dir, "n1")
	must(t, err)
	must(t, card.enter("0123456789abcdef", []string{"n1.1234", "n2.5678"}))
	path := dir + "/" + identityFile
	whole, err := os.ReadFile(path)
	must(t, err)
	before := card.identity
	for at := range whole {
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[at] ^= 1 << bit
			must(t, os.WriteFile(path, flipped, 0o600))
			card, err := openIdentity(dir, "n1")
			if err == nil && !reflect.DeepEqual(card.identity, before) {
				t.Fatalf("bit %d of byte %d: read as %+v", bit, at, card.identity)
			}
			if err != nil && !strings.Contains(err.Error(), path) && !strings.Contains(err.Error(), "newer version") {
				t.Errorf("bit %d of byte %d: %v does not name the file", bit, at, err)
			}
		}
	}
}
