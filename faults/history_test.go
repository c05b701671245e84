package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"hookwheel/systemtest/wait"
)

// post is a call of a producer.
type post struct {
	Event      int
	Node       int
	Start, End time.Time
	Status     int    // 0: no answer
	ID         string // of the message, if it was acknowledged
	Failure    string `json:",omitempty"`
	Again      bool   `json:",omitempty"` // a repetition with the idempotency key of an earlier call
	Down       bool   `json:",omitempty"` // the nemesis had taken the node away by the end of the call
}

// hit is an arrival at the receiver.
type hit struct {
	Endpoint int
	Event    int    // -1: no event that was sent looks like that
	ID       string // webhook-id
	At       time.Time
	End      time.Time // when it was answered
	Status   int       // what the receiver answered; 0: nothing, the sender had left
	Forged   string    `json:",omitempty"` // what is wrong with the signature
}

// taken reports whether the receiver said that it took the message.
func (i hit) taken() bool { return i.Status >= 200 && i.Status < 300 }

// fault is what the nemesis did.
type fault struct {
	Kind   string
	Nodes  []int // whom it hit
	Start  time.Time
	Healed time.Time     // when the nemesis had undone it
	Well   time.Time     // when all nodes were well again
	Next   time.Duration // from Start to the next 202 of a call that began after it, through a node that was not hit; 0: none
}

// history is all that happened, in memory and, a line each, in a file.
type history struct {
	mu     sync.Mutex
	file   *os.File
	out    *bufio.Writer
	posts  []post
	hits   []hit
	faults []fault
	byHand []manual
	told   chan struct{} // has one when an event was acknowledged
}

func newHistory(path string) (*history, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &history{file: file, out: bufio.NewWriter(file), told: make(chan struct{}, 1)}, nil
}

// copied is what has happened so far.
func (h *history) copied() *history {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &history{posts: slices.Clone(h.posts), hits: slices.Clone(h.hits), faults: slices.Clone(h.faults), byHand: slices.Clone(h.byHand)}
}

// awaitMore waits until more events are acknowledged.
func (h *history) awaitMore(patience time.Duration) error {
	before := len(h.acknowledged())
	return wait.Until(patience, "more events are acknowledged", func() bool { return len(h.acknowledged()) >= before+eventsBetween })
}

// awaitNext returns at the moment that an event is acknowledged.
func (h *history) awaitNext(patience time.Duration) error {
	select {
	case <-h.told: // perhaps long ago
	default:
	}
	select {
	case <-h.told:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("no event is acknowledged within %s", patience)
	}
}

// eventsBetween are acknowledged from one fault to the next where no time is set.
const eventsBetween = 200

func (h *history) write(kind string, v any) {
	line, err := json.Marshal(map[string]any{kind: v})
	if err == nil {
		_, _ = h.out.Write(append(line, '\n')) // Flush tells
	}
}

func (h *history) post(p post) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts = append(h.posts, p)
	h.write("post", p)
	if p.Status == http.StatusAccepted {
		select {
		case h.told <- struct{}{}:
		default:
		}
	}
}

func (h *history) hit(i hit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hits = append(h.hits, i)
	h.write("hit", i)
}

func (h *history) manual(m manual) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byHand = append(h.byHand, m)
	h.write("manual", m)
}

// wished reports whether somebody wanted the message of a hit sent again.
func (h *history) wished(i *hit) bool {
	return slices.ContainsFunc(h.byHand, func(m manual) bool {
		return m.Endpoint == i.Endpoint && (m.ID == "" || m.ID == i.ID) && m.At.Before(i.At)
	})
}

func (h *history) fault(f fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, f)
	h.write("fault", f)
}

// acknowledgedSince is the end of the first call that began after a moment, through a node other
// than these, and was acknowledged; zero if no call was.
func (h *history) acknowledgedSince(start time.Time, without []int) (end time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.posts) - 1; i >= 0; i-- {
		p := &h.posts[i]
		if p.End.Before(start) {
			return end
		}
		if p.Status == 202 && p.Start.After(start) && !slices.Contains(without, p.Node) && (end.IsZero() || p.End.Before(end)) {
			end = p.End
		}
	}
	return end
}

// acknowledged is the message id that each acknowledged event was told.
func (h *history) acknowledged() map[int]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	told := make(map[int]string)
	for i := range h.posts {
		if p := &h.posts[i]; p.Status == 202 {
			told[p.Event] = p.ID
		}
	}
	return told
}

// pending are the acknowledged events that have not yet come to all endpoints that want them.
func (h *history) pending(endpoints []*endpoint) (missing []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	arrived := make(map[[2]int]bool)
	for i := range h.hits {
		if h.hits[i].taken() {
			arrived[[2]int{h.hits[i].Endpoint, h.hits[i].Event}] = true
		}
	}
	for i := range h.posts {
		p := &h.posts[i]
		if p.Status != 202 {
			continue
		}
		for j, e := range endpoints {
			if e.wants(p.Event) && !arrived[[2]int{j, p.Event}] {
				missing = append(missing, p.Event)
				break
			}
		}
	}
	return missing
}

func (h *history) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.out.Flush(); err != nil {
		return err
	}
	return h.file.Close()
}
