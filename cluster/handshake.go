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
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Every connection between nodes begins with a handshake, inside TLS if it is configured:
//
//	acceptor  "HKW", version 1 | nonce 16
//	dialer    size 2 | hello as JSON | proof 32
//	acceptor  0 | size 2 | welcome as JSON | proof 32     or, to a dialer whose proof is wrong, the byte 1 alone
//
// A proof is an HMAC-SHA256, keyed with the cluster secret, over the role of its side and
// everything before it: the nonces of both sides, hello and, for the acceptor's proof, welcome;
// with TLS also the channel. So it can't be replayed, reflected or relayed into another TLS
// connection.
//
// The dialer proves itself first, and an acceptor sends nothing that depends on the secret before
// that, so an attacker that connects can't guess secrets offline. Without TLS, an attacker at an
// address that a node dials can: therefore secrets must have at least 32 characters without TLS.
//
// With TLS, the acceptor shows its certificate and signs before that, as the protocol wants it.
// Nothing of that depends on the secret, and strangers get it in turns (tlslimit).
//
// hello names the intended server, so a connection never reaches another one, whatever node is at
// the address: neither a node of another cluster nor one that lost its data and is no longer the
// server that Raft knows.
const (
	greeting         = "HKW\x01"
	nonceSize        = 16
	maxHello         = 4 << 10
	handshakeTimeout = 3 * time.Second

	responseProven = 0
	responseSecret = 1
)

// What a connection is for.
const (
	forRaft  = "raft"  // RPCs of Raft; members only
	forCalls = "calls" // calls between members
	forEntry = "entry" // a single call, of a kind that is allowed to a node that is not a member, or does not know the other server
)

// hello is the dialer's first message.
type hello struct {
	For     string `json:"for"`
	From    string `json:"from"`         // own server id
	To      string `json:"to,omitempty"` // the intended server id; empty with forEntry
	Cluster string `json:"cluster,omitempty"`
	Nonce   []byte `json:"nonce"`
}

// welcome is the response to a dialer that has proven itself.
type welcome struct {
	Server  string `json:"server"`
	Reason  string `json:"reason,omitempty"` // why the connection ends here: one of the reasons below
	Refused string `json:"refused,omitempty"`
}

// Why a connection is refused. These are label values of a metric.
const (
	reasonTLS         = "tls"
	reasonProtocol    = "protocol" // the other side does not speak it
	reasonSecret      = "secret"
	reasonCertificate = "certificate" // the certificate is for another node
	reasonCluster     = "cluster"     // the other side is in another cluster, or this node is not in one
	reasonNew         = "new"         // this node was admitted just now, and does not know it yet
	reasonServer      = "server"      // the connection is for another server
	reasonMember      = "not_member"
	reasonTimeout     = "timeout"
	reasonCrowded     = "crowded" // too many connections
)

var refusalReasons = []string{reasonTLS, reasonProtocol, reasonSecret, reasonCertificate, reasonCluster, reasonNew, reasonServer, reasonMember,
	reasonTimeout, reasonCrowded}

// admittedText is the refusal of a node that was just admitted: the leader may connect to it before
// it knows. That is no problem, and Raft tries again.
const admittedText = "it was just admitted to the cluster, and does not know it yet"

// errRefused is why a handshake fails, on either side.
type errRefused struct {
	reason string
	text   string
}

func (e *errRefused) Error() string { return e.text }

func refused(reason, format string, args ...any) error {
	return &errRefused{reason, fmt.Sprintf(format, args...)}
}

// refusedFor reports whether err is a refusal for that reason.
func refusedFor(err error, reason string) bool {
	var r *errRefused
	return errors.As(err, &r) && r.reason == reason
}

var errSecret = &errRefused{reasonSecret, "the two nodes have different cluster secrets: give both the same `secret` in the cluster block, " +
	"or copy the file " + SecretFile + " from the data folder of the one into that of the other, and restart that one"}

