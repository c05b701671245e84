package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// script is a random history of entries: what a cluster might have agreed on.
type script struct {
	rnd     *rand.Rand
	app     webhook.ID
	objects []any // all versions of applications, endpoints and event types, in the order in which they were made
	eps     []*delivery
	sent    []webhook.ID
	due     int64
	keys    []webhook.ID // API keys, some of them gone
	store   *Store       // that has applied the entries
	entries [][]Command
}

// delivery is what an endpoint has been sent, as its scheduler would know it.
type delivery struct {
	endpoint webhook.ID
	todo     []webhook.ID // not attempted yet, in log order
	retries  []webhook.Retry
	past     []webhook.Outcome
}

// newScript makes entries by applying them to a scratch store, so that later ones can name what
// earlier ones made.
func newScript(t *testing.T, seed int64, count int) *script {
	t.Helper()
	s := closing(t, openTest(t, memdir.New(t)))
	c := &script{rnd: rand.New(rand.NewSource(seed)), store: s}
	for i := range count {
		commands := c.next(t, i)
		c.entries = append(c.entries, commands)
		replies := applyEntry(t, s, c.entries, i)
		c.learn(t, commands, replies)
	}
	return c
}

func applyEntry(t *testing.T, s *Store, entries [][]Command, i int) [][]byte {
	t.Helper()
	const step = int64(IdempotencyWindow / time.Millisecond / 100) // between two entries, so that idempotency keys are forgotten
	replies, err := s.Apply(uint64(i+1), 1, testClock+int64(i/3)*step, entries[i])
	if err != nil {
		t.Fatal(err)
	}
	return replies
}

func (c *script) next(t *testing.T, i int) (commands []Command) {
	switch {
	case i == 0:
		commands = append(commands, c.command(encodeCommand(kindCreateApplication, createApplication{Application: webhook.Application{Name: "a"}})))
	case i%40 == 1:
		commands = append(commands, c.command(encodeCommand(kindCreateEndpoint, webhook.Endpoint{App: c.app, URL: "http://x/", Keys: testKeys})))
	case i%97 == 50 && len(c.eps) > 1:
		gone := c.eps[0].endpoint
		c.eps = c.eps[1:]
		commands = append(commands, c.command(encodeCommand(kindDeleteEndpoint, deleteEndpoint{c.app, gone})))
	case i%31 == 30:
		commands = append(commands, c.command(encodeFingerprint(), nil))
	}
	if i > 0 && c.rnd.Intn(3) == 0 {
		commands = append(commands, c.change(i))
	}
	if i > 0 && c.rnd.Intn(6) == 0 {
		commands = append(commands, c.changeKeys())
	}
	if len(c.sent) > 0 && c.rnd.Intn(10) == 0 {
		r := retain{Before: testClock + 24*hour, Records: 1 + c.rnd.Intn(20)}
		if c.rnd.Intn(2) == 0 {
			r.Before, r.Size = 0, 1+c.rnd.Int63n(20_000)
		}
		for range 1 + c.rnd.Intn(4) {
			r.Parts = append(r.Parts, part{c.app, c.sent[c.rnd.Intn(len(c.sent))]})
		}
		commands = append(commands, c.command(encodeCommand(kindRetain, r)))
	}
	if c.rnd.Intn(8) == 0 {
		commands = append(commands, c.command(encodeCommand(kindSweep, sweep{1 + c.rnd.Intn(sweepPerEntry)})))
	}
	if len(c.sent) > 0 && c.rnd.Intn(6) == 0 {
		m := c.sent[c.rnd.Intn(len(c.sent))]
		commands = append(commands, c.command(encodeCommand(kindExpungeMessage, expunge{App: c.app, Message: m})),
			c.command(encodeCommand(kindExpungeAttempt, expunge{App: c.app, Message: m, Attempt: webhook.NewID(testClock, uint64(i), 0)})))
	}
	for range c.rnd.Intn(5) {
		m := &webhook.Message{App: c.app, EventType: "t", Payload: fmt.Appendf(nil, `{"n":%d}`, c.rnd.Int())}
		if c.rnd.Intn(8) == 0 {
			m.Retention = time.Duration(1+c.rnd.Intn(5)) * time.Hour
		}
		if c.rnd.Intn(4) == 0 {
			m.EventID = fmt.Sprint("ev", c.rnd.Intn(50))
		}
		if i > 0 {
			body := appendCreateMessage(nil, m)
			if c.rnd.Intn(2) == 0 { // some under the same idempotency key as one before
				body = encodeIdempotent([16]byte{byte(c.rnd.Intn(40))}, [16]byte{}, body)
			}
			commands = append(commands, c.command(body, nil))
		}
	}
	if i > 0 && c.rnd.Intn(6) == 0 {
		commands = append(commands, c.batch())
	}
	if len(c.eps) > 0 && c.rnd.Intn(2) == 0 {
		commands = append(commands, c.command(encodeProgress(1, []webhook.Progress{c.progress()}), nil))
	}
	if len(c.eps) > 0 {
		commands = append(commands, c.replay(t)...)
	}
	if i > 2 && c.rnd.Intn(5) == 0 { // a repetition of something that was sent shortly before
		before := c.entries[i-1-c.rnd.Intn(2)]
		if len(before) > 0 {
			again := before[c.rnd.Intn(len(before))]
			if again.Since == 0 {
				again.Since = uint64(i - 2)
			}
			commands = append(commands, again)
		}
	}
	return commands
}

