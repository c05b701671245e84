package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/wal/badgerfiles"
	"hookwheel/webhook"
)

// Everything that was made is there after a restart, as it was returned when it was made.
func TestRestartKeepsAll(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{UID: "acme", Name: "Acme", RateLimit: 5, Metadata: map[string]string{"k": "v"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	eventType, err := w.CreateEventType(t.Context(), webhook.EventType{Name: "a", Description: "d"})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, UID: "main", URL: "http://x/", EventTypes: []string{"a"},
		Keys: testKeys, Disabled: true})
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", EventID: "e", Channels: []string{"c"}, Payload: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	due := time.UnixMilli(testClock).UTC()
	progress := webhook.Progress{Endpoint: endpoint.ID, Outcomes: []webhook.Outcome{{Attempt: webhook.Attempt{Message: id, Number: 1, URL: "http://x/", Next: due}}}}
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{progress}); err != nil {
		t.Fatal(err)
	}
	before := content(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = closing(t, openTest(t, dir))
	if diff := differences(t, before, content(t, s)); len(diff) > 0 {
		t.Errorf("%q differ", diff)
	}
	for _, name := range []string{"acme", app.ID.Text(webhook.KindApplication)} {
		got, err := s.Application(name)
		wantSame(t, got, app, err)
	}
	for _, name := range []string{"main", endpoint.ID.Text(webhook.KindEndpoint)} {
		got, err := s.Endpoint(app.ID, name)
		wantSame(t, got, endpoint, err)
	}
	sameType, err := s.EventType("a")
	wantSame(t, sameType, eventType, err)
	for _, name := range []string{"e", id.Text(webhook.KindMessage)} {
		m, err := s.Message(app.ID, name)
		wantSame(t, m, &webhook.Message{ID: id, App: app.ID, EventType: "a", EventID: "e", Channels: []string{"c"}, Payload: []byte("{}")}, err)
	}
	retries, err := s.Deliveries().Retries(endpoint.ID, webhook.Retry{}, 9)
	wantSame(t, retries, []webhook.Retry{{Message: id, Made: 1, Due: due}}, err)
	if place := s.Deliveries().Place(endpoint.ID); place.Position != endpoint.ID || !slices.Equal(place.Done, []webhook.ID{id}) {
		t.Errorf("cursor at %v with %v", place.Position, place.Done)
	}
	w = NewWriter(direct{s, 1})
	_, _, err = w.CreateApplication(t.Context(), webhook.Application{UID: "acme", Name: "n"}, false)
	wantCode(t, err, webhook.CodeConflict)
	_, err = w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, UID: "main", URL: "http://y/"})
	wantCode(t, err, webhook.CodeConflict)
	_, err = w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventID: "e", EventType: "a"})
	wantCode(t, err, webhook.CodeConflict)
}

// A name may be taken up again where it is free: in another application, or once its owner is gone.
func TestUIDsAreUniqueWhereTheyMustBe(t *testing.T) {
	_, w, app, endpoint := newWorld(t)
	other, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "other"}, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.CreateEndpoint(t.Context(), webhook.Endpoint{App: other.ID, UID: endpoint.UID, URL: "http://x/"})
	if err != nil {
		t.Errorf("in another application: %v", err)
	}
	for _, id := range []webhook.ID{app.ID, other.ID} {
		if _, err = w.CreateMessage(t.Context(), &webhook.Message{App: id, EventID: "e", EventType: "a"}); err != nil {
			t.Errorf("event id: %v", err)
		}
	}
	if err := w.DeleteEndpoint(t.Context(), app.ID, endpoint.ID); err != nil {
		t.Fatal(err)
	}
	if _, err = w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, UID: endpoint.UID, URL: "http://x/"}); err != nil {
		t.Errorf("after its owner was deleted: %v", err)
	}
	for range 2 { // without a uid nothing is compared
		if _, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, true); err != nil {
			t.Error(err)
		}
	}
}

// A conflict within one entry is one as well.
func TestConflictsWithinAnEntry(t *testing.T) {
	s, _, app, _ := newWorld(t)
	message := appendCreateMessage(nil, &webhook.Message{App: app.ID, EventID: "e", EventType: "a"})
	application := mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{UID: "new", Name: "n"}})
	endpoint := mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: app.ID, UID: "new", URL: "http://x/"})
	replies := applyList(t, s, message, message, application, application, endpoint, endpoint)
	for i, reply := range replies {
		_, err := decodeReply(reply)
		if i%2 == 0 && err != nil {
			t.Errorf("reply %d: %v", i, err)
		}
		if i%2 == 1 {
			wantCode(t, err, webhook.CodeConflict)
		}
	}
}

