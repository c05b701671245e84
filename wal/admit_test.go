package wal

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

const lastKind = kindKeepAnswer

var testActor = webhook.Actor{Type: webhook.ActorKey, Role: webhook.RoleAdmin, Key: webhook.NewID(testClock, 1, 1), Name: "deployment"}

func mustBehalf(t testing.TB, command []byte) []byte {
	t.Helper()
	body, err := encodeBehalf(&testActor, command)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// legalCommands has one command of each kind that Admit accepts.
func legalCommands(t testing.TB, app, endpoint, message webhook.ID) map[kind][]byte {
	t.Helper()
	now := time.UnixMilli(testClock).UTC()
	e := webhook.Endpoint{ID: endpoint, App: app, URL: "http://x/", Keys: testKeys}
	task := webhook.Task{Kind: webhook.TaskReplay, Which: webhook.ReplayAll, App: app, Endpoint: endpoint, Since: now}
	objects := map[kind]any{
		kindCreateApplication: createApplication{Application: webhook.Application{Name: "n"}},
		kindUpdateApplication: webhook.Application{ID: app, Name: "n"},
		kindDeleteApplication: deleteApplication{app},
		kindCreateEndpoint:    e,
		kindUpdateEndpoint:    e,
		kindDeleteEndpoint:    deleteEndpoint{app, endpoint},
		kindDisableEndpoint:   disableEndpoint{Term: 1, Endpoint: endpoint, FailSince: now},
		kindMoveCursor:        moveCursor{App: app, Endpoint: endpoint, To: message},
		kindCreateEventType:   webhook.EventType{Name: "a"},
		kindUpdateEventType:   webhook.EventType{Name: "a"},
		kindDeleteEventType:   deleteEventType{Name: "a"},
		kindExpungeMessage:    expunge{App: app, Message: message},
		kindExpungeAttempt:    expunge{App: app, Message: message, Attempt: message},
		kindRetain:            retain{Before: testClock, Records: 5, Parts: []part{{app, message}}},
		kindSweep:             sweep{Records: 5},
		kindResend:            resend{app, endpoint, message},
		kindCreateKey:         webhook.APIKey{Name: "k", Role: webhook.RoleAdmin, Hash: webhook.HashToken("x")},
		kindRevokeKeys:        revokeKeys{App: app, Last: 60},
		kindTouchKeys:         touchKeys{{app, now}},
		kindCreateTask:        task,
		kindChangeTask:        changeTask{message, webhook.TaskPaused},
		kindPutSettings:       webhook.Settings{DisplayName: "n"},
		kindRecordMember:      recordMember{webhook.MemberAdded, "n2"},
	}
	legal := map[kind][]byte{
		kindCreateMessage:  appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a", Payload: []byte("{}")}),
		kindCreateMessages: encodeCreateMessages(app, placed(webhook.Message{EventType: "a", Payload: []byte("{}")}, webhook.Message{EventType: "a", Tags: []string{"t"}, Payload: []byte("{}")})),
		kindRecordProgress: encodeProgress(1, []webhook.Progress{failures(endpoint, 2)}),
		kindStepTask:       encodeStepTask(1, &webhook.TaskStep{Task: message, Messages: []webhook.ID{message}}),
		kindFingerprint:    encodeFingerprint(),
		kindKeepAnswer:     encodeKeepAnswer([]byte("{}")),
	}
	for k, object := range objects {
		legal[k] = mustEncode(t, k, object)
	}
	legal[kindIdempotent] = encodeIdempotent([16]byte{1}, [16]byte{}, legal[kindCreateEventType])
	legal[kindBehalf] = mustBehalf(t, legal[kindIdempotent])
	for k := kind(1); k <= lastKind; k++ {
		if legal[k] == nil {
			t.Fatalf("there is no command of kind %d", k)
		}
	}
	return legal
}

// admitted reports whether Admit lets a command through; if not it must say why.
func admitted(t *testing.T, s *Store, body []byte) bool {
	t.Helper()
	reply := s.Admit(body, nil, false)
	if reply == nil {
		return true
	}
	if _, err := decodeReply(reply); webhook.ErrorCode(err) == webhook.CodeInternal || err.Error() == "" {
		t.Errorf("%x is refused with %q", body[:min(len(body), 20)], reply)
	}
	return false
}

// Whatever a command is wrapped in, the watermark judges it alike, and only what adds to the state
// needs room.
func TestNoWrappingEscapesAdmission(t *testing.T) {
	s, _, app, endpoint := newWorld(t)
	legal := legalCommands(t, app.ID, endpoint.ID, endpoint.ID)
	growing := []kind{kindCreateMessage, kindCreateMessages, kindCreateApplication, kindCreateEndpoint, kindCreateEventType, kindCreateKey, kindResend, kindCreateTask, kindIdempotent, kindBehalf}
	for _, full := range []bool{false, true} {
		if full {
			setMinFree(s, 1<<62)
		}
		for k, body := range legal {
			want := !full || !slices.Contains(growing, k)
			if got := admitted(t, s, body); got != want {
				t.Errorf("full %v: kind %d is admitted: %v", full, k, got)
			}
			if got := admitted(t, s, encodeIdempotent([16]byte{2}, [16]byte{}, body)); got != (want && k != kindIdempotent && k != kindBehalf) {
				t.Errorf("full %v: kind %d with an idempotency key is admitted: %v", full, k, got)
			}
			if got := admitted(t, s, mustBehalf(t, body)); got != (want && k != kindBehalf) {
				t.Errorf("full %v: kind %d with an actor is admitted: %v", full, k, got)
			}
		}
	}
}

// What this program can't apply never reaches the log.
func TestForgedCommandsAreRefused(t *testing.T) {
	s, _, app, endpoint := newWorld(t)
	legal := legalCommands(t, app.ID, endpoint.ID, endpoint.ID)
	refused := func(what string, body []byte) {
		t.Helper()
		for _, form := range [][]byte{body, encodeIdempotent([16]byte{3}, [16]byte{}, body)} {
			if admitted(t, s, form) || s.Admit(form, nil, true) == nil {
				t.Errorf("%s is admitted: %q", what, form[:min(len(form), 100)])
			}
		}
	}
	for k := range 256 {
		for version := range 256 {
			if body := legal[kind(k)]; body == nil || version != commandVersion {
				forged := slices.Concat([]byte{byte(k), byte(version)}, slices.Clone(body)[min(2, len(body)):])
				refused("an unknown kind or version", forged)
			}
		}
	}
	for _, body := range legal {
		refused("a cut command", body[:len(body)-1])
		refused("a longer command", append(slices.Clone(body), 7))
	}
	hugeList := slices.Repeat([]string{strings.Repeat("a", 256)}, 1000)
	late := time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -86340)).UTC()
	progress := func(change func(*webhook.Outcome)) []byte {
		p := failures(endpoint.ID, 1)
		change(&p.Outcomes[0])
		return encodeProgress(1, []webhook.Progress{p})
	}
	illegal := map[string][]byte{
		"nothing":              nil,
		"a kind alone":         {byte(kindFingerprint)},
		"a large payload":      appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, maxPayload+1)}),
		"a long event type":    appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: strings.Repeat("a", 257)}),
		"a retention for ever": appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Retention: 1 << 62}),
		"a far delivery":       appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", DeliverAt: late}),
		"many messages":        encodeCreateMessages(app.ID, slices.Repeat(placed(webhook.Message{EventType: "a"}), MaxMessages+1)),
		"a place twice":        encodeCreateMessages(app.ID, slices.Repeat(placed(webhook.Message{EventType: "a"}), 2)),
		"a far place":          encodeCreateMessages(app.ID, []PlacedMessage{{Place: MaxMessages, Message: webhook.Message{EventType: "a"}}}),
		"large payloads":       encodeCreateMessages(app.ID, placed(webhook.Message{EventType: "a", Payload: make([]byte, maxPayload)}, webhook.Message{EventType: "a", Payload: []byte("{}")})),
		"an invalid message":   encodeCreateMessages(app.ID, placed(webhook.Message{EventType: "a"}, webhook.Message{EventType: "a b"})),
		"a large response":     progress(func(o *webhook.Outcome) { o.Attempt.Response = make([]byte, webhook.MaxResponse+1) }),
		"a long URL":           progress(func(o *webhook.Outcome) { o.Attempt.URL = strings.Repeat("a", maxURL+1) }),
		"an unknown status":    progress(func(o *webhook.Outcome) { o.Attempt.Status = 9 }),
		"an unknown trigger":   progress(func(o *webhook.Outcome) { o.Attempt.Trigger = 9 }),
		"a negative duration":  progress(func(o *webhook.Outcome) { o.Attempt.Duration = -time.Millisecond }),
		"a late attempt":       progress(func(o *webhook.Outcome) { o.Attempt.Start = late }),
		"many endpoints":       encodeProgress(1, make([]webhook.Progress, maxProgress+1)),
		"many outcomes":        encodeProgress(1, []webhook.Progress{failures(endpoint.ID, maxOutcomes+1)}),
		"a long step":          encodeStepTask(1, &webhook.TaskStep{Messages: make([]webhook.ID, webhook.MaxTaskStep+1)}),
		"a large answer":       encodeKeepAnswer(make([]byte, maxAnswer+1)),
		"an idle retain":       mustEncode(t, kindRetain, retain{}),
		"a large retain":       mustEncode(t, kindRetain, retain{Records: retainRecords + 1}),
		"an idle sweep":        mustEncode(t, kindSweep, sweep{}),
		"a large sweep":        mustEncode(t, kindSweep, sweep{sweepPerEntry + 1}),
		"a negative size":      mustEncode(t, kindRetain, retain{Records: 1, Size: -1}),
		"many touches":         mustEncode(t, kindTouchKeys, make(touchKeys, maxTouches+1)),
		"a negative expiry":    mustEncode(t, kindRevokeKeys, revokeKeys{App: app.ID, Last: -1}),
		"an endless expiry":    mustEncode(t, kindRevokeKeys, revokeKeys{App: app.ID, Last: 1 << 62}),
		"an unknown role":      mustEncode(t, kindCreateKey, webhook.APIKey{Name: "k", Role: "root"}),
		"a large key":          mustEncode(t, kindCreateKey, webhook.APIKey{Name: "k", Role: webhook.RoleApplication, App: app.ID, FeatureFlags: hugeList}),
		"an unknown task":      mustEncode(t, kindCreateTask, webhook.Task{Kind: "x", Which: webhook.ReplayAll}),
		"an unknown choice":    mustEncode(t, kindCreateTask, webhook.Task{Kind: webhook.TaskReplay, Which: "x"}),
		"a large task":         mustEncode(t, kindCreateTask, webhook.Task{Kind: webhook.TaskReplay, Which: webhook.ReplayAll, EventTypes: hugeList}),
		"an ended task":        mustEncode(t, kindChangeTask, changeTask{endpoint.ID, webhook.TaskFinished}),
		"a nameless app":       mustEncode(t, kindCreateApplication, createApplication{}),
		"a URL of none":        mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: app.ID, URL: "x"}),
		"many keys":            mustEncode(t, kindUpdateEndpoint, webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: make([]webhook.Key, webhook.MaxKeys+1)}),
		"an unknown style":     mustEncode(t, kindUpdateEndpoint, webhook.Endpoint{App: app.ID, URL: "http://x/", Style: "x"}),
		"a late key":           []byte(string(rune(kindCreateEndpoint)) + "\x01" + `{"url":"http://x/","keys":[{"expires":"9999-12-31T23:59:59-24:00"}]}`),
	}
	unnumbered := progress(func(o *webhook.Outcome) { o.Attempt.Message = app.ID })
	unnumbered[bytes.Index(unnumbered, app.ID[:])+idSize] = 0
	illegal["no attempt, and no flag that says so"] = unnumbered
	for what, body := range illegal {
		refused(what, body)
	}
	before := s.Applied()
	if err := s.Commit(); err != nil || s.Applied() != before {
		t.Error("a refused command has done something", err)
	}
}