// secured is a connection with TLS, of either side.
type secured interface{ ConnectionState() tls.ConnectionState }

// handshake is one side's state of a handshake. The transcript is everything both sides have sent.
type handshake struct {
	conn       net.Conn
	secret     string
	transcript []byte
	frame      [2 + maxHello + sha256.Size]byte // for reading, so that a stranger can't cause allocations
}

func newHandshake(conn net.Conn, secret string) (*handshake, error) {
	h := &handshake{conn: conn, secret: secret}
	if secure, ok := conn.(secured); ok {
		state := secure.ConnectionState()
		channel, err := state.ExportKeyingMaterial("EXPORTER-hookwheel-cluster", nil, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		h.add(channel)
	} else {
		h.add(nil)
	}
	return h, nil
}

func (h *handshake) add(part []byte) {
	h.transcript = binary.BigEndian.AppendUint32(h.transcript, uint32(len(part)))
	h.transcript = append(h.transcript, part...)
}

// proof returns the proof of a role over the transcript.
func (h *handshake) proof(role string) []byte {
	mac := hmac.New(sha256.New, []byte(h.secret))
	mac.Write([]byte("hookwheel " + role + "\x00"))
	mac.Write(h.transcript)
	return mac.Sum(nil)
}

// write sends the bytes of prefix, then this side's message and its proof.
func (h *handshake) write(role string, prefix []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h.add(text)
	frame := append(binary.BigEndian.AppendUint16(prefix, uint16(len(text))), text...)
	_, err = h.conn.Write(append(frame, h.proof(role)...))
	return err
}

// read receives the other side's message. It verifies the proof before it decodes the message.
func (h *handshake) read(role string, v any) error {
	head := h.frame[:2]
	if _, err := io.ReadFull(h.conn, head); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(head))
	if size > maxHello {
		return refused(reasonProtocol, "what it sends is not the handshake of a Hookwheel node")
	}
	frame := h.frame[2 : 2+size+sha256.Size]
	if _, err := io.ReadFull(h.conn, frame); err != nil {
		return err
	}
	h.add(frame[:size])
	if !hmac.Equal(frame[size:], h.proof(role)) {
		return errSecret
	}
	if err := json.Unmarshal(frame[:size], v); err != nil {
		return refused(reasonProtocol, "reading a handshake: %v", err)
	}
	return nil
}

const (
	roleDial   = "dial"
	roleAccept = "accept"
)

// greet is the dialer's side. It returns the server id of the acceptor.
func (d *dialer) greet(conn net.Conn, purpose, to string, patience time.Duration) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(min(patience, handshakeTimeout))); err != nil {
		return "", err
	}
	if to != "" { // before anything that depends on the secret is sent
		if err := certifiedFor(conn, nodeOf(to)); err != nil {
			return "", err
		}
	}
	h, err := newHandshake(conn, d.node.secret)
	if err != nil {
		return "", err
	}
	start := h.frame[:len(greeting)+nonceSize]
	if _, err := io.ReadFull(conn, start); err != nil {
		return "", fmt.Errorf("waiting for the handshake: %w", err)
	}
	if string(start[:len(greeting)]) != greeting {
		return "", refused(reasonProtocol, "what listens there is not a Hookwheel node, or one of another version")
	}
	h.add(start)
	own := hello{For: purpose, From: d.node.identity.Server, To: to, Cluster: d.node.identity.cluster(), Nonce: newNonce()}
	if err := h.write(roleDial, nil, own); err != nil {
		return "", err
	}
	response := h.frame[:1]
	if _, err := io.ReadFull(conn, response); err != nil {
		return "", fmt.Errorf("the handshake: %w", err)
	}
	switch response[0] {
	case responseProven:
	case responseSecret:
		return "", errSecret
	default:
		return "", refused(reasonProtocol, "what listens there is not a Hookwheel node, or one of another version")
	}
	var w welcome
	if err := h.read(roleAccept, &w); err != nil {
		return "", fmt.Errorf("the handshake: %w", err)
	}
	if w.Refused != "" {
		return "", &errRefused{w.Reason, w.Refused}
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

// welcome is the acceptor's side. It returns the dialer's hello.
func (l *listener) welcome(conn net.Conn) (said hello, err error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return said, err
	}
	h, err := newHandshake(conn, l.node.secret)
	if err != nil {
		return said, err
	}
	start := append([]byte(greeting), newNonce()...)
	if _, err := conn.Write(start); err != nil {
		return said, err
	}
	h.add(start)
	if err := h.read(roleDial, &said); err != nil {
		if err == errSecret {
			_, sendErr := conn.Write([]byte{responseSecret})
			return hello{}, errors.Join(err, sendErr)
		}
		return hello{}, err
	}
	w := welcome{Server: l.node.identity.Server}
	refusal := l.receives(conn, &said)
	if refusal != nil {
		w.Reason, w.Refused = refusal.reason, fmt.Sprintf("%s refuses: %.2000s", l.node.config.ID, refusal.text)
	}
	if err := h.write(roleAccept, []byte{responseProven}, w); err != nil {
		return said, err
	}
	if refusal != nil {
		return said, refusal
	}
	return said, conn.SetDeadline(time.Time{})
}