// batch is a part of a batch of messages, some with an event ID that is taken, perhaps by each
// other.
func (c *script) batch() Command {
	var list []webhook.Message
	for range c.rnd.Intn(6) {
		m := webhook.Message{EventType: "t", Payload: fmt.Appendf(nil, `{"n":%d}`, c.rnd.Int())}
		if c.rnd.Intn(2) == 0 {
			m.EventID = fmt.Sprint("ev", c.rnd.Intn(50))
		}
		list = append(list, m)
	}
	body := encodeCreateMessages(c.app, placed(list...))
	if c.rnd.Intn(2) == 0 {
		body = encodeIdempotent([16]byte{1, byte(c.rnd.Intn(40))}, [16]byte{}, body)
	}
	return c.command(body, nil)
}

// change returns a command by which a user changes an object. Some are refused, because somebody
// else changed the object first.
func (c *script) change(i int) Command {
	name := fmt.Sprint("type", c.rnd.Intn(4))
	switch c.rnd.Intn(8) {
	case 0:
		return c.command(encodeCommand(kindCreateApplication, createApplication{Application: webhook.Application{Name: "b", UID: webhook.OperationalUID}}))
	case 1:
		return c.command(encodeCommand(kindCreateEventType, webhook.EventType{Name: name, Description: fmt.Sprint(i)}))
	case 2:
		return c.command(encodeCommand(kindDeleteEventType, deleteEventType{name, c.rnd.Intn(2) == 0}))
	case 3:
		if len(c.eps) > 0 {
			ep := c.eps[c.rnd.Intn(len(c.eps))].endpoint
			return c.command(encodeCommand(kindMoveCursor, moveCursor{App: c.app, Endpoint: ep}))
		}
	}
	if len(c.objects) == 0 {
		return c.command(encodeFingerprint(), nil)
	}
	switch object := c.objects[len(c.objects)-1-c.rnd.Intn(min(len(c.objects), 5))].(type) {
	case *webhook.Application:
		if object.ID != c.app && c.rnd.Intn(4) == 0 {
			return c.command(encodeCommand(kindDeleteApplication, deleteApplication{object.ID}))
		}
		changed := *object
		changed.Metadata = map[string]string{"i": fmt.Sprint(i)}
		return c.command(encodeCommand(kindUpdateApplication, changed))
	case *webhook.Endpoint:
		if c.rnd.Intn(5) == 0 {
			return c.command(encodeCommand(kindDisableEndpoint, disableEndpoint{Term: 1, Endpoint: object.ID, FailSince: time.UnixMilli(testClock).UTC()}))
		}
		changed := *object
		changed.Description, changed.UID, changed.Disabled = fmt.Sprint(i), fmt.Sprint("uid", c.rnd.Intn(3)), false
		return c.command(encodeCommand(kindUpdateEndpoint, changed))
	case *webhook.EventType:
		changed := *object
		changed.Deprecated = !changed.Deprecated
		return c.command(encodeCommand(kindUpdateEventType, changed))
	}
	panic("an object of no kind")
}

