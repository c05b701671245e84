package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"hookwheel/cluster/raftlog"
	"hookwheel/durable"
)

// IdentityFile is the file in the data folder that says which node of which cluster it is of.
const IdentityFile = "node.json"

// dataFormat is the version of the data folder as a whole. A program must not touch a folder with a
// newer version.
const dataFormat = 1

// identity identifies a node for the lifetime of its data folder. A machine that lost its folder
// returns under a new server id: to Raft it is a different server, so that it can't vote a second
// time in the same term, or be counted for entries that it no longer has.
type identity struct {
	Format  int    `json:"format"`
	Node    string `json:"node"`              // its name
	Server  string `json:"server"`            // its name and a random part: its id in Raft
	Cluster string `json:"cluster,omitempty"` // random, the same on all nodes; empty: not in a cluster yet
	// Members are the server ids of the cluster when this node entered it. The node trusts them
	// until its log has a configuration.
	Members []string `json:"members,omitempty"`

	Sum string `json:"sum"` // CRC-32C over the fields above, as hex
}

// sum returns the correct value of Sum.
func (id *identity) sum() string {
	text := fmt.Sprintf("%d\n%s\n%s\n%s\n%s", id.Format, id.Node, id.Server, id.Cluster, strings.Join(id.Members, ","))
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

// identityCard stores the identity of this node.
type identityCard struct {
	dir string

	mu sync.Mutex
	identity
}

// openIdentity reads the identity in the folder, or creates a new one if the folder is new.
func openIdentity(dir, node string) (*identityCard, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	id, err := readIdentity(dir)
	card := &identityCard{dir: dir, identity: id}
	if errors.Is(err, fs.ErrNotExist) {
		if err := refuseUnnamed(dir, 0); err != nil {
			return nil, err
		}
		card.identity = newIdentity(node)
		return card, card.write()
	}
	if err != nil {
		return nil, err
	}
	return card, card.check(node)
}

// refuseUnnamed returns an error if the folder dir has no identity although it is not new: it has a
// log, or a store that is at the entry applied.
func refuseUnnamed(dir string, applied uint64) error {
	path := filepath.Join(dir, IdentityFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err, holds := raftlog.Present(dir), "a log"
	if errors.Is(err, raftlog.ErrNone) {
		if applied == 0 {
			return nil
		}
		err, holds = nil, "the state of a node"
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%s is missing but %s holds %s: it can't be told which node's this is. Put the file back, "+
		"or move the whole folder away; started empty, the node gets its data from the others", path, dir, holds)
}

// readIdentity reads the identity in a folder. The error is fs.ErrNotExist if the folder has none
// yet.
func readIdentity(dir string) (id identity, err error) {
	path := filepath.Join(dir, IdentityFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return id, err
	}
	err = json.Unmarshal(text, &id)
	if err == nil && id.Format <= dataFormat && id.Sum != id.sum() {
		err = errors.New("its checksum does not match")
	}
	if err != nil {
		return id, fmt.Errorf("%s is damaged: %w. Put back a copy of it, or move the whole folder away; started empty, "+
			"the node gets its data from the others", path, err)
	}
	return id, nil
}

func newIdentity(node string) identity {
	return identity{Format: dataFormat, Node: node, Server: node + "." + randomHex(4)}
}

func randomHex(bytes int) string {
	random := make([]byte, bytes)
	rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

func (c *identityCard) check(node string) error {
	switch {
	case c.Format > dataFormat:
		return fmt.Errorf("the data folder %s has format %d, but this program knows formats up to %d: "+
			"it was written by a newer version; use that one", c.dir, c.Format, dataFormat)
	case c.Node != node:
		return fmt.Errorf("the data folder %s belongs to node %q, but the configuration is that of node %q: "+
			"correct one of the two; nothing was changed", c.dir, c.Node, node)
	case c.Format < 1 || nodeOf(c.Server) != node:
		return fmt.Errorf("%s is damaged: put back a copy of it, or move the whole folder away; started empty, "+
			"the node gets its data from the others", filepath.Join(c.dir, IdentityFile))
	}
	return nil
}

// checkLog refuses the folder of a member of a cluster if its log is missing or empty. The node may
// have voted in its term, and may be counted for entries that it no longer has, so it must not
// continue under the same id.
func (id *identity) checkLog(dir string) error {
	if id.Cluster == "" {
		return nil
	}
	err := raftlog.Present(dir)
	if errors.Is(err, raftlog.ErrNone) {
		return fmt.Errorf("this node is part of a cluster, but %v. %s", err, raftlog.AfterDamage) // not ErrNone
	}
	return err
}

// write replaces the file, durably.
func (c *identityCard) write() error {
	c.identity.Sum = c.identity.sum()
	text, err := json.MarshalIndent(&c.identity, "", "  ")
	if err != nil {
		return err
	}
	return durable.ReplaceFile(filepath.Join(c.dir, IdentityFile), append(text, '\n'))
}

// enter records the cluster of this node and the server ids of its members.
func (c *identityCard) enter(cluster string, members []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity.Cluster, c.identity.Members = cluster, members
	return c.write()
}

// firstMembers returns the members of the cluster when this node entered it.
func (c *identityCard) firstMembers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity.Members
}

// cluster returns the id of the cluster that this node is part of; empty: none yet.
func (c *identityCard) cluster() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity.Cluster
}

// nodeOf returns the name of the node with a server id.
func nodeOf(server string) string {
	if dot := strings.LastIndexByte(server, '.'); dot >= 0 {
		return server[:dot]
	}
	return server
}
