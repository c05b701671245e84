package wal

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/systemtest/memdir"
	"hookwheel/wal/blobfiles"
	"hookwheel/webhook"
)

// patient is a store in good health with a record of every kind, for a test to damage.
type patient struct {
	dir       string
	app       webhook.ID
	endpoint  webhook.ID
	idle      webhook.ID // an endpoint that has sent nothing
	removed   webhook.ID // an endpoint whose retry set is being emptied
	goneApp   webhook.ID // an application that is being removed
	leaving   webhook.ID // its endpoint
	messages  []webhook.ID
	attempts  []webhook.ID // at endpoint, of messages[:4]; [4] is the second of messages[0]
	due       time.Time    // of the line of messages[0]
	index     uint64
	overtaker [16]byte
	key       webhook.ID // an API key
	task      webhook.ID // that has taken messages[3], which waits
	db        *database
	txn       transaction
}

var (
	patientKey   = [16]byte{7, 8}
	patientReply = patientKey[:]
)

// aging is the list of idempotency keys by age, which has one entry.
func (p *patient) aging() []byte {
	keys, err := firstKeysIn(viewOf(p.txn).view, []byte{keyAging}, 2)
	if err != nil || len(keys) != 1 {
		panic(err)
	}
	return keys[0]
}

const patientRetries = 4*sweepPerEntry + 20

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{dir: memdir.New(t), due: time.UnixMilli(testClock + 500).UTC(), overtaker: [16]byte{0xee, 1}}
	s := openTest(t, p.dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{UID: "acme", Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	p.app = app.ID
	for _, id := range []*webhook.ID{&p.endpoint, &p.idle, &p.removed} {
		e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", UID: string(rune('a' + s.Applied()))})
		if err != nil {
			t.Fatal(err)
		}
		*id = e.ID
	}
	once := encodeIdempotent(patientKey, [16]byte{}, encodeFingerprint())
	if reply := applyList(t, s, once, once)[1]; reply[1] != replyRepeated {
		t.Fatalf("%x", reply)
	}
	key, err := w.CreateKey(t.Context(), webhook.APIKey{Name: "portal", Role: webhook.RoleApplication, App: app.ID, Hash: webhook.HashToken("x")})
	if err != nil {
		t.Fatal(err)
	}
	p.key = key.ID
	p.send(t, s)
	p.deliver(t, s, w)
	if _, err := w.CreateEventType(t.Context(), webhook.EventType{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.PutSettings(t.Context(), webhook.Settings{DisplayName: "a"}); err != nil {
		t.Fatal(err)
	}
	p.leave(t, w)
	if err := w.DeleteEndpoint(t.Context(), app.ID, p.removed); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteApplication(t.Context(), p.goneApp); err != nil {
		t.Fatal(err)
	}
	if _, err := NewCleaner(s, w).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := webhook.Outcome{Source: webhook.SourceRetry, Attempt: webhook.Attempt{Message: p.messages[3], Number: 2, URL: "http://x/"}}
	nextHour := Command{Body: encodeProgress(1, []webhook.Progress{{Endpoint: p.endpoint, Outcomes: []webhook.Outcome{late}}}), Request: [16]byte{0xee, 2}}
	if _, err := s.Apply(s.Applied()+1, 1, testClock+hour, []Command{nextHour}); err != nil {
		t.Fatal(err)
	}
	again := Command{Request: p.overtaker, Since: s.Applied(), Body: encodeFingerprint()}
	if _, err := s.Apply(s.Applied()+1, 1, testClock, []Command{again}); err != nil {
		t.Fatal(err)
	}
	if err := s.Configure(s.Applied()+1, 1, []byte("conf")); err != nil {
		t.Fatal(err)
	}
	p.index = s.Applied()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// clone makes a patient in the same health: a test for each damage would take long to make its own.
func (p *patient) clone(t *testing.T) *patient {
	t.Helper()
	other := *p
	other.dir = memdir.New(t)
	if err := os.CopyFS(other.dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	return &other
}

// leave makes an application with all that it may leave when it is removed.
func (p *patient) leave(t *testing.T, w *Writer) {
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "gone"}, false)
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", EventID: "a-event"})
	if err != nil {
		t.Fatal(err)
	}
	failed := webhook.Outcome{Attempt: webhook.Attempt{Message: id, Number: 1, URL: "http://x/", Next: p.due}}
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{{Endpoint: e.ID, Cursor: id, Outcomes: []webhook.Outcome{failed}}}); err != nil {
		t.Fatal(err)
	}
	p.goneApp, p.leaving = app.ID, e.ID
}

// send makes messages, two to an entry.
func (p *patient) send(t *testing.T, s *Store) {
	for i := range patientRetries / 2 {
		var bodies [][]byte
		for j := range 2 {
			m := webhook.Message{App: p.app, EventType: "a"}
			if i < 3 {
				m.EventID = string(rune('a'+i*2+j)) + "-event"
			}
			if i == 10 {
				m.Retention = 24 * time.Hour
			}
			bodies = append(bodies, appendCreateMessage(nil, &m))
		}
		for _, reply := range applyList(t, s, bodies...) {
			p.messages = append(p.messages, webhook.ID(reply[1:]))
		}
	}
	applyList(t, s, mustEncode(t, kindRetain, retain{Records: 1, Looked: []part{{p.app, p.messages[0]}}}))
}

// deliver attempts the first four messages at endpoint, of which the third is left out by the
// cursor, and all of them in vain at the one that will be removed.
func (p *patient) deliver(t *testing.T, s *Store, w *Writer) {
	at := func(message webhook.ID, number uint32, next time.Time) webhook.Outcome {
		return webhook.Outcome{Attempt: webhook.Attempt{Message: message, Number: number, URL: "http://x/", Next: next}}
	}
	none := time.Time{}
	first := webhook.Progress{Endpoint: p.endpoint, Cursor: p.messages[1], Outcomes: []webhook.Outcome{
		at(p.messages[0], 1, p.due.Add(-time.Second)), at(p.messages[1], 1, none), at(p.messages[3], 1, none), at(p.messages[4], 1, none)}}
	second := at(p.messages[0], 2, p.due)
	second.Source, second.Due = webhook.SourceRetry, p.due.Add(-time.Second)
	held := webhook.Outcome{Attempt: webhook.Attempt{Message: p.messages[8]}, Hold: true}
	vain := webhook.Progress{Endpoint: p.removed, Cursor: p.messages[len(p.messages)-1]}
	for i, id := range p.messages {
		vain.Outcomes = append(vain.Outcomes, at(id, 1, p.due.Add(time.Duration(i)*time.Millisecond)))
	}
	for _, list := range [][]webhook.Progress{{first}, {{Endpoint: p.endpoint, Outcomes: []webhook.Outcome{second, held}}}, {vain}} {
		if err := w.Leader(1).RecordProgress(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		// An hour passes, so that its attempts are put away.
		if _, err := s.Apply(s.Applied()+1, 1, testClock+hour, []Command{{Request: [16]byte{byte(s.Applied()), 0xed}, Body: encodeFingerprint()}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Resend(t.Context(), p.app, p.endpoint, p.messages[1]); err != nil {
		t.Fatal(err)
	}
	task, err := w.CreateTask(t.Context(), webhook.Task{Kind: webhook.TaskReplay, Which: webhook.ReplayAll, App: p.app, Endpoint: p.endpoint, Since: time.UnixMilli(testClock)})
	if err != nil {
		t.Fatal(err)
	}
	p.task = task.ID
	step := webhook.TaskStep{Task: task.ID, From: task.Position, To: p.messages[3], Looked: 4, Messages: p.messages[3:4]}
	if err := w.Leader(1).StepTask(t.Context(), &step); err != nil {
		t.Fatal(err)
	}
}

func (p *patient) changeTask(change func(*webhook.Task)) {
	var task webhook.Task
	if err := decodeJSON(p.get(idKey(keyTask, p.task)), &task); err != nil {
		panic(err)
	}
	change(&task)
	p.set(idKey(keyTask, p.task), p.json(&task))
}

// operate opens the folder for changes.
func (p *patient) operate(t *testing.T) {
	t.Helper()
	db, err := openToCheck(p.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.db, p.txn = db, transaction{Txn: db.NewTransactionAt(1<<62, true), blobs: db.blobs}
	err = viewOf(p.txn).scan(idKey(keyIndex, p.messages[0]), func(key, value []byte) error {
		if webhook.ID(value) == p.endpoint {
			p.attempts = append(p.attempts, webhook.ID(key[1+idSize:]))
		}
		return nil
	})
	if err != nil || len(p.attempts) != 2 {
		t.Fatal(p.attempts, err)
	}
}

func (p *patient) set(key, value []byte) {
	if err := p.txn.Set(key, value); err != nil {
		panic(err)
	}
}

// refer lets a record refer to a value in a blob file.
func (p *patient) refer(record []byte, ref blobfiles.Ref) {
	if err := p.txn.SetEntry(badger.NewEntry(record, ref.Append(nil)).WithMeta(isReference)); err != nil {
		panic(err)
	}
}

func (p *patient) remove(key []byte) {
	if err := p.txn.Delete(key); err != nil {
		panic(err)
	}
}

func (p *patient) get(key []byte) []byte {
	value, found, err := p.txn.record(key)
	if err != nil || !found {
		panic(fmt.Sprint(key, found, err))
	}
	return value
}

func (p *patient) json(v any) []byte {
	data, err := encodeJSON(v)
	if err != nil {
		panic(err)
	}
	return data
}

// changeEndpoint changes the record of an endpoint.
func (p *patient) changeEndpoint(change func(*webhook.Endpoint)) {
	key := idKey(keyEndpoint, p.app, p.endpoint)
	var e webhook.Endpoint
	if err := decodeJSON(p.get(key), &e); err != nil {
		panic(err)
	}
	change(&e)
	p.set(key, p.json(e))
}

func (p *patient) changeKey(change func(*webhook.APIKey)) {
	key := idKey(keyAPIKey, p.key)
	var k webhook.APIKey
	if err := decodeJSON(p.get(key), &k); err != nil {
		panic(err)
	}
	change(&k)
	p.set(key, p.json(k))
}

func (p *patient) changeMeta(change func(*meta)) {
	var m meta
	if err := m.decode(p.get(metaKey)); err != nil {
		panic(err)
	}
	change(&m)
	p.set(metaKey, m.encode())
}

func (p *patient) changeCursor(change func(*cursor)) {
	key := idKey(keyCursor, p.endpoint)
	var c cursor
	if err := c.decode(p.get(key)); err != nil {
		panic(err)
	}
	change(&c)
	p.set(key, c.encode())
}

// changeLog changes the chunk of the log that holds a message.
func (p *patient) changeLog(id webhook.ID, change func([]webhook.Message) []webhook.Message) {
	key := chunkKey(keyLog, p.app, id)
	list, err := decodeMessages(key, p.get(key), p.app)
	if err != nil {
		panic(err)
	}
	p.set(key, encodeMessages(change(list)))
}

func (p *patient) changeHistory(id webhook.ID, change func([]webhook.Attempt) []webhook.Attempt) {
	key := chunkKey(keyHistory, p.endpoint, id)
	list, err := decodeAttempts(key, p.get(key), p.endpoint)
	if err != nil {
		panic(err)
	}
	p.set(key, encodeAttempts(change(list)))
}

func (p *patient) line(message int) []byte { return retryKey(p.endpoint, p.due, p.messages[message]) }

// A patient has records of every kind, so that each check has something to look at.
func TestPatientHasEverything(t *testing.T) {
	p := newPatient(t)
	report, err := Check(p.dir, CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, kind := range recordKinds {
		if kind.name != "" && report.Records[kind.name] == 0 && prefix != keyDropped { // each entry would remove some of what it is about
			t.Errorf("no record of kind %c (%s)", prefix, kind.name)
		}
	}
}
