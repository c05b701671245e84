package cluster

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Every connection between nodes begins with a handshake, inside TLS if there is any:
//
//	who accepts  "HKW", version 1, nonce 16
//	who dials    size 2 | hello as JSON | HMAC-SHA256 32 with the cluster's secret over "dial", nonce, hello
//	who accepts  size 2 | welcome as JSON | HMAC-SHA256 32 over "accept", the nonce in hello, welcome
//
// So nothing that is meant for one node reaches another, whatever the addresses lead to: neither a node of another cluster nor
// one that was wiped and is no longer the server that Raft knows.
const (
	greeting         = "HKW\x01"
	nonceSize        = 16
	maxHello         = 4 << 10
	handshakeTimeout = 3 * time.Second
)

// What a connection is for.
const (
	forRaft  = "raft"  // RPCs of Raft; both are of one cluster
	forCalls = "calls" // calls between nodes of one cluster
	forEntry = "entry" // the calls that a node may make that is of no cluster, or does not know whom it speaks to
)

// hello is what who dials says.
type hello struct {
	For     string `json:"for"`
	From    string `json:"from"`         // own server id
	To      string `json:"to,omitempty"` // the server id that is meant; empty with forEntry
	Cluster string `json:"cluster,omitempty"`
	Nonce   []byte `json:"nonce"`
}

// welcome is the answer.
type welcome struct {
	Server  string `json:"server"`
	Refused string `json:"refused,omitempty"` // why the connection ends here
}

// errRefused is the other node's answer to a handshake.
type errRefused struct{ reason string }

func (e errRefused) Error() string { return e.reason }

var errSecret = errors.New("the two nodes have different cluster secrets: give all nodes of a cluster the same `secret`")

func sum(secret, role string, nonce, text []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(role))
	mac.Write(nonce)
	mac.Write(text)
	return mac.Sum(nil)
}

// writeSigned writes a frame of the handshake.
func writeSigned(w io.Writer, secret, role string, nonce []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint16(nil, uint16(len(text)))
	frame = append(append(frame, text...), sum(secret, role, nonce, text)...)
	_, err = w.Write(frame)
	return err
}

// readSigned reads one. It fills v even if the secrets differ, so that the other side can be told.
func readSigned(r io.Reader, secret, role string, nonce []byte, v any) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(head[:]))
	if size > maxHello {
		return errors.New("this is no handshake of ours")
	}
	frame := make([]byte, size+sha256.Size)
	if _, err := io.ReadFull(r, frame); err != nil {
		return err
	}
	text := frame[:size]
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("reading a handshake: %w", err)
	}
	if !hmac.Equal(frame[size:], sum(secret, role, nonce, text)) {
		return errSecret
	}
	return nil
}

// greet is the side that dials. It returns the server id of the other.
func (n *Node) greet(conn net.Conn, purpose, to string, patience time.Duration) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(min(patience, handshakeTimeout))); err != nil {
		return "", err
	}
	var start [len(greeting) + nonceSize]byte
	if _, err := io.ReadFull(conn, start[:]); err != nil {
		return "", fmt.Errorf("waiting for the handshake: %w", err)
	}
	if string(start[:len(greeting)]) != greeting {
		return "", errors.New("what listens there is no Hookwheel node, or one of another version")
	}
	h := hello{For: purpose, From: n.identity.Server, To: to, Cluster: n.identity.cluster(), Nonce: newNonce()}
	if err := writeSigned(conn, n.config.Secret, "dial", start[len(greeting):], h); err != nil {
		return "", err
	}
	var w welcome
	err := readSigned(conn, n.config.Secret, "accept", h.Nonce, &w)
	switch {
	case err != nil && w.Refused == "":
		return "", fmt.Errorf("the handshake: %w", err)
	case w.Refused != "":
		return "", errRefused{w.Refused}
	}
	if err := certifiedFor(conn, nodeOf(w.Server)); err != nil {
		return "", err
	}
	return w.Server, conn.SetDeadline(time.Time{})
}

func newNonce() []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) // never fails
	return nonce
}

// welcome is the side that accepts. It returns what the connection is for.
func (n *Node) welcome(conn net.Conn) (h hello, err error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return h, err
	}
	nonce := newNonce()
	if _, err := conn.Write(append([]byte(greeting), nonce...)); err != nil {
		return h, err
	}
	if err = readSigned(conn, n.config.Secret, "dial", nonce, &h); err != nil && !errors.Is(err, errSecret) {
		return h, err
	}
	if err == nil {
		err = certifiedFor(conn, nodeOf(h.From))
	}
	if err == nil {
		err = n.receives(&h)
	}
	w := welcome{Server: n.identity.Server}
	if err != nil {
		w.Refused = fmt.Sprintf("%s refuses: %v", n.config.ID, err)
	}
	if err := writeSigned(conn, n.config.Secret, "accept", h.Nonce, w); err != nil {
		return h, err
	}
	return h, errors.Join(err, conn.SetDeadline(time.Time{}))
}

// receives says why a connection is not for this node, or nil.
func (n *Node) receives(h *hello) error {
	own := n.identity.cluster()
	switch {
	case h.For == forEntry:
		return nil
	case own == "":
		return fmt.Errorf("it is new and not in a cluster yet (the connection was for %s)", h.To)
	case h.Cluster != own:
		return fmt.Errorf("it is in cluster %s, but the data of %s is of cluster %s: one of the two has the wrong data folder "+
			"or the wrong peers", short(own), nodeOf(h.From), short(h.Cluster))
	case h.To != n.identity.Server:
		return fmt.Errorf("the connection was for %s, but this is %s", h.To, n.identity.Server)
	case h.For != forRaft && h.For != forCalls:
		return fmt.Errorf("it does not know connections for %q: it is of an older version", h.For)
	}
	return nil
}

// short is enough of a cluster id to tell two apart.
func short(cluster string) string {
	if cluster == "" {
		return "none"
	}
	return cluster[:min(8, len(cluster))]
}

// certifiedFor checks that the certificate of the other side is for the node that it says it is.
func certifiedFor(conn net.Conn, node string) error {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	list := secure.ConnectionState().PeerCertificates
	if len(list) == 0 {
		return errors.New("the other side has shown no certificate")
	}
	if err := list[0].VerifyHostname(node); err != nil {
		return fmt.Errorf("the certificate of node %s is for %s: each node needs one for its own name", node, strings.Join(list[0].DNSNames, ", "))
	}
	return nil
}

// A Raft address names the server that is meant and where it is: "n1.4f2a9c01@10.0.0.1:9071".
func raftAddress(server, address string) raft.ServerAddress {
	return raft.ServerAddress(server + "@" + address)
}

func splitRaftAddress(a raft.ServerAddress) (server, address string) {
	server, address, found := strings.Cut(string(a), "@")
	if !found {
		return "", string(a)
	}
	return server, address
}
