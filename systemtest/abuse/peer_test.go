package abuse

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hookwheel/systemtest/process"
)

// What somebody without the secret of the cluster does on the port that the nodes have for each
// other.
var peerAbuses = []abuse{
	{"hellos without the secret", strangeHellos, nil},
	{"garbage between nodes", peerGarbage, nil},
	{"connections without a hello", silentPeers, nil},
	{"a node of one's own", strangeNode, nil},
}

// greet reads the greeting of a node and returns the connection.
func (w *world) greet(n *node) net.Conn {
	w.t.Helper()
	conn, err := net.DialTimeout("tcp", n.peers, 10*time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	greeting := make([]byte, 20)
	if _, err := io.ReadFull(conn, greeting); err != nil || string(greeting[:3]) != "HKW" {
		w.t.Fatalf("the greeting is %q, %v", greeting, err)
	}
	return conn
}

// Without a proof there is one byte that says so, and nothing that was made with the secret.
func strangeHellos(w *world) {
	names := []string{"", "n1", "n2", "n3", "n9", strings.Repeat("n", 3000)}
	for i := range long(60, 2000) {
		random := rand.New(rand.NewPCG(*seedFlag, uint64(i)))
		hello, err := json.Marshal(map[string]any{"for": []string{"raft", "calls", "entry", "x", ""}[random.IntN(5)], "from": names[random.IntN(len(names))],
			"to": names[random.IntN(len(names))], "nonce": make([]byte, random.IntN(40)), "cluster": names[random.IntN(2)]})
		if err != nil {
			w.t.Fatal(err)
		}
		message := append(binary.BigEndian.AppendUint16(nil, uint16(len(hello))), hello...)
		for range 32 {
			message = append(message, byte(random.Uint32()))
		}
		conn := w.greet(w.nodes[i%len(w.nodes)])
		_, _ = conn.Write(message)
		response, _ := io.ReadAll(conn) // the node closes, perhaps with a reset
		if len(response) > 1 || len(response) == 1 && response[0] == 0 {
			w.t.Errorf("%q was answered with %d bytes: %x", hello, len(response), response)
		}
		conn.Close()
	}
}

// Lengths that would take memory, calls and RPCs before any proof, and plain noise.
func peerGarbage(w *world) {
	each(8, long(100, 3000), func(i int) {
		random := rand.New(rand.NewPCG(*seedFlag, uint64(i)))
		conn := w.greet(w.nodes[i%len(w.nodes)])
		defer conn.Close()
		noise := make([]byte, 1+random.IntN(64<<10))
		// It never fails, and takes little of a processor.
		_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(noise)
		if i%2 == 0 {
			copy(noise, "\xff\xff")
		}
		for range 1 + random.IntN(64) {
			if _, err := conn.Write(noise); err != nil {
				return // closed
			}
		}
	})
}

func silentPeers(w *world) {
	each(32, long(300, 2000), func(i int) { w.dial(w.nodes[i%len(w.nodes)].peers) })
	time.Sleep(4 * time.Second) // longer than a handshake may take
}

// A node with another secret asks to be let in.
func strangeNode(w *world) {
	dir := w.t.TempDir()
	base := process.FreePorts(w.t, 1)
	text := fmt.Sprintf("node = \"n9\"\ndata = %q\napi {\n listen = %q\n token = %q\n drain = \"0s\"\n}\n", filepath.Join(dir, "data"), process.NodeAddress(base, 1), rootToken)
	text += fmt.Sprintf("cluster {\n secret = %q\n listen = %q\n address = %q\n join = [%q, %q]\n}\n", strings.Repeat("another-secret-", 3),
		process.PeerAddress(base, 1), process.PeerAddress(base, 1), w.nodes[0].peers, w.nodes[1].peers)
	config := filepath.Join(dir, "hookwheel.hcl")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p := process.Start(w.t, "serve", "--config", config)
	p.MayCrash = true
	time.Sleep(time.Duration(long(4, 20)) * time.Second) // in which it asks again and again
	p.Stop(w.t)
	var view struct{ Members []struct{ ID string } }
	if w.must("GET", "/cluster", "", &view); len(view.Members) != len(w.nodes) {
		w.t.Errorf("the members are %v", view.Members)
	}
}
