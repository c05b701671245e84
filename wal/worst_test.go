package wal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

// commandsPerEntry is how many commands the cluster puts into an entry at most.
const commandsPerEntry = 128

// entryLimit is how much an entry of commandsPerEntry commands may write, in bytes.
const entryLimit = 64 << 20

// maxReply is a size in bytes above which a reply is not kept, as it can be read again.
const maxReply = 256

// countWrites makes a store count what it writes from now on, in bytes, whether it is committed or
// not.
func countWrites(s *Store) (written func() int) {
	p := s.pending
	p.Lock()
	defer p.Unlock()
	committed, checkRoom := -p.staged.size, p.checkRoom
	p.checkRoom = func(bytes int) error { // is called before each commit
		committed += p.staged.size
		return checkRoom(bytes)
	}
	return func() int {
		p.Lock()
		defer p.Unlock()
		return committed + p.staged.size
	}
}

// current reads a record as of the last entry applied.
func current(s *Store, key []byte) (value []byte, found bool, err error) {
	s.pending.Lock()
	defer s.pending.Unlock()
	return s.pending.get(key)
}

// worst is a store whose records are as large as they may be, and the entries that have made them.
type worst struct {
	t         *testing.T
	store     *Store
	entries   [][]Command
	app       webhook.ID
	endpoints []webhook.ID
	messages  []webhook.ID
	attempts  []webhook.ID
	keys      []webhook.ID
	tasks     []webhook.ID
	due       []part
	written   func() int // by the store, in bytes
}

// largestLogo is about as large as a logo may be.
var largestLogo = "data:image/png;base64," + strings.Repeat("AAAA", 8186)

// wide is text that takes six bytes a character as JSON.
func wide(size int) string { return strings.Repeat("&", size) }

func words(count, size int) (list []string) {
	for i := range count {
		list = append(list, fmt.Sprintf("%0*d", size, i))
	}
	return list
}

// newWorst makes as many things of each kind as an entry can change.
func newWorst(t *testing.T) *worst {
	w := &worst{t: t, store: closing(t, openTest(t, uncheckedDir(t)))}
	w.written = countWrites(w.store)
	reply := w.add(mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: wide(4096), UID: webhook.OperationalUID}}))
	tolerate(t, "")
	w.made(reply, kindCreateApplication)
	w.made(w.add(mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: wide(4096), UID: "a"}})), kindCreateApplication)
	w.add(mustEncode(t, kindCreateEventType, w.eventType(0)))
	for i := range commandsPerEntry {
		w.made(w.add(mustEncode(t, kindCreateEndpoint, w.endpoint(i))), kindCreateEndpoint)
		w.made(w.add(mustEncode(t, kindCreateKey, w.key(i))), kindCreateKey)
		w.made(w.add(mustEncode(t, kindCreateTask, w.task(i))), kindCreateTask)
		short := appendCreateMessage(nil, &webhook.Message{App: w.app, EventType: "a", Retention: time.Hour, Payload: make([]byte, 100)})
		payload := make([]byte, 250_000)
		if i >= 2*worstPerEntry { // more than enough are large
			payload = payload[:1000]
		}
		long := appendCreateMessage(nil, &webhook.Message{App: w.app, EventType: "a", Payload: payload})
		replies := w.add(short, long)
		w.made(replies[1:], kindCreateMessage)
		w.due = append(w.due, part{w.app, w.messages[len(w.messages)-1]})
	}
	for i := range commandsPerEntry / 8 { // chunks of a history
		p := webhook.Progress{Endpoint: w.endpoints[i]}
		for _, message := range w.messages[:8] {
			p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: message, Number: 1, URL: "http://x/",
				Status: webhook.StatusFail, Start: time.UnixMilli(testClock), Response: make([]byte, webhook.MaxResponse)}})
		}
		w.add(encodeProgress(1, []webhook.Progress{p}))
	}
	w.fillChanges()
	return w
}

// fillChanges uses up the share of a customer's changes with the smallest there are, each in a
// record of its own. So many of them leave for each of the largest.
func (w *worst) fillChanges() {
	by := webhook.Actor{Type: webhook.ActorJWT, Role: webhook.RoleApplication, App: w.app}
	for i := 0; i%2 == 1 || w.store.RemovedChanges(w.app).Count == 0; i++ {
		status := []webhook.TaskStatus{webhook.TaskPaused, webhook.TaskRunning}[i%2]
		body, err := encodeBehalf(&by, mustEncode(w.t, kindChangeTask, changeTask{w.tasks[0], status}))
		if err != nil {
			w.t.Fatal(err)
		}
		w.add(body)
	}
}

