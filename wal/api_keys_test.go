package wal

import (
	"errors"
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

func newKey(t *testing.T, w *Writer, role webhook.Role, app webhook.ID, expires time.Time) *webhook.APIKey {
	t.Helper()
	key, err := w.CreateKey(t.Context(), webhook.APIKey{Name: "k", Role: role, App: app, Hash: webhook.HashToken("secret"), ExpiresAt: expires})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var (
	testNow   = time.UnixMilli(testClock).UTC()
	testLater = testNow.Add(24 * time.Hour)
)

func TestAPIKeys(t *testing.T) {
	dir := memdir.New(t)
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	producer := newKey(t, w, webhook.RoleProducer, webhook.ID{}, time.Time{})
	portal := newKey(t, w, webhook.RoleApplication, app.ID, testLater)
	gone := newKey(t, w, webhook.RoleReader, webhook.ID{}, time.Time{})
	if err := w.RevokeKey(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.RevokeKey(t.Context(), gone.ID), webhook.CodeNotFound)
	used := testNow.Add(time.Minute)
	for _, at := range []time.Time{used, testNow} { // an older use says nothing new
		if err := w.TouchKeys(t.Context(), map[webhook.ID]time.Time{producer.ID: at, gone.ID: at}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time after a restart
		if key, err := s.APIKey(producer.ID, testNow); err != nil || !key.LastUsed.Equal(used) || key.Role != webhook.RoleProducer {
			t.Errorf("%+v %v", key, err)
		}
		if key, err := s.APIKey(portal.ID, testLater.Add(-1)); err != nil || key.App != app.ID {
			t.Errorf("%+v %v", key, err)
		}
		_, err = s.APIKey(portal.ID, testLater)
		wantCode(t, err, webhook.CodeNotFound)
		_, err = s.APIKey(gone.ID, testNow)
		wantCode(t, err, webhook.CodeNotFound)
		list, more, err := s.APIKeys(Page{Limit: 5, Ascending: true})
		if err != nil || more || len(list) != 2 || list[0].ID != producer.ID {
			t.Errorf("%+v %v %v", list, more, err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
		s = crash(t, s, dir)
	}
	closing(t, s)
}

// Expired keys leave the store some at a time, with whatever entries come.
func TestExpiredKeysAreSwept(t *testing.T) {
	s := closing(t, openTest(t, memdir.New(t)))
	w := NewWriter(direct{s, 1})
	const count = 3*expiredPerEntry + 10
	for i := range count {
		newKey(t, w, webhook.RoleReader, webhook.ID{}, testLater.Add(time.Duration(i%7)*time.Millisecond))
	}
	kept := newKey(t, w, webhook.RoleReader, webhook.ID{}, testLater.Add(time.Hour))
	for left := count + 1; ; {
		if got := countKeys(t, s, keyAPIKey); got != left {
			t.Fatalf("%d keys, want %d", got, left)
		}
		if left == 1 {
			break
		}
		if _, err := s.Apply(s.Applied()+1, 1, testLater.UnixMilli()+10, []Command{{Request: [16]byte{9, byte(left)}, Body: encodeFingerprint()}}); err != nil {
			t.Fatal(err)
		}
		left = max(1, left-expiredPerEntry)
	}
	if _, err := s.APIKey(kept.ID, testLater); err != nil {
		t.Error(err)
	}
}

// An application has so many keys at most, of which the oldest makes room; and all of them can be
// ended.
func TestKeysOfApplication(t *testing.T) {
	s, w, app, _ := newWorld(t)
	oldest := newKey(t, w, webhook.RoleApplication, app.ID, testLater)
	for range maxApplicationKeys {
		newKey(t, w, webhook.RoleApplication, app.ID, testLater)
	}
	_, err := s.APIKey(oldest.ID, testNow)
	wantCode(t, err, webhook.CodeNotFound)
	if got := countKeys(t, s, keyAPIKey); got != maxApplicationKeys {
		t.Errorf("%d keys", got)
	}
	_, err = w.CreateKey(t.Context(), webhook.APIKey{Name: "k", Role: webhook.RoleApplication, App: idAt(9, 9), Hash: webhook.HashToken("x")})
	wantCode(t, err, webhook.CodeNotFound)
	other := newKey(t, w, webhook.RoleReader, webhook.ID{}, time.Time{})

	if err := w.ExpireAll(t.Context(), app.ID, 60, nil); err != nil { // in a minute
		t.Fatal(err)
	}
	list, _, err := s.APIKeys(Page{Limit: 1, Ascending: true})
	if now := s.pending.staged.meta.clock; err != nil || list[0].ExpiresAt.UnixMilli() != now+60_000 {
		t.Errorf("%v, the log's clock is %d; %v", list[0].ExpiresAt, now, err)
	}
	if err := w.ExpireAll(t.Context(), app.ID, 0, nil); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.ExpireAll(t.Context(), idAt(9, 9), 0, nil), webhook.CodeNotFound)
	_, err = s.APIKey(list[0].ID, testNow)
	wantCode(t, err, webhook.CodeNotFound)
	_, err = s.APIKey(other.ID, testNow)
	now, _ := s.Application(app.ID.Text(webhook.KindApplication))
	if err != nil || now.TokensSince.IsZero() {
		t.Errorf("%+v %v", now, err)
	}
	if n := countKeys(t, s, keyAPIKey); n != 1 {
		t.Errorf("%d keys are left", n)
	}
	changed, err := w.UpdateApplication(t.Context(), webhook.Application{ID: app.ID, Revision: now.Revision, Name: "b"})
	if err != nil || !changed.TokensSince.Equal(now.TokensSince) {
		t.Errorf("a change of the application lets its old tokens live again: %+v %v", changed, err)
	}
	last := newKey(t, w, webhook.RoleApplication, app.ID, testLater)
	if err := w.DeleteApplication(t.Context(), app.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.APIKey(last.ID, testNow)
	wantCode(t, err, webhook.CodeNotFound)
}

func TestTooManyKeys(t *testing.T) {
	s := closing(t, openTest(t, memdir.New(t)))
	command, err := encodeCommand(kindCreateKey, webhook.APIKey{Name: "k", Role: webhook.RoleReader, Hash: webhook.HashToken("x")})
	if err != nil {
		t.Fatal(err)
	}
	bodies := make([][]byte, 100)
	for i := range bodies {
		bodies[i] = command
	}
	for range maxAPIKeys / len(bodies) {
		applyList(t, s, bodies...)
	}
	_, err = decodeReply(applyList(t, s, command)[0])
	if !errors.As(err, new(*webhook.Error)) || webhook.ErrorCode(err) != webhook.CodeConflict {
		t.Error(err)
	}
}

// The keys of a session end without the others, and without JWTs.
func TestExpireSessions(t *testing.T) {
	s, w, app, _ := newWorld(t)
	sessions := []string{"a", "b", "", "a"}
	for _, session := range sessions {
		if _, err := w.CreateKey(t.Context(), webhook.APIKey{Name: "k", Role: webhook.RoleApplication, App: app.ID, SessionID: session, Hash: webhook.HashToken("x")}); err != nil {
			t.Fatal(err)
		}
	}
	left := func(want ...string) {
		t.Helper()
		var got []string
		for _, key := range s.KeysOf(app.ID, testLater) {
			got = append(got, key.SessionID)
		}
		now, err := s.Application(app.ID.Text(webhook.KindApplication))
		if !slices.Equal(got, want) || err != nil || !now.TokensSince.IsZero() {
			t.Errorf("sessions %q are left, want %q; %+v %v", got, want, now, err)
		}
	}
	if err := w.ExpireAll(t.Context(), app.ID, 0, []string{"c"}); err != nil {
		t.Error(err)
	}
	left("a", "b", "", "a")
	if err := w.ExpireAll(t.Context(), app.ID, 60, []string{"b"}); err != nil {
		t.Error(err)
	}
	for _, key := range s.KeysOf(app.ID, testNow) {
		if key.ExpiresAt.IsZero() != (key.SessionID != "b") {
			t.Errorf("session %q expires at %s", key.SessionID, key.ExpiresAt)
		}
	}
	if err := w.ExpireAll(t.Context(), app.ID, 0, []string{"a"}); err != nil {
		t.Error(err)
	}
	for _, key := range s.KeysOf(app.ID, testNow) {
		if key.SessionID == "a" {
			t.Error("session a is not ended")
		}
	}
}
