package systemtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/node"
	"hookwheel/systemtest/memdir"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// purgeVariable has the purgingNode that a process runs, as JSON.
const purgeVariable = "TEST_PURGE"

// purgingNode is a node that often purges what was removed.
type purgingNode struct {
	ID, Data, API, Address string
	Peers                  []config.Peer
	Purge                  time.Duration
}

func runPurging(settings string) int {
	var p purgingNode
	if err := json.Unmarshal([]byte(settings), &p); err != nil {
		panic(err)
	}
	c := config.Default()
	c.Node, c.Data, c.Purge, c.LogLevel = p.ID, p.Data, p.Purge, slog.LevelWarn
	c.API.Listen, c.API.Token = p.API, systemToken
	c.API.Drain = 0
	c.Cluster.Peers, c.Cluster.Address = p.Peers, p.Address
	if len(p.Peers) > 1 {
		c.Cluster.Listen, c.Cluster.Secret = p.Address, systemToken
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if err := node.Run(ctx, c, "test", nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// start starts the node in a process of its own.
func (p *purgingNode) start(t *testing.T) *process.Process {
	t.Helper()
	settings, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	command := process.Command(process.Context(t))
	command.Env = append(command.Env, purgeVariable+"="+string(settings))
	started := process.StartCommand(t, command)
	return started
}

var purgedMarks = []string{"MARK-META", "MARK-ENDPOINT", "MARK-HEADER", "MARK-SMALL", "MARK-LARGE", "MARK-EXPUNGED", "MARK-EXLARGE"}

// formsOf returns a mark as it is, and as it may be in Base64: headers are stored in that.
func formsOf(mark string) []string {
	forms := []string{mark}
	for shift, skipped := range []int{0, 4, 4} {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + mark))
		forms = append(forms, text[skipped:len(text)-4])
	}
	return forms
}

// marksIn returns which of the marks are in the files of a folder, and where.
func marksIn(dir string) (found []string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // it was removed meanwhile
		}
		data, _ := os.ReadFile(path)
		for _, mark := range purgedMarks {
			if slices.ContainsFunc(formsOf(mark), func(form string) bool { return bytes.Contains(data, []byte(form)) }) {
				found = append(found, mark+" in "+strings.TrimPrefix(path, dir))
			}
		}
		return nil
	})
	return found
}

// TestPurge: nothing of what was deleted and expunged stays in the files of any node of a cluster
// on which nothing else happens, also if nodes are killed meanwhile.
func TestPurge(t *testing.T) {
	for _, test := range []struct{ nodes, kills int }{{1, 0}, {3, 0}, {1, 6}, {3, 6}} {
		t.Run(fmt.Sprintf("%d nodes, %d kills", test.nodes, test.kills), func(t *testing.T) {
			t.Parallel()
			testPurge(t, test.nodes, test.kills)
		})
	}
}

func testPurge(t *testing.T, count, kills int) {
	p := startPurging(t, count, 2*time.Second)
	p.writeMarks(t, p.nodes[0].Data)
	for range kills {
		i := rand.IntN(count)
		p.running[i].MayCrash = true
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond) // into any step of a purge
		if err := p.running[i].Cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.running[i].Ended
		p.running[i] = p.nodes[i].start(t)
		p.awaitHealth(t, p.all...)
	}
	var found []string
	defer func() { t.Log(found) }()
	for _, n := range p.nodes {
		wait.For(t, n.ID+" has nothing of it", func() bool {
			if found = marksIn(n.Data); len(found) == 0 {
				found = marksIn(n.Data) // the first look may have been between two files
			}
			return len(found) == 0
		})
	}
	p.wantRest(t)
}

// purgingCluster are nodes that purge often, each in a process of its own.
type purgingCluster struct {
	*caller
	nodes   []purgingNode
	running []*process.Process
	all     []int
}

