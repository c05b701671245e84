package faults

import (
	"context"
	"encoding/base64"
	"flag"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

var stateFlag = flag.Float64("state", 0, "the GiB that a node of TestLargeState receives from a leader that dies meanwhile; 0 skips it")

// statePiece is how large the events are, in bytes; statePeriod how long a state of any size may
// take.
const (
	statePiece  = 900 << 10
	statePeriod = 30 * time.Minute
)

// TestLargeState wipes a node, has it get a large state from the leader, and kills the leader when
// a part of it has arrived. The next leader must send it all, and all nodes must hold the same at
// the end.
func TestLargeState(t *testing.T) {
	if *stateFlag == 0 {
		t.Skip("-state says how large it is")
	}
	s := sceneSetup("", func(context.Context, int) int { return http.StatusOK })
	s.endpoints[0].filter = "other" // so that nothing is sent
	s.storage = "  min_free = \"64MiB\""
	s.tls = *tlsFlag
	tr := newTrial(t, s)
	tr.patience = statePeriod
	begin := time.Now()
	tr.fillState(t, int64(*stateFlag*(1<<30)))
	t.Logf("%.1f GiB were accepted in %s", *stateFlag, time.Since(begin).Round(time.Second))

	n := &nemesis{cluster: tr.cluster, history: tr.history, random: rand.New(rand.NewPCG(1, 1))}
	var err error
	if n.leader, err = tr.awaitWell(); err != nil {
		t.Fatal(err)
	}
	wiped := follower(n)
	undo, err := n.wipe(wiped)
	if err == nil {
		err = undo()
	}
	if err != nil {
		t.Fatal(err)
	}
	var received int64
	begin = time.Now()
	if err := wait.Until(patience, "a part of the state has arrived", func() bool {
		received = tr.received(n.leader, wiped[0])
		return received > int64(*stateFlag*(1<<30))/10
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d MiB have arrived after %s; the leader is killed", received>>20, time.Since(begin).Round(time.Second))
	if undo, err = n.kill([]int{n.leader}); err == nil {
		time.Sleep(2 * time.Second) // so that another one leads
		err = undo()
	}
	if err == nil {
		_, err = tr.awaitWell()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("all is well %s after the node was wiped", time.Since(begin).Round(time.Second))
	if out, err := tr.tool("cluster", "fingerprint"); err != nil {
		t.Errorf("the nodes do not hold the same state: %v\n%s", err, out)
	}
	for _, node := range tr.nodes {
		if err := node.stop(); err != nil {
			t.Error(err)
		}
	}
}

// fillState sends events until they take so many bytes.
func (tr *trial) fillState(t *testing.T, size int64) {
	var sent atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			random := rand.NewChaCha8([32]byte{byte(i)})
			noise := make([]byte, statePiece*3/4)
			for sent.Add(statePiece) <= size && !t.Failed() {
				_, _ = random.Read(noise) // never fails
				if err := tr.sendNoise(i%len(tr.nodes), base64.StdEncoding.EncodeToString(noise)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if wg.Wait(); t.Failed() {
		t.FailNow()
	}
}

// sendNoise sends an event until it is accepted, however long the disks take.
func (tr *trial) sendNoise(node int, noise string) error {
	body := map[string]any{"eventType": scene, "payload": map[string]string{"noise": noise}}
	return wait.Until(patience, "a large event is accepted", func() bool {
		status, _, err := tr.callWithKey(node, "POST", "/app/"+scene+"/msg", noise[:40], body, nil)
		return err == nil && status == http.StatusAccepted
	})
}

// received is how much of the state has come to a node, as a leader sees it.
func (c *cluster) received(leader, node int) int64 {
	var v view
	_, _, _ = c.call(leader, "GET", "/cluster", nil, &v) // it is asked again
	for _, m := range v.Members {
		if m.ID == c.nodes[node].name && m.Status != nil {
			return m.Status.ReceivedBytes
		}
	}
	return 0
}