// The order of ids is the order of the log, within an entry and from one to the next.
func TestIDsAreInLogOrder(t *testing.T) {
	s, _, app, _ := newWorld(t)
	var ids []webhook.ID
	for i := range 30 {
		var bodies [][]byte
		for range 1 + i%5 {
			bodies = append(bodies, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"}))
		}
		for _, reply := range applyList(t, s, bodies...) {
			ids = append(ids, webhook.ID(reply[1:]))
		}
	}
	if !slices.IsSortedFunc(ids, webhook.ID.Compare) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("ids are not in the order in which they were given")
	}
	list, next, err := s.Messages(app.ID, Page{Ascending: true, Limit: 1000}, MessageFilter{})
	if got := idsOf(t, list, messageID, err); !next.IsZero() || !slices.Equal(got, ids) {
		t.Errorf("%d messages in the log, %d created", len(got), len(ids))
	}
}

// What is gone can't be had, but its history can; what comes for it later changes nothing.
func TestDeletedEndpoint(t *testing.T) {
	inventsMessages(t)
	s, w, app, endpoint := newWorld(t)
	p := failures(endpoint.ID, 2)
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	other, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "other"}, false)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.DeleteEndpoint(t.Context(), other.ID, endpoint.ID), webhook.CodeNotFound) // that is not its application
	if err := w.DeleteEndpoint(t.Context(), app.ID, endpoint.ID); err != nil {
		t.Fatal(err)
	}
	late := failures(endpoint.ID, 3)
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{late}); err != nil {
		t.Fatal(err)
	}
	if more, err := NewCleaner(s, w).Sweep(t.Context()); more || err != nil {
		t.Errorf("two lines are not removed at once: %v", err)
	}
	list, _, err := s.Attempts().ByEndpoint(endpoint.ID, Page{Limit: 10}, AttemptFilter{})
	if err != nil || len(list) != 2 {
		t.Errorf("the history has %d attempts, want the 2 from before; %v", len(list), err)
	}
	retries, err := s.Deliveries().Retries(endpoint.ID, webhook.Retry{}, 10)
	if err != nil || len(retries) != 0 {
		t.Errorf("%d retries, %v", len(retries), err)
	}
	if list, _ := s.Endpoints(app.ID, Page{Limit: 10}); len(list) != 0 || len(s.AllEndpoints()) != 0 {
		t.Errorf("%d endpoints", len(list))
	}
	for key := range recordsOf(t, content(t, s)) {
		if strings.ContainsRune("ECRD", rune(key[0])) {
			t.Errorf("%q is left", key)
		}
	}
}

func TestNames(t *testing.T) {
	s, _, app, endpoint := newWorld(t)
	nobody := idAt(99, 0)
	tests := map[string]func() error{
		"no such application":            func() error { return second(s.Application("nobody")) },
		"no application with this id":    func() error { return second(s.Application(nobody.Text(webhook.KindApplication))) },
		"an endpoint's id":               func() error { return second(s.Application(endpoint.ID.Text(webhook.KindEndpoint))) },
		"no name":                        func() error { return second(s.Application("")) },
		"no endpoint of that name":       func() error { return second(s.Endpoint(app.ID, "nobody")) },
		"an endpoint without a name":     func() error { return second(s.Endpoint(app.ID, "")) },
		"an endpoint of another":         func() error { return second(s.Endpoint(nobody, endpoint.ID.Text(webhook.KindEndpoint))) },
		"an endpoint's name elsewhere":   func() error { return second(s.Endpoint(nobody, endpoint.UID)) },
		"a broken endpoint id":           func() error { return second(s.Endpoint(app.ID, "ep_1")) },
		"no message with this id":        func() error { return second(s.Message(app.ID, nobody.Text(webhook.KindMessage))) },
		"no message with this event id":  func() error { return second(s.Message(app.ID, "e")) },
		"a broken message id":            func() error { return second(s.Message(app.ID, "msg_1")) },
		"nothing at that place of a log": func() error { return second(s.Deliveries().MessageByID(app.ID, app.ID)) },
	}
	for name, find := range tests {
		t.Run(name, func(t *testing.T) { wantCode(t, find(), webhook.CodeNotFound) })
	}
}

func second[T any](_ T, err error) error { return err }

