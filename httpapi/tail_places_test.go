package httpapi

import (
	"strings"
	"testing"

	"hookwheel/webhook"
)

func TestTailPlaces(t *testing.T) {
	places := tailPlaces{limit: 64}
	app := func(i int) owner { return owner{application: true, id: webhook.NewID(1_790_000_000_000, uint64(i), 0)} }
	for range 4 {
		if err := places.enter(app(0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := places.enter(app(0)); webhook.ErrorCode(err) != codeTooMany || !strings.Contains(err.Error(), "api.tails") {
		t.Errorf("one application beyond its share: %v", err)
	}
	for i := range 48 - 4 {
		if err := places.enter(app(1 + i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := places.enter(app(1000)); webhook.ErrorCode(err) != webhook.CodeUnavailable || !strings.Contains(err.Error(), "api.tails") {
		t.Errorf("all applications beyond their share: %v", err)
	}
	for range 64 - 48 {
		if err := places.enter(owner{}); err != nil {
			t.Fatalf("an operator has no place: %v", err)
		}
	}
	if err := places.enter(owner{}); webhook.ErrorCode(err) != webhook.CodeUnavailable || !strings.Contains(err.Error(), "api.tails") {
		t.Errorf("beyond all places: %v", err)
	}
	places.leave(app(0))
	if err := places.enter(app(1000)); err != nil {
		t.Errorf("a place that was left: %v", err)
	}
}
