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

// Applications together leave a quarter to others, however many they are and however much they
// want; and the more they are, the less each gets, so that one which comes later finds something.
func TestSharesOfCustomers(t *testing.T) { synctest.Test(t, testSharesOfCustomers) }

func testSharesOfCustomers(t *testing.T) {
	const total = 8000
	s := newShares("request bodies", total)
	app := func(i int) owner { return owner{application: true, id: webhook.NewID(1_790_000_000_000, uint64(i), 0)} }
	var loans []*loan
	for i := range 24 {
		l, err := s.lend(app(i), 20)
		if err != nil {
			t.Fatalf("application %d, which has nothing: %v", i, err)
		}
		for loans = append(loans, l); l.grow(10) == nil; {
		}
		if i == 0 && l.size != total/8 {
			t.Errorf("an application that is alone gets %d of %d", l.size, total)
		}
	}
	if last := loans[23].size; last >= total/16 {
		t.Errorf("the last of 24 applications gets %d of %d", last, total)
	}
	if err := loans[23].grow(10); webhook.ErrorCode(err) != webhook.CodeUnavailable {
		t.Errorf("an application with less than its share: %v", err)
	}
	for _, who := range []owner{stranger, {}} {
		l, err := s.lend(who, total/8)
		if err != nil {
			t.Errorf("what is left to %v: %v", who, err)
		}
		loans = append(loans, l)
	}
	for _, l := range loans {
		l.end()
	}
	if s.used != 0 || s.customers != 0 || len(s.by) != 0 {
		t.Errorf("%d are lent to %v at the end, %d to applications", s.used, s.by, s.customers)
	}
}
