package httpapi

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/systemtest/wait"
	"hookwheel/wal"
	"hookwheel/webhook"
)

// proposer applies each proposal at once, as an entry of its own.
type proposer struct {
	mu    sync.Mutex
	store *wal.Store
	count int
}

func (p *proposer) Propose(_ context.Context, command []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	index := p.store.Applied() + 1
	replies, err := p.store.Apply(index, 1, time.Now().UnixMilli(), []wal.Command{{Request: [16]byte{byte(index)}, Body: command}})
	if err != nil {
		return nil, err
	}
	return replies[0], nil
}

func TestLastUseIsRecorded(t *testing.T) {
	store, err := wal.Open(wal.Config{Dir: memdir.New(t), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	p := &proposer{store: store}
	a := &authenticator{live: new(atomic.Pointer[live]), config: &Config{Store: store, Writer: wal.NewWriter(p), Logger: slog.New(slog.DiscardHandler)}}
	ctx, stop := context.WithCancel(t.Context())
	var recording sync.WaitGroup
	t.Cleanup(func() {
		stop()
		recording.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	key, err := a.config.Writer.CreateKey(t.Context(), webhook.APIKey{Name: "k", Role: webhook.RoleReader, Hash: webhook.HashToken("secret")})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // a record for all of them
		if got, err := a.apiKey(key.ID, "secret"); err != nil || got.ID != key.ID {
			t.Fatal(got, err)
		}
		if _, err := a.apiKey(key.ID, "Secret"); err != errToken {
			t.Fatal(err)
		}
	}
	recording.Go(func() { a.recordUse(ctx, time.Millisecond) })
	wait.For(t, "the use of the key to be recorded", func() bool {
		got, err := store.APIKey(key.ID, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return !got.LastUsed.IsZero()
	})
	if _, err := a.apiKey(key.ID, "secret"); err != nil { // has been recorded within the minute
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond) // in which it would be recorded again
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count != 2 {
		t.Errorf("%d entries, want one for the key and one for its use", p.count)
	}
}

// However many keys are used, few are noted.
func TestLastUseIsBounded(t *testing.T) {
	var l lastUse
	now := time.Now()
	for i := range lastUseMax + 100 {
		l.note(&webhook.APIKey{ID: webhook.NewID(now.UnixMilli(), uint64(i+1), 0)}, now)
	}
	if n := len(l.take()); n != lastUseMax {
		t.Errorf("%d keys are noted", n)
	}
	if l.take() != nil {
		t.Error("what was taken is still there")
	}
}