// endpoint is as large as one may be, if commands change it. The others are small, because each
// start of a store reads all of them.
func (w *worst) endpoint(i int) webhook.Endpoint {
	e := webhook.Endpoint{App: w.app, URL: "http://x/", UID: fmt.Sprint("e", i), Keys: testKeys}
	if i < worstPerEntry {
		e.URL, e.Description, e.Channels = e.URL+wide(8000), wide(4096), words(10, 256)
	}
	return e
}

func (w *worst) key(i int) webhook.APIKey {
	return webhook.APIKey{Name: wide(4000), Role: webhook.RoleAdmin, Hash: webhook.HashToken(fmt.Sprint(i))}
}

func (w *worst) task(i int) webhook.Task {
	return webhook.Task{Kind: webhook.TaskReplay, Which: webhook.ReplayAll, App: w.app, Endpoint: w.endpoints[i%len(w.endpoints)], Since: time.UnixMilli(testClock)}
}

func (w *worst) eventType(i int) webhook.EventType {
	return webhook.EventType{Name: fmt.Sprint("t", i), Description: wide(4096), Schemas: map[string]json.RawMessage{"1": json.RawMessage(`"` + strings.Repeat("x", 40_000) + `"`)}}
}

// worstOf is the command of a kind that writes most, at a place in an entry.
func (w *worst) worstOf(k kind, i int) (body []byte) {
	endpoint, message := w.endpoints[i], w.messages[i]
	e := w.endpoint(i)
	e.ID, e.Disabled = endpoint, true
	if is := w.store.catalog.endpoints[endpoint]; is != nil {
		e.Revision = is.Revision
	}
	a := *w.store.catalog.applications[w.app]
	eventType := w.eventType(0)
	if is, err := w.store.EventType(eventType.Name); err == nil {
		eventType.Revision = is.Revision
	}
	settings, err := w.store.Settings()
	if err != nil {
		panic(err)
	}
	settings.DisplayName, settings.Logo, settings.LogoDark = strings.Repeat("&", 128), largestLogo, largestLogo
	var touched touchKeys
	for _, key := range w.keys[:maxTouches] {
		touched = append(touched, touchKey{key, time.UnixMilli(testClock + int64(i) + 1).UTC()})
	}
	objects := map[kind]any{
		kindCreateApplication: createApplication{Application: a, GetIfExists: true},
		kindUpdateApplication: a,
		kindDeleteApplication: deleteApplication{w.app},
		kindCreateEndpoint:    func() webhook.Endpoint { e := e; e.UID = fmt.Sprint("n", i); return e }(),
		kindUpdateEndpoint:    e,
		kindDeleteEndpoint:    deleteEndpoint{w.app, endpoint},
		kindDisableEndpoint:   disableEndpoint{1, endpoint, time.UnixMilli(testClock).UTC(), 1<<64 - 1},
		kindMoveCursor:        moveCursor{App: w.app, Endpoint: endpoint, To: message},
		kindCreateEventType:   w.eventType(i + 1),
		kindUpdateEventType:   eventType,
		kindDeleteEventType:   deleteEventType{Name: "t0"},
		kindExpungeMessage:    expunge{App: w.app, Message: message},
		kindExpungeAttempt:    expunge{App: w.app, Message: w.messages[i%8], Attempt: w.attempt(i)},
		kindRetain:            retain{Before: testClock, Records: retainRecords, Parts: w.due},
		kindSweep:             sweep{Records: sweepPerEntry},
		kindResend:            resend{w.app, endpoint, message},
		kindCreateKey:         w.key(i),
		kindRevokeKeys:        revokeKeys{App: w.app, Last: 60},
		kindTouchKeys:         touched,
		kindCreateTask:        w.task(i),
		kindChangeTask:        changeTask{w.tasks[i], webhook.TaskPaused},
		kindPutSettings:       settings,
		kindRecordMember:      recordMember{webhook.MemberAdded, wide(600)},
	}
	switch k {
	case kindCreateMessage:
		body = appendCreateMessage(nil, &webhook.Message{App: w.app, EventType: "a", EventID: fmt.Sprint("new-", i), Retention: time.Hour, Payload: make([]byte, 30_000)})
	case kindCreateMessages:
		var list []webhook.Message
		for j := range MaxMessages {
			list = append(list, webhook.Message{EventType: "a", EventID: fmt.Sprint("part-", i, "-", j), Retention: time.Hour, Payload: make([]byte, 300)})
		}
		body = encodeCreateMessages(w.app, placed(list...))
	case kindRecordProgress:
		body = w.progress(i)
	case kindStepTask:
		at := w.store.catalog.task(w.tasks[i]).Position
		step := webhook.TaskStep{Task: w.tasks[i], From: at, To: at, Looked: 64, Messages: w.messages[:64]}
		body = encodeStepTask(1, &step)
	case kindFingerprint:
		body = encodeFingerprint()
	case kindKeepAnswer:
		body = encodeIdempotent([16]byte{byte(i), 2}, [16]byte{}, encodeKeepAnswer(make([]byte, 30_000)))
	case kindIdempotent:
		body = encodeIdempotent([16]byte{byte(i), 1}, [16]byte{}, mustEncode(w.t, kindMoveCursor, objects[kindMoveCursor]))
	case kindBehalf:
		e.Description = wide(4095) // an endpoint that stays as it is makes no change
		actor := webhook.Actor{Type: webhook.ActorKey, Role: webhook.RoleApplication, Key: w.keys[0], App: w.app, Name: wide(256), Session: words(1, 256)[0]}
		var err error
		if body, err = encodeBehalf(&actor, mustEncode(w.t, kindUpdateEndpoint, e)); err != nil {
			w.t.Fatal(err)
		}
	default:
		body = mustEncode(w.t, k, objects[k])
	}
	return body
}