// FuzzAdmit: what Admit lets through, Apply can do, on a store that has something of each kind.
func FuzzAdmit(f *testing.F) {
	config := Config{Dir: f.TempDir(), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { f.Error(err) }}
	s, err := Open(config)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() }) // what is broken has been told
	w := NewWriter(direct{s, 1})
	if _, _, err := w.CreateApplication(f.Context(), webhook.Application{Name: "o", UID: webhook.OperationalUID}, false); err != nil {
		f.Fatal(err)
	}
	app, _, err := w.CreateApplication(f.Context(), webhook.Application{Name: "n"}, false)
	if err != nil {
		f.Fatal(err)
	}
	endpoint, err := w.CreateEndpoint(f.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: testKeys})
	if err != nil {
		f.Fatal(err)
	}
	message, err := w.CreateMessage(f.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range legalCommands(f, app.ID, endpoint.ID, message) {
		f.Add(body)
		f.Add(encodeIdempotent([16]byte{9}, [16]byte{}, body))
	}
	addGolden(f, 0, "command recordProgress", "command stepTask", "command idempotent")
	f.Fuzz(func(t *testing.T, body []byte) {
		if s.Admit(body, nil, false) != nil {
			return
		}
		if cost := s.Cost(body); cost < len(body) {
			t.Errorf("a command of %d bytes costs %d", len(body), cost)
		}
		index := s.Applied() + 1
		request := [16]byte{byte(index), byte(index >> 8), byte(index >> 16), byte(index >> 24)}
		replies, err := s.Apply(index, 1, testClock+int64(index), []Command{{Request: request, Body: body}})
		if err != nil {
			t.Fatalf("admitted, and not applied: %v", err)
		}
		if _, err := decodeReply(replies[0]); err != nil && webhook.ErrorCode(err) == webhook.CodeInternal {
			t.Errorf("reply %q: %v", replies[0], err)
		}
	})
}

// admitting is a Proposer that only asks whether a command would be admitted.
type admitting struct{ store *Store }

func (a admitting) Propose(_ context.Context, command []byte) ([]byte, error) {
	if err := a.store.admit(command, nil, false); err != nil {
		return nil, err
	}
	return okReply(nil), nil
}

// Whatever an attempt says, it can be recorded: the attempts of all endpoints are recorded
// together, so one that was refused would hold up all others.
func TestLongAttemptsAreRecorded(t *testing.T) {
	s, _, _, endpoint := newWorld(t)
	p := failures(endpoint.ID, 2)
	p.Outcomes[0].Attempt.Response = make([]byte, 256<<10)
	p.Outcomes[1].Attempt.Trace = &webhook.Trace{Headers: bytes.Repeat([]byte("a: b\n"), 10_000)}
	if err := NewWriter(admitting{s}).Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
		t.Error(err)
	}
}