// What a crash may leave in the folder is put in order.
func TestFolderAfterCrash(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if _, _, err := NewWriter(direct{s, 1}).CreateApplication(t.Context(), webhook.Application{UID: "acme", Name: "n"}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name, err := badgerfiles.CurrentName(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := []string{filepath.Join(dir, name, "00099.mem"), filepath.Join(dir, name, "000099.vlog"), filepath.Join(dir, badgerfiles.CurrentFile+".tmp")}
	for _, path := range left {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "db-99", "half"), 0o700); err != nil {
		t.Fatal(err)
	}
	s = closing(t, openTest(t, dir))
	if _, err := s.Application("acme"); err != nil {
		t.Error(err)
	}
	if folders := countFolders(t, dir); folders != 1 {
		t.Errorf("%d Badger folders", folders)
	}
}

// A CURRENT that names nothing sensible is an error, not a new store.
func TestDamagedCurrent(t *testing.T) {
	for _, text := range []string{"", "db-", "db-x", "../elsewhere", "1"} {
		t.Run(text, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, badgerfiles.CurrentFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Config{Dir: dir, MinFree: 1})
			if err == nil {
				t.Errorf("opened a store in a folder whose CURRENT is %q", text)
				_ = s.Close()
			}
		})
	}
}

// The reason names storage.min_free only if that is the limit.
func TestShortOfRoom(t *testing.T) {
	s, _, _, _ := newWorld(t)
	setMinFree(s, 1<<62)
	if short := s.gate.short(); !strings.Contains(short, "storage.min_free of 4398046511104 MiB") {
		t.Errorf("below storage.min_free: %q", short)
	}
	setMinFree(s, 1)
	s.space.room.Store(1 << 62)
	if short := s.gate.short(); !strings.Contains(short, "less than the 4398046511104 MiB that compacting its store may need") {
		t.Errorf("below what compacting needs: %q", short)
	}
	if !s.space.IsCritical() {
		t.Error("attempts are made though compacting has no room")
	}
}

// Only events are refused when the disk is filling up; what was accepted can still be delivered.
func TestAdmit(t *testing.T) {
	s, _, app, endpoint := newWorld(t)
	message := appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})
	others := [][]byte{encodeProgress(1, []webhook.Progress{failures(endpoint.ID, 1)}),
		mustEncode(t, kindDeleteEndpoint, deleteEndpoint{app.ID, endpoint.ID})}
	if reply := s.Admit(message, nil, false); reply != nil {
		t.Errorf("with room: %s", reply)
	}
	if s.space.IsCritical() {
		t.Error("with room: critical")
	}
	setMinFree(s, 1<<62)
	if !s.space.IsCritical() {
		t.Error("without room: not critical")
	}
	_, err := decodeReply(s.Admit(message, nil, false))
	wantCode(t, err, webhook.CodeNoSpace)
	if reply := s.Admit(message, nil, true); reply != nil {
		t.Errorf("a repetition, whose first try may have been taken, is refused: %s", reply)
	}
	for _, body := range others {
		if reply := s.Admit(body, nil, false); reply != nil {
			t.Errorf("%x is refused: %s", body, reply)
		}
	}
}

// The errors of the state machine come through the codec as what they are.
func TestReplies(t *testing.T) {
	want := &webhook.Error{Code: webhook.CodeConflict, Detail: "why", Field: "uid"}
	reply, err := errorReply(want)
	if err != nil {
		t.Fatal(err)
	}
	_, err = decodeReply(reply)
	var got *webhook.Error
	if !errors.As(err, &got) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", err)
	}
	for _, bad := range [][]byte{nil, {replyError}, {7, '{'}} {
		if _, err := decodeReply(bad); err == nil || errors.As(err, &got) {
			t.Errorf("%v is a reply: %v", bad, err)
		}
	}
	if body, err := decodeReply(okReply(nil)); err != nil || len(body) != 0 {
		t.Error(fmt.Sprint(body, err))
	}
}

// What a crash has left is removed only by the process that has the store: another one may be
// loading a folder, which takes the place of the current one.
func TestLeftoversOfAnother(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	loading := filepath.Join(dir, "db-2")
	if err := os.MkdirAll(loading, 0o700); err != nil {
		t.Fatal(err)
	}
	cleaned := 0
	config := Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Clean: func() error { cleaned++; return nil }}
	if other, err := Open(config); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v, want %v", err, ErrInUse)
		if err == nil {
			_ = other.Close()
		}
	}
	if _, err := os.Stat(loading); err != nil || cleaned > 0 {
		t.Errorf("a second process removed what the first is loading, or called Clean: %v, %d", err, cleaned)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(config); err != nil {
		t.Error(err)
	} else {
		closing(t, s)
	}
	if _, err := os.Stat(loading); err == nil || cleaned != 1 {
		t.Errorf("what a crash left is still there, or Clean was called %d times", cleaned)
	}
}
