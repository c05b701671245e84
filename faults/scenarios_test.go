package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// scenario tests one promise that random faults would break too rarely. run returns violations of
// the promise; an error means that the scenario could not be carried out.
type scenario struct {
	setup setup
	run   func(tr *trial) (found []string, err error)
}

// scenarios are created for each cluster, as they have a state.
var scenarios = map[string]func() scenario{
	"held":      heldScenario,
	"overtaken": overtakenScenario,
	"short":     shortScenario,
	"clock":     clockScenario,
	"backwards": backwardsScenario,
	"accounted": accountedScenario,
	"late":      lateScenario,
	"library":   libraryScenario,
}

const scene = "scene" // application, endpoint and event type of a scenario

// sceneSetup is a cluster with one endpoint whose answers a script gives.
func sceneSetup(ordering string, script func(ctx context.Context, event int) int) setup {
	return setup{endpoints: []*endpoint{{app: scene, uid: scene, ordering: ordering, script: script}}}
}

// post sends an event of a scenario once.
func (tr *trial) post(node, event int, key, orderingKey string) (status int, id string, err error) {
	body := map[string]any{"eventType": scene, "payload": map[string]any{"event": event, "pad": strings.Repeat("-", 100+event)}}
	if orderingKey != "" {
		body["orderingKey"] = orderingKey
	}
	var made struct{ ID string }
	status, _, err = tr.callWithKey(node, "POST", "/app/"+scene+"/msg", key, body, &made)
	return status, made.ID, err
}

// send sends an event until any node accepts it.
func (tr *trial) send(event int, orderingKey string) (id string, err error) {
	var status int
	i := 0
	err = errors.Join(wait.Until(patience, fmt.Sprintf("event %d is accepted", event), func() bool {
		status, id, err = tr.post(i%len(tr.nodes), event, "scene-"+strconv.Itoa(event), orderingKey)
		i++
		return err == nil && status == http.StatusAccepted
	}), err)
	if err != nil {
		return "", fmt.Errorf("%w: %d", err, status)
	}
	return id, nil
}

// arrivals returns the hits of a message that were answered, or left.
func (tr *trial) arrivals(id string) (list []hit) {
	tr.history.mu.Lock()
	defer tr.history.mu.Unlock()
	for _, h := range tr.history.hits {
		if h.ID == id {
			list = append(list, h)
		}
	}
	return list
}

func (tr *trial) taken(id string) bool { return slices.ContainsFunc(tr.arrivals(id), hit.taken) }

// deliveryState is what the nodes say has become of a message at an endpoint.
type deliveryState struct {
	EndpointUID string
	State       string
	Attempts    int
}

// states explains a message; nil: it has left the log.
func (tr *trial) states(id string) ([]deliveryState, error) {
	var out struct{ Data []deliveryState }
	status, text, err := tr.call(len(id)%len(tr.nodes), "GET", "/app/"+scene+"/msg/"+id+"/explain", nil, &out)
	if err == nil && status != http.StatusOK && status != http.StatusNotFound {
		err = fmt.Errorf("explain %s: %d %s", id, status, text)
	}
	return out.Data, err
}