// object remembers one as the state machine made it.
func object[T any](t *testing.T, c *script, body []byte) *T {
	t.Helper()
	made := new(T)
	if err := decodeJSON(body, made); err != nil {
		t.Fatal(err)
	}
	c.objects = append(c.objects, made)
	return made
}

// changeKeys is about API keys, of which some expire.
func (c *script) changeKeys() Command {
	pick := func() webhook.ID { return append(c.keys, webhook.ID{})[c.rnd.Intn(len(c.keys)+1)] }
	switch c.rnd.Intn(7) {
	case 6: // not about keys, but as rare
		before, err := c.store.Settings()
		if err != nil {
			return c.command(nil, err)
		}
		body, err := encodeCommand(kindPutSettings, webhook.Settings{DisplayName: fmt.Sprint("n", c.rnd.Intn(9)), Logo: []string{"", largestLogo}[c.rnd.Intn(2)], Revision: before.Revision})
		if err != nil {
			return c.command(nil, err)
		}
		return c.command(encodeBehalf(&testActor, body))
	case 0:
		return c.command(encodeCommand(kindRevokeKeys, revokeKeys{Key: pick()}))
	case 1:
		return c.command(encodeCommand(kindRevokeKeys, revokeKeys{App: c.app, Last: c.rnd.Int63n(2) * 3600}))
	case 2:
		return c.command(encodeCommand(kindTouchKeys, []touchKey{{pick(), time.UnixMilli(testClock + c.rnd.Int63n(1e6)).UTC()}, {pick(), time.UnixMilli(testClock).UTC()}}))
	}
	key := webhook.APIKey{Name: "k", Role: webhook.RoleReader, Hash: webhook.HashToken("x")}
	if c.rnd.Intn(2) == 0 {
		key.Role, key.App = webhook.RoleApplication, c.app
		key.ExpiresAt = time.UnixMilli(testClock + c.rnd.Int63n(2*IdempotencyWindow.Milliseconds())).UTC()
	}
	return c.command(encodeCommand(kindCreateKey, key))
}

