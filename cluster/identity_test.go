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
