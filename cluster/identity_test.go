package cluster

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestIdentityHasSum: a bit that flips anywhere in node.json is told as damage.
func TestIdentityHasSum(t *testing.T) {
	dir := t.TempDir()
	card, err := openIdentity(dir, "n1")
	must(t, err)
	must(t, card.enter("0123456789abcdef", []string{"n1.1234", "n2.5678"}))
	path := dir + "/" + IdentityFile
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

func last(_, _ uint64, err error) error { return err }

// TestUnnamedFolder: a folder that can't be told whose it is starts no node, and is not called
// consistent. What a restore leaves that is cut short between two folders is such a one.
func TestUnnamedFolder(t *testing.T) {
	m := newMembers(t, 1)[0]
	m.start(t)
	readyLeader(t, []*member{m})
	must(t, second(m.Propose(limited(t), []byte("a"))))
	m.stop(t)
	dir, applied := m.config.Dir, m.machine.Applied()
	if _, err := CheckLog(dir, applied); err != nil {
		t.Error(err)
	}
	for _, remove := range []string{IdentityFile, "raft"} {
		must(t, os.RemoveAll(dir+"/"+remove))
		_, checked := CheckLog(dir, applied)
		must(t, last(LastEntry(dir)))
		n, started := Open(m.config)
		if started == nil {
			must(t, n.Close())
		}
		for _, err := range []error{checked, started} {
			if err == nil || !strings.Contains(err.Error(), IdentityFile+" is missing") {
				t.Errorf("without %s: %v", remove, err)
			}
		}
	}
}