// replay makes, moves and changes tasks, and attempts what they have taken.
func (c *script) replay(t *testing.T) (commands []Command) {
	endpoint := c.eps[c.rnd.Intn(len(c.eps))].endpoint
	if c.rnd.Intn(12) == 0 {
		made := createTask{Task: webhook.Task{App: c.app, Endpoint: endpoint, Since: time.UnixMilli(testClock), Which: webhook.ReplayAll}}
		if c.rnd.Intn(3) == 0 { // it is refused while there is no such event type
			made.EventTypes = []string{fmt.Sprint("type", c.rnd.Intn(4))}
		}
		commands = append(commands, c.command(encodeCommand(kindCreateTask, made)))
	}
	open, _ := c.store.Tasks(Page{Limit: 100}, TaskFilter{Endpoint: endpoint, Statuses: []webhook.TaskStatus{webhook.TaskRunning, webhook.TaskPaused}})
	for _, task := range open {
		switch c.rnd.Intn(6) {
		case 0, 1:
			step, err := c.store.NextStep(task, 1+c.rnd.Intn(4))
			if err != nil {
				t.Fatal(err)
			}
			commands = append(commands, c.command(encodeStepTask(1, &step), nil))
		case 2:
			status := []webhook.TaskStatus{webhook.TaskRunning, webhook.TaskRunning, webhook.TaskPaused, webhook.TaskCanceled}[c.rnd.Intn(4)]
			commands = append(commands, c.command(encodeCommand(kindChangeTask, changeTask{task.ID, status})))
		}
	}
	lines, err := c.store.Deliveries().Manual(endpoint, true, c.rnd.Intn(4))
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) > 0 && c.rnd.Intn(4) == 0 {
		commands = append(commands, c.command(encodeCommand(kindResend, resend{c.app, endpoint, lines[0].Message})))
	}
	p := webhook.Progress{Endpoint: endpoint}
	for _, line := range lines {
		p.Outcomes = append(p.Outcomes, webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Message: line.Message, Endpoint: endpoint, URL: "http://x/",
			Number: line.Number, Trigger: webhook.TriggerManual, Task: line.Task, Status: webhook.Status(2 * c.rnd.Intn(2)), Start: time.UnixMilli(testClock)}})
	}
	if len(lines) > 0 {
		commands = append(commands, c.command(encodeProgress(1, []webhook.Progress{p}), nil))
	}
	return commands
}

func (c *script) command(body []byte, err error) Command {
	if err != nil {
		panic(err)
	}
	command := Command{Body: body}
	c.rnd.Read(command.Request[:])
	return command
}

// progress is what the scheduler of one leader may say: answers come out of order, retries in
// between, some twice.
func (c *script) progress() webhook.Progress {
	d := c.eps[c.rnd.Intn(len(c.eps))]
	p := webhook.Progress{Endpoint: d.endpoint}
	for range 1 + c.rnd.Intn(3) {
		o := webhook.Outcome{Attempt: webhook.Attempt{Endpoint: p.Endpoint, URL: "http://x/", Number: 1, Status: webhook.StatusFail,
			Start: time.UnixMilli(testClock), Response: []byte("no")}}
		switch {
		case len(d.past) > 0 && c.rnd.Intn(8) == 0:
			p.Outcomes = append(p.Outcomes, d.past[c.rnd.Intn(len(d.past))])
			continue
		case len(d.retries) > 0 && c.rnd.Intn(2) == 0:
			k := c.rnd.Intn(len(d.retries))
			o.Source, o.Due, o.Attempt.Message, o.Attempt.Number = webhook.SourceRetry, d.retries[k].Due, d.retries[k].Message, d.retries[k].Made+1
			d.retries = slices.Delete(d.retries, k, k+1)
		case len(d.todo) > 0:
			k := c.rnd.Intn(min(3, len(d.todo)))
			o.Attempt.Message = d.todo[k]
			d.todo = slices.Delete(d.todo, k, k+1)
		default:
			continue
		}
		if a := &o.Attempt; c.rnd.Intn(2) == 0 {
			c.due += 1 + c.rnd.Int63n(9) // never twice, or an answer that is told twice could settle another's line
			a.Next = time.UnixMilli(testClock + c.due)
			d.retries = append(d.retries, webhook.Retry{Message: a.Message, Made: a.Number, Due: a.Next})
		}
		d.past = append(d.past, o)
		p.Outcomes = append(p.Outcomes, o)
	}
	p.Cursor = c.before(d)
	return p
}

// before is the place before the first message that is not attempted.
func (c *script) before(d *delivery) (place webhook.ID) {
	for _, id := range c.sent {
		if len(d.todo) > 0 && !d.todo[0].After(id) {
			break
		}
		place = id
	}
	return place
}

