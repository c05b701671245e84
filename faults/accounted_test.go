package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hookwheel/systemtest/wait"
)

// The endpoints of the scenario that accounts for each event.
const (
	taker   = "taker"   // takes everything
	refuser = "refuser" // refuses everything, until that is given up
	sieve   = "sieve"   // wants nothing
	pauser  = "pauser"  // is paused
)

const (
	accountedTries = 3    // attempts until a message is given up
	accountedLate  = 4    // events that are not to be sent before half an hour has passed
	accountedPad   = 8000 // bytes, so that few events reach max_size
	accountedLimit = 2000 // events after which it should have been reached
	accountedLeap  = 2 * time.Hour
)

// accountedScenario: storage.max_size is reached, then the time of all messages is over. Each
// acknowledged event must be, at each endpoint, delivered, waiting, given up after all its attempts
// or filtered, as the nodes themselves say; and what is not delivered by the end must be counted as
// expired.
func accountedScenario() scenario {
	respond := func(status int) func(context.Context, int) int {
		return func(context.Context, int) int { return status }
	}
	endpoints := []*endpoint{
		{app: scene, uid: taker, script: respond(http.StatusOK)},
		{app: scene, uid: refuser, script: respond(http.StatusInternalServerError)},
		{app: scene, uid: sieve, filter: "other", script: respond(http.StatusOK)},
		{app: scene, uid: pauser, script: respond(http.StatusOK)},
	}
	s := scenario{setup: setup{endpoints: endpoints, clocks: true}, run: runAccounted}
	s.setup.storage = "  min_free = \"64MiB\"\n  max_size = \"1MiB\"\n  retention = \"1h\""
	s.setup.delivery = "  retry {\n    schedule = [\"1s\", \"1s\"]\n  }\n  breaker {\n    min_attempts = 1000000\n  }"
	return s
}

func runAccounted(tr *trial) (found []string, err error) {
	l := ledger{trial: tr, waiting: make(map[string]int)}
	for _, step := range []func() error{l.sendLate, l.fill, l.checkLate, l.fillUp, l.pauseAll, l.account, l.expire} {
		if err := step(); err != nil || len(l.found) > 0 {
			return l.found, err
		}
	}
	return l.found, nil
}

// ledger is what the scenario knows of the events that were acknowledged.
type ledger struct {
	*trial
	ids     []string       // of the messages
	waiting map[string]int // how many of them wait, by endpoint
	found   []string       // what is wrong
}

func (l *ledger) wrong(format string, args ...any) {
	l.found = append(l.found, fmt.Sprintf(format, args...))
}

// post sends one event and reports whether there was room for it.
func (l *ledger) post(body map[string]any) (room bool, err error) {
	var made struct{ ID string }
	body["eventType"] = scene
	key := "accounted-" + strconv.Itoa(len(l.ids))
	status, text, err := l.callWithKey(len(l.ids)%len(l.nodes), "POST", "/app/"+scene+"/msg", key, body, &made)
	switch {
	case err != nil:
		return false, err
	case status == http.StatusInsufficientStorage:
		return false, nil
	case status != http.StatusAccepted:
		return false, fmt.Errorf("event %d was not accepted: %d %s", len(l.ids), status, text)
	}
	l.ids = append(l.ids, made.ID)
	return true, nil
}

// sendLate has some events wait in the retry sets, for as long as the scenario lasts.
func (l *ledger) sendLate() error {
	at := time.Now().Add(accountedLeap / 4).UTC().Format(time.RFC3339)
	for range accountedLate {
		if room, err := l.post(map[string]any{"payload": map[string]any{}, "deliverAt": at}); err != nil || !room {
			return errors.Join(errors.New("the store is full at the start"), err)
		}
	}
	return nil
}

func (l *ledger) large() map[string]any {
	return map[string]any{"payload": map[string]string{"pad": strings.Repeat("-", accountedPad)}}
}

// fill sends events until the first of them that nobody waits for has left the log.
func (l *ledger) fill() error {
	for range accountedLimit {
		room, err := l.post(l.large())
		if err != nil {
			return err
		}
		if !room {
			time.Sleep(50 * time.Millisecond) // until size pressure has made some
		}
		if len(l.ids) <= accountedLate {
			continue
		}
		states, err := l.states(l.ids[accountedLate])
		if err != nil || states == nil {
			return err
		}
	}
	return errors.New("nothing leaves the log")
}

// checkLate: what was sent late is older than what has left the log, and waits.
func (l *ledger) checkLate() error {
	for _, id := range l.ids[:accountedLate] {
		states, err := l.states(id)
		if err != nil {
			return err
		}
		if states == nil {
			l.wrong("LOST: %s has left the log before its time has come", id)
		}
	}
	return nil
}

// fillUp pauses an endpoint and sends events until the store is full, as that endpoint waits for
// all of them.
func (l *ledger) fillUp() error {
	if err := l.pause(pauser); err != nil {
		return err
	}
	for range accountedLimit {
		if room, err := l.post(l.large()); err != nil || !room {
			return err
		}
	}
	return errors.New("events are accepted without end though max_size is reached")
}

