package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

type endpointsByHealth struct {
	Data []struct {
		ID, UID, AppID, AppUID, AppName string
		Health                          struct {
			State, Text string
			Blocked     bool
			Waiting     int
		}
	}
	Iterator string
	Done     bool
	Counts   map[string]int
}

func (l *endpointsByHealth) uids() (list []string) {
	for _, e := range l.Data {
		list = append(list, e.AppUID+"/"+e.UID)
	}
	slices.Sort(list)
	return list
}

// An operator finds the endpoints of all applications by their health.
func TestEndpointsByHealth(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Breaker.MinAttempts = 1_000_000 }) // nothing is parked
	receiver := receivertest.Start(t, refuseBad)
	for _, app := range []string{"acme", "other"} {
		a.call("POST", "/app", `{"name": "The `+app+`", "uid": "`+app+`"}`, 201, nil)
		for uid, more := range map[string]string{
			"good":     `"url": "` + receiver.URL + `/good"`,
			"bad":      `"url": "` + receiver.URL + `/bad"`,
			"ordered":  `"url": "` + receiver.URL + `/bad", "ordering": "endpoint", "onExhausted": "block"`,
			"disabled": `"url": "` + receiver.URL + `/good", "disabled": true`,
		} {
			a.call("POST", "/app/"+app+"/endpoint", `{"uid": "`+uid+`", `+more+`}`, 201, nil)
		}
		a.call("POST", "/app/"+app+"/endpoint/good/pause", "", 200, nil)
	}
	for range 3 {
		a.call("POST", "/app/acme/msg", `{"eventType": "a", "payload": {}}`, 202, nil)
	}
	a.call("POST", "/app/other/endpoint/good/resume", "", 200, nil)
	var list endpointsByHealth
	want := map[string]int{"healthy": 3, "failing": 2, "parked": 0, "paused": 1, "disabled": 2, "blocked": 1}
	wait.For(t, "the failures are recorded", func() bool {
		a.call("GET", "/endpoint?health=blocked", "", 200, &list)
		return fmt.Sprint(list.Counts) == fmt.Sprint(want)
	})
	if e := list.Data[0]; e.AppName != "The acme" || e.UID != "ordered" || !e.Health.Blocked || e.Health.State != "failing" || e.Health.Waiting != 1 ||
		!strings.Contains(e.Health.Text, "messages wait behind one that failed, to keep the order") {
		t.Errorf("%+v", e)
	}
	for query, uids := range map[string]string{
		"health=parked,failing,disabled,blocked": "[acme/bad acme/disabled acme/ordered other/disabled]",
		"health=paused":                          "[acme/good]",
		"health=healthy&limit=250":               "[other/bad other/good other/ordered]",
		"health=parked":                          "[]",
		"health=disabled&order=ascending":        "[acme/disabled other/disabled]",
		"health=healthy,failing,paused,disabled": "[acme/bad acme/disabled acme/good acme/ordered other/bad other/disabled other/good other/ordered]",
		"":                                       "[acme/bad acme/disabled acme/good acme/ordered other/bad other/disabled other/good other/ordered]",
	} {
		a.call("GET", "/endpoint?"+query, "", 200, &list)
		if got := list.uids(); fmt.Sprint(got) != uids || !list.Done || fmt.Sprint(list.Counts) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %s; %v", query, got, uids, list.Counts)
		}
		var found []string
		for iterator := ""; ; iterator = "&iterator=" + list.Iterator { // one by one
			list = endpointsByHealth{}
			a.call("GET", "/endpoint?"+query+"&limit=1"+iterator, "", 200, &list)
			if found = append(found, list.uids()...); list.Done {
				break
			}
		}
		if slices.Sort(found); query != "health=healthy&limit=250" && fmt.Sprint(found) != uids {
			t.Errorf("%s: page by page %v, want %s", query, found, uids)
		}
	}
	for query, want := range map[string]string{"health=ill": "must be some of", "health=healthy,": "must be some of", "health=": "must be some of", "health=Healthy": "must be some of",
		"limit=0": "limit", "iterator=x": "iterator", "health=" + strings.Repeat("parked,", 101): "at most 100"} {
		response, text := a.raw("GET", "/api/v1/endpoint?"+query, "Bearer "+apiToken, nil)
		if response.StatusCode != 422 || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d %s", query, response.StatusCode, text)
		}
	}
	// What is deleted is neither listed nor counted.
	a.call("DELETE", "/app/acme", "", 204, nil)
	a.call("GET", "/endpoint?health=failing,blocked,paused", "", 200, &list)
	if len(list.Data) != 0 || list.Counts["failing"] != 0 || list.Counts["blocked"] != 0 || list.Counts["disabled"] != 1 {
		t.Errorf("the application is deleted: %+v", list)
	}
}