// attempt is one of those that there are, or none.
func (w *worst) attempt(i int) (id webhook.ID) {
	if i < len(w.attempts) {
		id = w.attempts[i]
	}
	return id
}

// progress is about all endpoints, each of which fails for good and is parked.
func (w *worst) progress(i int) []byte {
	var list []webhook.Progress
	now := time.UnixMilli(testClock).UTC()
	for j, endpoint := range w.endpoints {
		o := webhook.Outcome{Attempt: webhook.Attempt{Message: w.messages[i], Number: 1, URL: "http://x/" + wide(100), Status: webhook.StatusFail, Start: now}}
		if j == 0 {
			o.Attempt.Response, o.Attempt.URL = make([]byte, webhook.MaxResponse), "http://x/"+wide(8000)
		}
		health := &webhook.Health{Parked: i%2 == 0, Since: now, FailingSince: now, LastFailure: wide(200)}
		list = append(list, webhook.Progress{Endpoint: endpoint, Outcomes: []webhook.Outcome{o}, Health: health})
	}
	return encodeProgress(1, list)
}

// add applies an entry and remembers it.
func (w *worst) add(bodies ...[]byte) [][]byte {
	w.t.Helper()
	var commands []Command
	for i, body := range bodies {
		n := len(w.entries)
		commands = append(commands, Command{Request: [16]byte{byte(n), byte(n >> 8), byte(i)}, Body: body})
	}
	w.entries = append(w.entries, commands)
	return w.apply(w.store, len(w.entries)-1)
}

func (w *worst) apply(s *Store, i int) [][]byte {
	w.t.Helper()
	clock := int64(testClock) + int64(i)
	if i > 4*commandsPerEntry {
		clock += 2 * time.Hour.Milliseconds()
	}
	replies, err := s.Apply(uint64(i+1), 1, clock, w.entries[i])
	if err != nil {
		w.t.Fatal(err)
	}
	return replies
}

// made notes what the replies to commands of a kind name.
func (w *worst) made(replies [][]byte, k kind) {
	w.t.Helper()
	for _, reply := range replies {
		body, err := decodeReply(reply)
		if err != nil {
			w.t.Fatal(err)
		}
		c := &script{}
		switch k {
		case kindCreateApplication:
			w.app = object[createApplication](w.t, c, body).Application.ID
		case kindCreateEndpoint:
			w.endpoints = append(w.endpoints, object[webhook.Endpoint](w.t, c, body).ID)
		case kindCreateKey:
			w.keys = append(w.keys, object[webhook.APIKey](w.t, c, body).ID)
		case kindCreateTask:
			w.tasks = append(w.tasks, object[webhook.Task](w.t, c, body).ID)
		case kindCreateMessage:
			w.messages = append(w.messages, webhook.ID(body))
		}
	}
}