func (l *ledger) pause(uid string) error {
	return l.must("/app/" + scene + "/endpoint/" + uid + "/pause")
}

// must makes a call that must succeed.
func (l *ledger) must(path string) error {
	status, text, err := l.call(0, "POST", path, map[string]any{}, nil)
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s: %d %s", path, status, text)
	}
	return err
}

// pauseAll has nothing move, when all is done that can be done at once.
func (l *ledger) pauseAll() error {
	settled := func() bool {
		for _, uid := range []string{taker, refuser} {
			if n, err := l.stats(uid); err != nil || n != accountedLate {
				return false
			}
		}
		return true
	}
	if err := wait.Until(patience, "only what was sent late waits", settled); err != nil {
		return err
	}
	for _, e := range l.receiver.endpoints {
		if err := l.pause(e.uid); err != nil {
			return err
		}
	}
	return nil
}

// stats is how many messages wait for an endpoint by its statistics.
func (l *ledger) stats(uid string) (waiting int, err error) {
	var out struct{ Pending, Sending int }
	status, text, err := l.call(0, "GET", "/app/"+scene+"/endpoint/"+uid+"/stats", nil, &out)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("stats of %s: %d %s", uid, status, text)
	}
	return out.Pending + out.Sending, err
}

// account compares what the nodes say with what came to the endpoints.
func (l *ledger) account() error {
	for n, id := range l.ids {
		states, err := l.states(id)
		if err != nil {
			return err
		}
		came := make(map[string]int)
		taken := make(map[string]bool)
		for _, h := range l.arrivals(id) {
			uid := l.receiver.endpoints[h.Endpoint].uid
			came[uid]++
			taken[uid] = taken[uid] || h.taken()
		}
		if states == nil && (n < accountedLate || !taken[taker] || !taken[pauser] || came[refuser] < accountedTries) {
			l.wrong("LOST: %s has left the log, with these arrivals: %v", id, came)
		}
		for _, f := range states {
			l.accountFor(id, f, came[f.EndpointUID], taken[f.EndpointUID])
		}
	}
	for uid, n := range l.waiting {
		if told, err := l.stats(uid); err != nil || told != n {
			l.wrong("%d messages wait for %s, and its statistics say %d, %v", n, uid, told, err)
		}
	}
	return nil
}

func (l *ledger) accountFor(id string, f deliveryState, came int, taken bool) {
	right := false
	switch f.State {
	case "delivered":
		right = taken
	case "given up":
		right = f.EndpointUID == refuser && !taken && came >= accountedTries && f.Attempts >= accountedTries
	case "filtered":
		right = f.EndpointUID == sieve && came == 0
	case "waiting", "scheduled":
		l.waiting[f.EndpointUID]++
		right = came == 0 && f.EndpointUID != sieve
	}
	if !right {
		l.wrong("%s is %s at %s after %d attempts, which saw it %d times (taken: %t)", id, f.State, f.EndpointUID, f.Attempts, came, taken)
	}
}

// expire lets two hours pass. All leaves the log, and what waited is counted.
func (l *ledger) expire() error {
	if err := l.setClocks(func(int) int { return int(accountedLeap.Seconds()) }); err != nil {
		return err
	}
	transferred := time.Now()
	gone := func() bool {
		if time.Since(transferred) > 4*time.Second { // a new leader looks at once
			transferred = time.Now()
			_, _, _ = l.call(0, "POST", "/cluster/transfer", nil, nil) // else the present one looks within a minute
		}
		for i := range l.nodes {
			empty := true
			if err := l.pages(i, "/app/"+scene+"/msg", func(item) { empty = false }); err != nil || !empty {
				return false
			}
		}
		return true
	}
	if err := wait.Until(patience, "all messages have expired", gone); err != nil {
		return err
	}
	sum := 0
	for _, e := range l.receiver.endpoints {
		want := l.waiting[e.uid]
		sum += want
		expired, err := l.expired(e.app, e.uid)
		if err != nil {
			return err
		}
		if expired != want {
			l.wrong("%d messages that waited for %s have left the log, and %d are counted", want, e.uid, expired)
		}
		if n, err := l.stats(e.uid); err != nil || n != 0 {
			l.wrong("%d messages wait for %s though all have left the log, %v", n, e.uid, err)
		}
	}
	return l.checkMetrics(sum)
}

// expired is how many messages have left the log that an endpoint waited for.
func (c *cluster) expired(app, uid string) (int, error) {
	var out struct{ Health struct{ Expired int } }
	status, text, err := c.call(0, "GET", "/app/"+app+"/endpoint/"+uid, nil, &out)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("endpoint %s: %d %s", uid, status, text)
	}
	return out.Health.Expired, err
}

// checkMetrics wants that number on each node.
func (l *ledger) checkMetrics(expired int) error {
	for _, n := range l.nodes {
		values, err := l.metrics(n, "hookwheel_expired_messages")
		if err != nil {
			return err
		}
		if int(values[0]) != expired {
			l.wrong("the metrics of %s say that %.0f messages have expired, not %d", n.name, values[0], expired)
		}
	}
	return nil
}
