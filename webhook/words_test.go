package webhook

import (
	"testing"
	"time"
)

func TestDurationWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than a second", time.Millisecond: "less than a second", time.Second: "1 second", 90 * time.Second: "1 minute 30 seconds", time.Hour + 5*time.Second: "1 hour",
		24*time.Hour + 3*time.Hour + 35*time.Minute: "1 day 3 hours", 30 * 24 * time.Hour: "30 days", 1500 * time.Millisecond: "1 second",
	} {
		if got := DurationWords(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestRetryWords(t *testing.T) {
	for _, test := range []struct {
		policy RetryPolicy
		want   string
	}{
		{RetryPolicy{}, "A message is sent once. If that fails, it is not sent again."},
		{RetryPolicy{Delays: []time.Duration{time.Minute}}, "A message that fails is sent again after 1 minute: up to 2 attempts over about 1 minute."},
		{RetryPolicy{Delays: []time.Duration{time.Second, time.Minute}, Jitter: 0.2},
			"A message that fails is sent again after 1 second and 1 minute: up to 3 attempts over about 1 minute 1 second. Each delay varies by up to 20 %."},
	} {
		if got := test.policy.Words(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