func startPurging(t *testing.T, count int, interval time.Duration) *purgingCluster {
	t.Helper()
	base := process.FreePorts(t, count)
	p := &purgingCluster{caller: newCaller(t, base, count)}
	var peers []config.Peer
	for i := range count {
		peers = append(peers, config.Peer{ID: fmt.Sprint("n", i+1), Address: process.PeerAddress(base, i+1)})
	}
	for i, peer := range peers {
		n := purgingNode{ID: peer.ID, Data: memdir.New(t), API: process.NodeAddress(base, i+1), Address: peer.Address, Peers: peers, Purge: interval}
		p.nodes, p.running, p.all = append(p.nodes, n), append(p.running, n.start(t)), append(p.all, i+1)
	}
	p.awaitHealth(t, p.all...)
	return p
}

// wantRest fails the test unless all is there that was to stay.
func (p *purgingCluster) wantRest(t *testing.T) {
	t.Helper()
	for _, node := range p.all {
		var list struct{ Data []struct{ ID string } }
		p.must(t, node, "GET", "/app/stays/msg?limit=100", "", 200, &list)
		if len(list.Data) != 22 {
			t.Errorf("n%d has %d messages of 22", node, len(list.Data))
		}
	}
}

// TestPurgeBesideStarts: nodes that are never up for the whole time between two purges purge about
// as often as others.
func TestPurgeBesideStarts(t *testing.T) {
	for _, count := range []int{1, 3} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			t.Parallel()
			const interval = 12 * time.Second
			p := startPurging(t, count, interval)
			p.writeMarks(t, p.nodes[0].Data)
			var found []string
			for begin := time.Now(); found == nil || len(found) > 0; {
				if took := time.Since(begin); took > 15*interval {
					t.Fatalf("after %s there are %s", took, found)
				}
				time.Sleep(3 * time.Second)
				for _, r := range p.running {
					r.Stop(t)
				}
				found = []string{}
				for i, n := range p.nodes {
					found = append(found, marksIn(n.Data)...)
					p.running[i] = n.start(t)
				}
				p.awaitHealth(t, p.all...)
			}
			p.wantRest(t)
		})
	}
}

// writeMarks writes texts of all kinds and removes them, beside others that stay.
func (c *caller) writeMarks(t *testing.T, data string) {
	t.Helper()
	c.must(t, 1, "POST", "/app", `{"name": "stays", "uid": "stays"}`, 201, nil)
	c.must(t, 1, "POST", "/app", `{"name": "goes", "uid": "goes", "metadata": {"k": "MARK-META"}}`, 201, nil)
	c.must(t, 1, "POST", "/app/goes/endpoint", `{"url": "http://127.0.0.1:1/", "uid": "e", "description": "MARK-ENDPOINT", "headers": {"X-A": "MARK-HEADER"}}`, 201, nil)
	post := func(app, text string, pad int) (id string) {
		var m struct{ ID string }
		c.must(t, 1, "POST", "/app/"+app+"/msg", fmt.Sprintf(`{"eventType": "a", "payload": {"m": %q, "p": %q}}`, text, strings.Repeat("x", pad)), 202, &m)
		return m.ID
	}
	for range 10 {
		post("goes", "MARK-SMALL", 10)
		post("goes", "MARK-LARGE", 50_000)
		post("stays", "small", 10)
		post("stays", "large", 50_000)
	}
	small, large := post("stays", "MARK-EXPUNGED", 10), post("stays", "MARK-EXLARGE", 50_000)
	wait.For(t, "all of it is in the files of the store", func() bool {
		found := strings.Join(marksIn(data), " ")
		return !slices.ContainsFunc(purgedMarks, func(mark string) bool { return !strings.Contains(found, mark+" in /store/") })
	})
	for _, id := range []string{small, large} {
		c.must(t, 1, "DELETE", "/app/stays/msg/"+id+"/content", "", 204, nil)
	}
	c.must(t, 1, "DELETE", "/app/goes", "", 204, nil)
}