// receives returns why a connection is refused although the dialer knows the secret, or nil.
func (l *listener) receives(conn net.Conn, h *hello) *errRefused {
	own := l.node.identity.cluster()
	no := func(reason, format string, args ...any) *errRefused {
		return &errRefused{reason, fmt.Sprintf(format, args...)}
	}
	var uncertified *errRefused
	switch err := certifiedFor(conn, nodeOf(h.From)); {
	case errors.As(err, &uncertified):
		return uncertified
	case h.For == forEntry:
		return nil
	case own == "" && h.To == l.node.identity.Server:
		return no(reasonNew, admittedText)
	case own == "":
		return no(reasonCluster, "it is new and not in a cluster yet (the connection was for %s)", h.To)
	case h.Cluster != own:
		return no(reasonCluster, "it is in cluster %s, but the data of %s is of cluster %s: one of the two has the wrong data folder "+
			"or the wrong peers", short(own), nodeOf(h.From), short(h.Cluster))
	case h.To != l.node.identity.Server:
		return no(reasonServer, "the connection was for %s, but this is %s", h.To, l.node.identity.Server)
	case h.For != forRaft && h.For != forCalls:
		return no(reasonProtocol, "it does not know connections for %q: it is of an older version", h.For)
	case !l.node.members.has(h.From):
		return no(reasonMember, "%s (%s) is not a member of the cluster", nodeOf(h.From), h.From)
	}
	return nil
}

// short returns enough of a cluster id to tell two clusters apart.
func short(cluster string) string {
	if cluster == "" {
		return "none"
	}
	return cluster[:min(8, len(cluster))]
}

// certifiedFor checks that the certificate of the other side is for that node. The certificate must
// contain the exact name: wildcards are for hosts, not for nodes.
func certifiedFor(conn net.Conn, node string) error {
	secure, ok := conn.(secured)
	if !ok {
		return nil
	}
	list := secure.ConnectionState().PeerCertificates
	if len(list) == 0 {
		return refused(reasonCertificate, "the other side has shown no certificate")
	}
	if !slices.Contains(list[0].DNSNames, node) {
		return refused(reasonCertificate, "the certificate of node %s is for %s: each node needs one for its own name", node,
			strings.Join(list[0].DNSNames, ", "))
	}
	return nil
}

// raftAddress returns a Raft address, which names the intended server and where it is:
// "n1.4f2a9c01@10.0.0.1:9071".
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

// isPortProbe reports whether a handshake ended because the other side only probed the port.
func isPortProbe(err error) bool {
	return errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}
