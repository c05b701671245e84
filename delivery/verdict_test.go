package delivery

import (
	"testing"
	"time"

	"hookwheel/scheduler"
)

// What an answer says beside its status is taken in any case, and whatever the status is.
func TestControlHeader(t *testing.T) {
	for response, want := range map[string]scheduler.Verdict{
		"200 OK\r\nwebhook-delivery: disable":          {Disable: true, GiveUp: true},
		"200 OK\r\nWebhook-Delivery: Disable":          {Disable: true, GiveUp: true},
		"400 No\r\nWEBHOOK-DELIVERY: DISABLE":          {Disable: true, GiveUp: true, Text: "status 400"},
		"400 No\r\nwebhook-delivery:  Abort-Message  ": {GiveUp: true, Text: "status 400"},
		"400 No\r\nwebhook-delivery: other":            {Text: "status 400"},
		"410 Gone":                                     {Disable: true, Text: "status 410"},
	} {
		s := newTestSender(loopback)
		_, _, verdict := s.send(s.begin(testDelivery("http://" + rawServer(t, say("HTTP/1.1 "+response+"\r\nContent-Length: 0\r\n\r\n")))))
		s.dialer.abort()
		if verdict != want {
			t.Errorf("%q: %+v, want %+v", response, verdict, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": minRest, "7": 7 * time.Second, "0120": 2 * time.Minute, "86400": maxRest, "4294967296": maxRest, "99999999999999999999999": maxRest,
		"Tue, 24 Nov 2026 12:00:09 GMT": 9 * time.Second, "Tue, 24 Nov 2026 11:00:00 GMT": minRest, "Wed, 25 Nov 2026 12:00:00 GMT": maxRest,
		"Inf": 0, "inf": 0, "NaN": 0, "0x1p4": 0, "1e1": 0, "1_0": 0, "1.5": 0, "+5": 0, "-5": 0, "5s": 0, "5, 6": 0, "soon": 0, "٣": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