func (c *script) learn(t *testing.T, commands []Command, replies [][]byte) {
	for i, command := range commands {
		body, err := decodeReply(replies[i])
		if err != nil {
			continue
		}
		if kind(command.Body[0]) == kindIdempotent {
			_, _, command.Body, _ = decodeIdempotent(command.Body[1:])
			if body[0] == replyRepeated {
				continue
			}
			body = body[1:]
		}
		switch kind(command.Body[0]) {
		case kindCreateApplication:
			var made createApplication
			if err := decodeJSON(body, &made); err != nil {
				t.Fatal(err)
			}
			c.objects = append(c.objects, &made.Application)
			if c.app.IsZero() {
				c.app = made.Application.ID
			}
		case kindUpdateApplication:
			object[webhook.Application](t, c, body)
		case kindUpdateEndpoint:
			object[webhook.Endpoint](t, c, body)
		case kindCreateEventType, kindUpdateEventType:
			object[webhook.EventType](t, c, body)
		case kindCreateEndpoint:
			made := object[webhook.Endpoint](t, c, body)
			if command.Since == 0 {
				c.eps = append(c.eps, &delivery{endpoint: made.ID})
			}
		case kindCreateKey:
			var made webhook.APIKey
			if err := decodeJSON(body, &made); err != nil {
				t.Fatal(err)
			}
			c.keys = append(c.keys, made.ID)
		case kindCreateMessage:
			if command.Since > 0 {
				continue
			}
			c.add(webhook.ID(body))
		case kindCreateMessages:
			list, err := readPlaced(body)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				if command.Since == 0 && !p.ID.IsZero() {
					c.add(p.ID)
				}
			}
		}
	}
}

func (c *script) add(id webhook.ID) {
	c.sent = append(c.sent, id)
	for _, d := range c.eps {
		d.todo = append(d.todo, id)
	}
}

// content is all that a store holds, as a snapshot.
func content(t *testing.T, s *Store) []byte {
	t.Helper()
	_, size, stream, err := s.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size) // io.ReadAll would copy it again and again
	_, err = io.ReadFull(stream, data)
	if err == nil {
		_, err = io.ReadFull(stream, make([]byte, 1))
	}
	if end := stream.Close(); end != nil || !errors.Is(err, io.EOF) {
		t.Fatalf("the snapshot does not have the %d bytes that it promised: %v", size, errors.Join(err, end))
	}
	return data
}

// TestDeterminism applies one history in two ways: straight, and with commits, restarts, replays
// and moves to another node at random points. Both must end with the same bytes and the same
// replies.
func TestDeterminism(t *testing.T) {
	for seed := range int64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := newScript(t, seed, 300)
			straight := closing(t, openTest(t, memdir.New(t)))
			var replies [][][]byte
			for i := range c.entries {
				replies = append(replies, applyEntry(t, straight, c.entries, i))
			}
			dir := memdir.New(t)
			s := openTest(t, dir)
			rnd := rand.New(rand.NewSource(seed + 100))
			for i := 0; i < len(c.entries); i++ {
				got := applyEntry(t, s, c.entries, i)
				if !slices.EqualFunc(got, replies[i], bytes.Equal) {
					t.Fatalf("entry %d: other replies", i+1)
				}
				switch rnd.Intn(12) {
				case 0:
					if err := s.Commit(); err != nil {
						t.Fatal(err)
					}
				case 1:
					s = crash(t, s, dir)
					i = int(s.Applied()) - 1 // Raft replays the rest
				case 2:
					other := memdir.New(t)
					moved := openTest(t, other)
					if err := moved.RestoreSnapshot(bytes.NewReader(content(t, s))); err != nil {
						t.Fatal(err)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s, dir = moved, other
				}
			}
			if !bytes.Equal(content(t, s), content(t, straight)) {
				t.Error("the stores differ")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// crash forgets what is not committed, as the end of the process would.
func crash(t *testing.T, s *Store, dir string) *Store {
	t.Helper()
	s.pending.Lock()
	s.pending.awaitCommit()
	s.pending.staged = s.pending.newBatch(*s.snapshots.last())
	s.pending.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openTest(t, dir)
}