// heldScenario: the first message of a key is under way, others are held behind it, and the leader
// is killed. The next leader must send the first one again before the others.
func heldScenario() scenario {
	var began atomic.Bool
	script := func(ctx context.Context, event int) int {
		switch {
		case event > 0:
		case began.CompareAndSwap(false, true):
			<-ctx.Done()
			return 0
		default:
			time.Sleep(time.Second) // in which the others would come
		}
		return http.StatusOK
	}
	run := func(tr *trial) (found []string, err error) {
		var ids []string
		for event := range 4 {
			id, err := tr.send(event, "a")
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		if err := wait.Until(patience, "the first message is under way", began.Load); err != nil {
			return nil, err
		}
		held := func(id string) bool {
			states, err := tr.states(id)
			return err == nil && len(states) == 1 && states[0].State == "held"
		}
		err = wait.Until(patience, "the others are held", func() bool { return held(ids[1]) && held(ids[2]) && held(ids[3]) })
		if err != nil {
			return nil, err
		}
		leader, err := tr.awaitWell()
		if err != nil {
			return nil, err
		}
		tr.nodes[leader].kill()
		err = wait.Until(patience, "all messages of the key were taken", func() bool {
			return !slices.ContainsFunc(ids, func(id string) bool { return !tr.taken(id) })
		})
		var v verdict
		v.counts = make(map[string]int)
		var list []*hit
		for _, id := range ids {
			for _, h := range tr.arrivals(id) {
				list = append(list, &h)
			}
		}
		v.checkSequence("the key", list)
		return v.violations, err
	}
	s := scenario{setup: sceneSetup("key", script), run: run}
	s.setup.delivery = "  timeout = \"1m\""
	return s
}

// overtakenScenario: an endpoint is slow with its oldest message and takes more than a thousand
// others meanwhile, so that storage.max_size has messages leave the log. The oldest must stay.
func overtakenScenario() scenario {
	const others = 1100 // more than a lane goes ahead
	var taken atomic.Int64
	release := make(chan struct{})
	var tries atomic.Int64
	script := func(ctx context.Context, event int) int {
		if event > 0 {
			taken.Add(1)
			return http.StatusOK
		}
		if tries.Add(1) > 1 {
			return http.StatusOK
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return http.StatusInternalServerError
	}
	run := func(tr *trial) (found []string, err error) {
		first, err := tr.send(0, "")
		if err != nil {
			return nil, err
		}
		if err := wait.Until(patience, "the first message is under way", func() bool { return tries.Load() > 0 }); err != nil {
			return nil, err
		}
		second, err := tr.sendMany(1, others)
		if err == nil {
			err = wait.Until(patience, "the others were taken", func() bool { return taken.Load() >= others })
		}
		if err != nil {
			return nil, err
		}
		gone := func(id string) bool {
			status, _, err := tr.call(0, "GET", "/app/"+scene+"/msg/"+id, nil, nil)
			return err == nil && status == http.StatusNotFound
		}
		for event := others + 1; err == nil && !gone(second) && !gone(first); event++ {
			if event > 2*others {
				return nil, errors.New("nothing leaves the log")
			}
			_, err = tr.send(event, "")
		}
		if err == nil && gone(first) {
			found = append(found, "LOST: a message under way has left the log")
		}
		close(release)
		if err == nil && len(found) == 0 {
			err = wait.Until(patience, "the first message was taken", func() bool { return tr.taken(first) })
		}
		return found, err
	}
	s := scenario{setup: sceneSetup("", script), run: run}
	s.setup.storage = "  min_free = \"64MiB\"\n  max_size = \"1MiB\""
	s.setup.delivery = "  timeout = \"1m\"\n  retry {\n    schedule = [\"1s\", \"1s\"]\n  }"
	return s
}

// sendMany has events accepted, several at a time, and returns the id of the first.
func (tr *trial) sendMany(from, count int) (first string, err error) {
	const senders = 8
	if first, err = tr.send(from, ""); err != nil {
		return "", err
	}
	failures := make(chan error, senders)
	for sender := range senders {
		go func() {
			var err error
			for event := from + 1 + sender; event < from+count && err == nil; event += senders {
				_, err = tr.send(event, "")
			}
			failures <- err
		}()
	}
	for range senders {
		if e := <-failures; e != nil {
			err = e
		}
	}
	return first, err
}

// shortScenario: the disks have less room than is to be kept. No event may be accepted, in whatever
// way it is posted.
func shortScenario() scenario {
	run := func(tr *trial) (found []string, err error) {
		if err := tr.keepFree("1TiB"); err != nil {
			return nil, err
		}
		for node := range tr.nodes {
			for _, key := range []string{"", "key-" + strconv.Itoa(node)} {
				status, _, err := tr.post(node, 0, key, "")
				if err != nil {
					return nil, err
				}
				if status != http.StatusInsufficientStorage {
					found = append(found, fmt.Sprintf("an event with the idempotency key %q got %d although the store is full", key, status))
				}
			}
		}
		return found, nil
	}
	return scenario{setup: sceneSetup("", func(context.Context, int) int { return http.StatusOK }), run: run}
}

// keepFree restarts all nodes with another min_free.
func (tr *trial) keepFree(size string) error {
	for _, n := range tr.nodes {
		text, err := os.ReadFile(n.config)
		if err != nil {
			return err
		}
		text = bytes.Replace(text, []byte(`min_free = "64MiB"`), []byte(`min_free = "`+size+`"`), 1)
		if err := errors.Join(os.WriteFile(n.config, text, 0o600), n.stop()); err != nil {
			return err
		}
	}
	for i := range tr.nodes {
		if err := tr.start(i); err != nil {
			return err
		}
	}
	_, err := tr.awaitWell()
	return err
}

// clockScenario: the leader's clock is a day ahead for two seconds. No retry may come early.
func clockScenario() scenario { return wrongClock(24*60*60, 2*time.Second) }

// backwardsScenario: the leader's clock is set back by 30 s, and stays so for a while.
func backwardsScenario() scenario { return wrongClock(-30, 5*time.Second) }

// wrongClock has the leader's clock be wrong while messages wait for their second attempt.
func wrongClock(seconds int, lasting time.Duration) scenario {
	run := func(tr *trial) (found []string, err error) {
		leader, err := tr.awaitWell()
		if err != nil {
			return nil, err
		}
		var ids []string
		for event := range wrongClockEvents {
			id, err := tr.send(event, "")
			if err == nil {
				err = wait.Until(patience, "the first attempt has come", func() bool { return len(tr.arrivals(id)) > 0 })
			}
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		set := func(wrong int) error {
			return tr.setClocks(func(node int) int {
				if node == leader {
					return wrong
				}
				return 0
			})
		}
		if err := set(seconds); err != nil {
			return nil, err
		}
		tr.busy(leader, lasting)
		idle, err := tr.openIdle(leader)
		if err != nil {
			return nil, err
		}
		defer idle.CloseIdleConnections()
		if err := set(0); err != nil {
			return nil, err
		}
		if found, err := tr.early(ids); err != nil || len(found) > 0 {
			return found, err
		}
		for _, id := range ids {
			if err := wait.Until(patience, "the second attempt has come", func() bool { return len(tr.arrivals(id)) > 1 }); err != nil {
				return nil, err
			}
		}
		if found, err = tr.early(ids); err == nil {
			err = tr.nodes[leader].stop() // although it has a connection that fell idle while its clock was wrong
		}
		return found, err
	}
	s := scenario{setup: sceneSetup("", func(context.Context, int) int { return http.StatusInternalServerError }), run: run}
	s.setup.endpoints = append(s.setup.endpoints, &endpoint{app: bystander, uid: bystander, script: func(context.Context, int) int { return http.StatusOK }})
	s.setup.clocks = true
	s.setup.delivery = "  timeout = \"1m\"\n  retry {\n    schedule = [\"10s\", \"5m\", \"1h\"]\n  }\n  breaker {\n    probe = \"10s\"\n  }"
	return s
}

// busy has another endpoint get messages for a while, so that the scheduler looks at its clock.
func (tr *trial) busy(node int, lasting time.Duration) {
	for end := time.Now().Add(lasting); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_, _, _ = tr.call(node, "POST", "/app/"+bystander+"/msg", map[string]any{"eventType": scene, "payload": map[string]int{}}, nil) // a leader may be missing
	}
}

// openIdle makes a call to a node on a connection that is kept open.
func (tr *trial) openIdle(node int) (*http.Transport, error) {
	transport := new(http.Transport)
	response, err := (&http.Client{Transport: transport, Timeout: callLimit}).Get(tr.nodes[node].api + "/api/v1/health/ping")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, response.Body) // else the connection is not used again
	return transport, errors.Join(err, response.Body.Close())
}

const bystander = "bystander" // application and endpoint of a scenario that take everything

const (
	wrongClockEvents = 5 // too few for the endpoint to be parked by two attempts at each

	// wrongClockGap is the 10 s of the schedule, less their jitter and a second for what clocks may
	// differ.
	wrongClockGap = 7 * time.Second
)

// early finds attempts that came before their time, other than probes: those leave the time of the
// next attempt as it was, for they use up none.
func (tr *trial) early(ids []string) (found []string, err error) {
	for _, id := range ids {
		var attempts []item // the newest comes first
		if err := tr.pages(0, "/app/"+scene+"/attempt/msg/"+id, func(i item) { attempts = append(attempts, i) }); err != nil {
			return nil, err
		}
		probes := 0
		for i := 1; i < len(attempts); i++ {
			if next := attempts[i-1].NextAttempt; next != nil && attempts[i].NextAttempt != nil && next.Equal(*attempts[i].NextAttempt) {
				probes++
			}
		}
		var early []string
		list := tr.arrivals(id)
		for i := 1; i < len(list); i++ {
			if gap := list[i].At.Sub(list[i-1].End); gap < wrongClockGap {
				early = append(early, fmt.Sprintf("attempt %d of %s came %s after the one before, not after 10 s", i+1, id, gap.Round(time.Millisecond)))
			}
		}
		if len(early) > 2*probes { // a probe comes soon after one attempt, and perhaps soon before the next
			found = append(found, early...)
		}
	}
	return found, nil
}

// TestScenarios runs the scenarios against the product as it is. They spend most of their time
// waiting, so two run concurrently.
func TestScenarios(t *testing.T) {
	for name, make := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := make()
			s.setup.tls = *tlsFlag
			tr := newTrial(t, s.setup)
			found, err := s.run(tr)
			if err != nil {
				t.Error(err)
			}
			for _, violation := range found {
				t.Error(violation)
			}
		})
	}
}