// follow applies the entries that a store lacks, and commits it after some of them. With a folder
// it is started again instead, and its commits are cut short.
func (w *worst) follow(s *Store, dir string, rnd *rand.Rand, more func(i int) bool) *Store {
	w.t.Helper()
	for i := int(s.Applied()); i < len(w.entries); i = int(s.Applied()) {
		w.apply(s, i)
		switch {
		case dir != "" && more(i):
			if s, _ = crashInCommit(w.t, s, dir, rnd.Intn(2)); int(s.Applied()) == len(w.entries) {
				return s
			}
			w.apply(s, int(s.Applied()))
			if err := s.Commit(); err != nil {
				w.t.Fatal(err)
			}
		case more(i):
			if err := s.Commit(); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return s
}

// TestWorstEntries applies an entry of as many commands of each kind as an entry may hold, each of
// which writes as much as one can. It leads to the same bytes on stores that commit elsewhere, one
// of which crashes in the middle of it.
func TestWorstEntries(t *testing.T) {
	w := newWorst(t)
	w.attempts = append(w.attempts, attemptsOf(t, w.store, w.endpoints[:commandsPerEntry/8])...)
	dir := uncheckedDir(t)
	rnd := rand.New(rand.NewSource(1))
	often, crashing := closing(t, openTest(t, uncheckedDir(t))), openTest(t, dir)
	last := []kind{kindExpungeAttempt, kindExpungeMessage, kindRetain, kindDeleteEventType, kindDeleteEndpoint, kindDeleteApplication}
	var kinds []kind // those that leave nothing to the others last
	for k := kind(1); k <= lastKind; k++ {
		if !slices.Contains(last, k) {
			kinds = append(kinds, k)
		}
	}
	kinds = append(kinds, last...)
	for n, k := range kinds {
		var bodies [][]byte
		for i := range worstPerEntry {
			body := w.worstOf(k, i)
			bodies = append(bodies, body)
			if reply := w.store.Admit(body, nil, false); reply != nil {
				t.Fatalf("kind %d is refused: %s", k, reply)
			}
		}
		before := w.written()
		_, cutBefore, _ := w.store.RemovedChangesBy()
		replies := w.add(bodies...)
		size := w.written() - before
		if limit := entryLimit / commandsPerEntry * len(bodies); size > limit {
			t.Errorf("%d commands of kind %d write %d bytes, more than %d", len(bodies), k, size, limit)
		}
		if _, err := decodeReply(replies[0]); err != nil {
			t.Errorf("kind %d, which is to be the worst, is refused: %v", k, err)
		}
		if _, cut, _ := w.store.RemovedChangesBy(); k == kindBehalf && cut-cutBefore < uint64(4*len(bodies)) {
			t.Errorf("%d changes of a customer make room with only %d", len(bodies), cut-cutBefore)
		}
		if value, found, err := current(w.store, requestsKey(w.store.Applied())); !found || err != nil || len(value) > commandsPerEntry*(maxReply+64) {
			t.Errorf("the requests of an entry of kind %d take %d bytes: %v", k, len(value), err)
		}
		manyCommits := int64(size) > w.store.db.MaxBatchSize()/partLimit
		crashing = w.follow(crashing, dir, rnd, func(i int) bool {
			return i%400 == 0 || i == len(w.entries)-1 && (manyCommits || n%4 == 0 || n == len(kinds)-1)
		})
	}
	w.follow(often, "", rnd, func(i int) bool { return i%50 == 0 })
	want := content(t, w.store)
	for name, s := range map[string]*Store{"often": often, "crashing": crashing} {
		if !bytes.Equal(content(t, s), want) {
			t.Errorf("the store that commits %s has another state: %q", name, differences(t, want, content(t, s)))
		}
	}
	if err := crashing.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Check(dir, CheckOptions{})
	if err != nil || report.Err() != nil {
		t.Error(err, report)
	}
}

// attemptsOf are the attempts in the histories of some endpoints.
func attemptsOf(t *testing.T, s *Store, endpoints []webhook.ID) (ids []webhook.ID) {
	t.Helper()
	for _, endpoint := range endpoints {
		list, _, err := s.Attempts().ByEndpoint(endpoint, Page{Limit: 100, Ascending: true}, AttemptFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// TestRandomWorstEntries mixes the worst commands of all kinds in entries.
func TestRandomWorstEntries(t *testing.T) {
	rnd := seeded(t)
	w := newWorst(t)
	dir := uncheckedDir(t)
	crashing := openTest(t, dir)
	for range 8 {
		var bodies [][]byte
		for range 1 + rnd.Intn(commandsPerEntry) {
			k := 1 + kind(rnd.Intn(int(lastKind)))
			if k == kindDeleteApplication || k == kindFingerprint || len(w.store.catalog.endpoints) < commandsPerEntry {
				k = kindCreateMessage
			}
			bodies = append(bodies, w.worstOf(k, rnd.Intn(worstPerEntry)))
		}
		w.add(bodies...)
		crashing = w.follow(crashing, dir, rnd, func(i int) bool { return i%400 == 0 || i == len(w.entries)-1 })
	}
	if !bytes.Equal(content(t, crashing), content(t, w.store)) {
		t.Error("the stores differ")
	}
	if err := crashing.Close(); err != nil {
		t.Fatal(err)
	}
}

// The reply to a repetition of a request is whole, though an entry does not keep replies that can
// be read again.
func TestLargeRepliesAreReadAgain(t *testing.T) {
	s, w, app, _ := newWorld(t)
	endpoint, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/" + wide(8000), Keys: testKeys})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.CreateApplication(t.Context(), webhook.Application{UID: "wide", Name: wide(1000)}, false); err != nil {
		t.Fatal(err)
	}
	resume := mustEncode(t, kindMoveCursor, moveCursor{App: app.ID, Endpoint: endpoint.ID})
	forms := map[string][]byte{
		"resume":          resume,
		"resume once":     encodeIdempotent([16]byte{1}, [16]byte{}, resume),
		"get application": mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{UID: "wide", Name: "n"}, GetIfExists: true}),
		"application":     mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: wide(1000)}}),
		"event type":      mustEncode(t, kindCreateEventType, webhook.EventType{Name: "t", Description: wide(1000)}),
		"task":            mustEncode(t, kindCreateTask, webhook.Task{App: app.ID, Endpoint: endpoint.ID, Since: time.UnixMilli(testClock), Channel: strings.Repeat("c", 250)}),
	}
	for name, body := range forms {
		t.Run(name, func(t *testing.T) {
			index := s.Applied() + 1
			first := Command{Request: [16]byte{7, byte(index)}, Body: body}
			again := first
			again.Since = index
			var replies [][]byte
			for _, entry := range [][]Command{{first, again}, {again}} {
				got, err := s.Apply(s.Applied()+1, 1, testClock+4*int64(index), entry)
				if err != nil {
					t.Fatal(err)
				}
				replies = append(replies, got...)
			}
			if len(replies[0]) <= maxReply {
				t.Fatalf("the reply has only %d bytes", len(replies[0]))
			}
			for _, reply := range replies[1:] {
				if !bytes.Equal(reply, replies[0]) {
					t.Errorf("first %q, then %q", replies[0], reply)
				}
			}
			if value, _, err := s.pending.get(requestsKey(index)); err != nil || len(value) > 100 {
				t.Errorf("the entry keeps %d bytes: %v", len(value), err)
			}
		})
	}
	t.Run("removed meanwhile", func(t *testing.T) {
		first := Command{Request: [16]byte{8}, Body: resume}
		again := first
		again.Since = s.Applied() + 1
		remove := Command{Request: [16]byte{9}, Body: mustEncode(t, kindDeleteEndpoint, deleteEndpoint{app.ID, endpoint.ID})}
		replies, err := s.Apply(s.Applied()+1, 1, testClock, []Command{first, remove, again})
		if err != nil {
			t.Fatal(err)
		}
		_, err = decodeReply(replies[2])
		wantCode(t, err, webhook.CodeNotFound)
	})
}
