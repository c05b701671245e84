package httpapi

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

func TestShares(t *testing.T) { synctest.Test(t, testShares) }

func testShares(t *testing.T) {
	s := newShares("request bodies", 800)
	one, other := owner{application: true, id: webhook.NewID(1_790_000_000_000, 1, 0)}, owner{id: webhook.NewID(1_790_000_000_000, 2, 0)}
	first, err := s.lend(one, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.lend(one, 1); webhook.ErrorCode(err) != codeTooMany {
		t.Errorf("an application beyond its share: %v", err)
	}
	second, err := s.lend(other, 400)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.grow(1); webhook.ErrorCode(err) != codeTooMany {
		t.Errorf("a key beyond its share: %v", err)
	}
	third, err := s.lend(owner{}, 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := third.grow(1); webhook.ErrorCode(err) != webhook.CodeUnavailable {
		t.Errorf("all is lent: %v", err)
	}
	first.end()
	first.end()
	if err := third.grow(100); err != nil {
		t.Errorf("what was given back: %v", err)
	}
	second.shrink(1)
	second.end()
	third.end()
	if s.used != 0 || len(s.by) != 0 {
		t.Errorf("%d bytes are lent to %v at the end", s.used, s.by)
	}
}

// Waiting borrowers get what others give back, and nothing is lost.
func TestSharesInTurns(t *testing.T) { synctest.Test(t, testSharesInTurns) }

func testSharesInTurns(t *testing.T) {
	s := newShares("request bodies", 160)
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() {
			l, err := s.lend(owner{application: true, id: webhook.NewID(1_790_000_000_000, uint64(i%20), 0)}, 5)
			if err == nil {
				err = l.grow(15)
			}
			if err != nil && webhook.ErrorCode(err) != codeTooMany && webhook.ErrorCode(err) != webhook.CodeUnavailable {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
			l.end()
		})
	}
	wait.Wait()
	if s.used != 0 || len(s.by) != 0 {
		t.Errorf("%d bytes are lent to %v at the end", s.used, s.by)
	}
}
