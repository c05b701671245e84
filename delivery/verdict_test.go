package delivery

import (
	"testing"

	"hookwheel/scheduler"
)

// What an answer says beside its status is taken in any case, and whatever the status is.
func TestControlHeader(t *testing.T) {
	for answer, want := range map[string]scheduler.Verdict{
		"200 OK\r\nwebhook-delivery: disable":          {Disable: true, GiveUp: true},
		"200 OK\r\nWebhook-Delivery: Disable":          {Disable: true, GiveUp: true},
		"400 No\r\nWEBHOOK-DELIVERY: DISABLE":          {Disable: true, GiveUp: true, Text: "status 400"},
		"400 No\r\nwebhook-delivery:  Abort-Message  ": {GiveUp: true, Text: "status 400"},
		"400 No\r\nwebhook-delivery: other":            {Text: "status 400"},
		"410 Gone":                                     {Disable: true, Text: "status 410"},
	} {
		s := newTestSender(loopback)
		_, _, verdict := s.send(testDelivery("http://" + rawServer(t, say("HTTP/1.1 "+answer+"\r\nContent-Length: 0\r\n\r\n"))))
		s.dialer.abort()
		if verdict != want {
			t.Errorf("%q: %+v, want %+v", answer, verdict, want)
		}
	}
}
