package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"hookwheel/cluster"
	"hookwheel/config/certs"
)

// decodeCluster also reads the node's id. With a cluster block the id has no default: otherwise
// three machines with copies of one file would all be n1.
func decodeCluster(file configBlock, config *Config) {
	b := file.block("cluster")
	if !b.present {
		readKey(file, "node", &config.Node, ParseID)
		config.Cluster = singleNode(config.Node)
		return
	}
	c := Cluster{Voter: true}
	readKey(b, "voter", &c.Voter, parseBool)
	tls := b.block("tls")
	readKey(b, "secret", &c.Secret, func(text string) (string, error) { return text, cluster.CheckSecret(text, tls.present) })
	decodeTLS(tls, &c.TLS)
	c.Peers = decodePeers(b)
	switch {
	case len(c.Peers) > 0:
		b.forbid("join", "can't be combined with peer blocks: those form a cluster, join enters an existing one; choose one of the two")
		decodeMember(file, b, config, &c)
	case b.has("join"):
		decodeNewcomer(file, b, config, &c)
	default:
		b.fail(b.at, "peer", "blocks are missing, one for each node, or join with the addresses of nodes of an existing cluster; "+
			"a single node needs no cluster block")
		return
	}
	readKey(b, "address", &c.Address, parsePeerAddress)
	c.Listen = c.Address
	readKey(b, "listen", &c.Listen, parseListenAddress)
	config.Cluster = c
	if !tls.present && !c.onLoopback() {
		b.fail(b.at, "tls", missingTLS(config))
	}
}

// decodeMember reads the settings of a node that is one of the peers.
func decodeMember(file, b configBlock, config *Config, c *Cluster) {
	file.require("node", "which of the peers is this node?")
	readKey(file, "node", &config.Node, idOfOne(c.Peers))
	c.Address = addressOf(config.Node, c.Peers)
	if len(c.Peers) == 1 && !c.Voter {
		b.fail(b.valueAt("voter"), "voter", "can't be false on the only node: no majority would be possible")
	}
}

// decodeNewcomer reads the settings of a node that enters a cluster.
func decodeNewcomer(file, b configBlock, config *Config, c *Cluster) {
	file.require("node", "the id of this node, which no other node of the cluster has")
	readKey(file, "node", &config.Node, ParseID)
	b.require("address", "with join, the host:port at which the other nodes reach this one")
	if readList(b, "join", &c.Join, parsePeerAddress) && len(c.Join) == 0 {
		b.fail(b.valueAt("join"), "join", `must name at least one node of the cluster, such as ["10.0.0.1:9071"]`)
	}
}

func decodePeers(b configBlock) []Peer {
	var peers []Peer
	ids, addresses := map[string]bool{}, map[string]bool{}
	for _, block := range b.peerBlocks() {
		peer := Peer{ID: block.label}
		if _, err := ParseID(peer.ID); err != nil {
			block.fail(block.labelAt, "", err.Error())
		}
		if ids[peer.ID] {
			block.fail(block.labelAt, "", "has the same id as another peer; each node needs its own")
		}
		block.require("address", "the host:port at which the other nodes reach this one")
		if readKey(block, "address", &peer.Address, parsePeerAddress) && addresses[peer.Address] {
			block.fail(block.valueAt("address"), "address", "is the same as another peer's; each node needs its own")
		}
		ids[peer.ID], addresses[peer.Address] = true, true
		peers = append(peers, peer)
	}
	return peers
}

func addressOf(id string, peers []Peer) string {
	for _, peer := range peers {
		if peer.ID == id {
			return peer.Address
		}
	}
	return ""
}

// onLoopback reports whether the traffic between nodes stays on this machine. A missing address,
// which is a different error, does not count.
func (c *Cluster) onLoopback() bool {
	addresses := append([]string{c.Address, c.Listen}, c.Join...)
	for _, peer := range c.Peers {
		addresses = append(addresses, peer.Address)
	}
	for _, address := range addresses {
		if address != "" && !isLoopback(address) {
			return false
		}
	}
	return true
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// missingTLS explains how to set up TLS.
func missingTLS(config *Config) string {
	var ids []string
	for _, peer := range config.Cluster.Peers {
		ids = append(ids, peer.ID)
	}
	if len(ids) == 0 {
		ids = []string{config.Node}
	}
	return fmt.Sprintf(`is missing: nodes that are not all on one machine must use TLS. Create certificates:
    hookwheel cert ca --out certs
    hookwheel cert node %s --ca certs --out certs
  then give each node its own and add this to the cluster block:
%s`, strings.Join(ids, " "), certs.TLSBlock("certs", config.Node, "    "))
}
