package httpapi

import (
	"testing"
	"time"

	"hookwheel/webhook"
)

func TestManualSends(t *testing.T) {
	m, now := newManualSends(60), time.Unix(1_790_000_000, 0)
	portal := func(app byte) *webhook.APIKey {
		return &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{app}}
	}
	sends := func(who *webhook.APIKey, count float64) (made int) {
		for ; made < 1000 && m.admit(who, count, now) == nil; made++ {
		}
		return made
	}
	if n := sends(portal(1), 1); n != 60 {
		t.Errorf("%d sends", n)
	}
	if n := sends(portal(2), replayCost); n != 3 {
		t.Errorf("%d replays of another application", n)
	}
	if n := sends(&webhook.APIKey{Role: webhook.RoleAdmin}, 1); n != 1000 {
		t.Errorf("an operator is limited to %d", n)
	}
	now = now.Add(10 * time.Second)
	if n := sends(portal(1), 1); n != 10 {
		t.Errorf("%d sends after 10 s", n)
	}
	now = now.Add(-time.Hour) // a clock that goes back gives nothing and takes nothing
	if err := m.admit(portal(1), 1, now); webhook.ErrorCode(err) != codeTooMany {
		t.Error(err)
	}
}
