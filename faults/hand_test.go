package faults

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// manual is a wish by hand that messages be sent again that were delivered.
type manual struct {
	Endpoint int
	ID       string // of the message; empty: a replay of all that were delivered of late
	At       time.Time
}

// handPause is between two wishes by hand.
const handPause = time.Second

// resendAtHand has messages sent again while the load goes on, which must not disturb any order.
func (tr *trial) resendAtHand() {
	for !tr.load.over.Load() {
		time.Sleep(handPause)
		i := rand.IntN(len(tr.nodes))
		if tr.nodes[i].down.Load() {
			continue
		}
		if rand.IntN(4) == 0 {
			tr.replay(i, rand.IntN(len(tr.receiver.endpoints)))
		} else {
			tr.resend(i)
		}
	}
}

// resend has one of the messages that were taken of late sent again.
func (tr *trial) resend(node int) {
	h := tr.history
	h.mu.Lock()
	var chosen hit
	if n := len(h.hits); n > 0 {
		chosen = h.hits[n-1-rand.IntN(min(n, 200))]
	}
	h.mu.Unlock()
	if !chosen.taken() || chosen.Event < 0 {
		return
	}
	e := tr.receiver.endpoints[chosen.Endpoint]
	h.manual(manual{Endpoint: chosen.Endpoint, ID: chosen.ID, At: time.Now()})
	tr.wish(node, "/app/"+e.app+"/msg/"+chosen.ID+"/endpoint/"+e.uid+"/resend", nil)
}

// replay resends all messages that an endpoint accepted within the last seconds.
func (tr *trial) replay(node, endpoint int) {
	e := tr.receiver.endpoints[endpoint]
	tr.history.manual(manual{Endpoint: endpoint, At: time.Now()})
	tr.wish(node, "/app/"+e.app+"/endpoint/"+e.uid+"/bulk-replay", map[string]any{"status": "delivered", "rate": 100,
		"since": tr.now().Add(-3 * time.Second).UTC().Format(time.RFC3339)})
}

// wish makes a call that may fail, as a fault may be about or the message may have left the log.
func (tr *trial) wish(node int, path string, body any) {
	if status, _, err := tr.call(node, "POST", path, body, nil); err == nil && status == http.StatusAccepted {
		tr.load.wishes.Add(1)
	}
}
