package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

// series is a chart as a client reads it.
type series struct {
	StartDate, EndDate time.Time
	Period             string
	KeptFrom           *time.Time
	Data               struct {
		SuccessCount, FailureCount, CanceledCount []uint64
		StatusClassCount                          map[string][]uint64
		AttemptLatency, DeliveryLatency           map[string][]*int64
	}
	Total struct{ Success, Failure, Canceled uint64 }
}

func sum(list []uint64) (sum uint64) {
	for _, n := range list {
		sum += n
	}
	return sum
}

// refuseBad takes all requests but those to /bad.
func refuseBad(a *receivertest.Arrival) (status int) {
	if a.Path == "/bad" {
		return http.StatusInternalServerError
	}
	return http.StatusOK
}

// seriesWorld has an application with an endpoint that takes messages and one that does not, and
// another application without attempts.
func seriesWorld(t *testing.T) *api {
	t.Helper()
	receiver := receivertest.Start(t, refuseBad)
	a := apiStart(t, func(c *config.Config) { // each message is attempted three times and no more
		c.Delivery.Breaker.MinAttempts = 1_000_000
		c.Delivery.Breaker.Probe, c.Delivery.Breaker.MaxProbe = time.Hour, time.Hour
	})
	a.call("POST", "/app", `{"name": "Acme", "uid": "acme"}`, 201, nil)
	a.call("POST", "/app", `{"name": "Other", "uid": "other"}`, 201, nil)
	for _, uid := range []string{"good", "bad"} {
		a.call("POST", "/app/acme/endpoint", `{"uid": "`+uid+`", "url": "`+receiver.URL+"/"+uid+`"}`, 201, nil)
	}
	for range 3 {
		a.call("POST", "/app/acme/msg", `{"eventType": "a", "payload": {}}`, 202, nil)
	}
	return a
}

// Attempts are counted over time for endpoints, applications and altogether.
func TestSeries(t *testing.T) {
	a := seriesWorld(t)
	var s series
	wait.For(t, "all attempts are counted", func() bool { // three attempts at each message fail
		a.call("GET", "/stats/app/acme/attempt", "", 200, &s)
		return s.Total.Success == 3 && s.Total.Failure == 9
	})
	for path, want := range map[string][2]uint64{
		"/stats/attempt": {3, 9}, "/stats/app/acme/attempt": {3, 9}, "/stats/app/other/attempt": {0, 0},
		"/stats/app/acme/endpoint/good/attempt": {3, 0}, "/stats/app/acme/endpoint/bad/attempt": {0, 9}, "/stats/app/acme/ep/bad/attempt": {0, 9},
	} {
		for _, period := range []string{"FiveMinutes", "OneHour", "OneDay", ""} {
			query := "?period=" + period
			if period == "" {
				query, period = "", "FiveMinutes"
			}
			a.call("GET", path+query, "", 200, &s)
			points := map[string]int{"FiveMinutes": 72, "OneHour": 7 * 24, "OneDay": 28}[period]
			if n := len(s.Data.SuccessCount); s.Period != period || n < points || n > points+1 || s.KeptFrom != nil {
				t.Errorf("%s: %d points of %s", path, n, s.Period)
			}
			if sum(s.Data.SuccessCount) != want[0] || sum(s.Data.FailureCount) != want[1] || s.Total.Success != want[0] || s.Total.Failure != want[1] {
				t.Errorf("%s %s: %+v", path, period, s.Total)
			}
			if sum(s.Data.StatusClassCount["200"]) != want[0] || sum(s.Data.StatusClassCount["500"]) != want[1] {
				t.Errorf("%s %s: %v", path, period, s.Data.StatusClassCount)
			}
			measured := 0
			for _, ms := range s.Data.DeliveryLatency["p99"] {
				if ms != nil {
					measured++
				}
			}
			if (measured > 0) != (want[0] > 0) {
				t.Errorf("%s %s: the latency of deliveries is known for %d periods", path, period, measured)
			}
		}
	}
	var strips struct {
		Data []struct {
			ID                         string
			SuccessCount, FailureCount []uint64
		}
	}
	a.call("GET", "/stats/app/acme/endpoint/attempt?period=OneHour&endpoint_id=bad,good", "", 200, &strips)
	if list := strips.Data; len(list) != 2 || sum(list[0].FailureCount) != 9 || sum(list[1].SuccessCount) != 3 || !strings.HasPrefix(list[0].ID, "ep_") {
		t.Errorf("%+v", list)
	}
	a.call("GET", "/stats/app/attempt?period=OneDay&app_id=other&app_id=acme", "", 200, &strips)
	if list := strips.Data; len(list) != 2 || sum(list[0].FailureCount) != 0 || sum(list[1].SuccessCount) != 3 || !strings.HasPrefix(list[0].ID, "app_") {
		t.Errorf("%+v", list)
	}
}

// A series for which counts are not kept, or that is too long, is refused with what to change.
func TestSeriesLimits(t *testing.T) {
	a := seriesWorld(t)
	ago := func(d time.Duration) string { return url.QueryEscape(time.Now().Add(-d).UTC().Format(time.RFC3339)) }
	const hour, day = time.Hour, 24 * time.Hour
	for query, want := range map[string]string{
		"period=OneMinute": "must be FiveMinutes, OneHour or OneDay",
		"startDate=x":      "startDate", "endDate=x": "endDate",
		"startDate=" + ago(-hour):                                        "must not be in the future",
		"startDate=" + ago(hour) + "&endDate=" + ago(2*hour):             "must be after startDate",
		"startDate=" + ago(hour) + "&endDate=" + ago(hour):               "must be after startDate",
		"startDate=" + ago(3*day) + "&period=FiveMinutes":                "at most 2 days ago",
		"startDate=" + ago(100*day) + "&period=OneHour":                  "at most 90 days ago",
		"startDate=" + ago(1000*day) + "&period=OneDay":                  "at most 730 days ago",
		"startDate=" + ago(1000*day):                                     "at most 730 days ago",
		"startDate=2015-01-01T00:00:00Z&endDate=9999-01-01T00:00:00Z":    "at most 730 days ago",
		"startDate=9998-01-01T00:00:00Z&endDate=9999-01-01T00:00:00Z":    "must not be in the future",
		"startDate=" + ago(90*day+30*time.Minute) + "&period=OneHour":    "of which a series has at most 2160",
		"endDate=1900-01-01T00:00:00Z&period=FiveMinutes&startDate=1900": "startDate",
	} {
		for _, path := range []string{"/stats/attempt?", "/stats/app/acme/endpoint/good/attempt?", "/stats/app/acme/endpoint/attempt?endpoint_id=good&"} {
			response, text := a.raw("GET", "/api/v1"+path+query, "Bearer "+apiToken, nil)
			var problem struct{ Detail []struct{ Loc []string } }
			if err := json.Unmarshal(text, &problem); err != nil || response.StatusCode != 422 || !strings.Contains(string(text), want) || len(problem.Detail) != 1 || problem.Detail[0].Loc[0] != "query" {
				t.Errorf("%s%s: %d %s, want %q", path, query, response.StatusCode, text, want)
			}
		}
	}
	for query, period := range map[string]string{"": "FiveMinutes", ago(47 * hour): "FiveMinutes", ago(49 * hour): "OneHour", ago(20 * day): "OneHour", ago(30 * day): "OneDay", ago(700 * day): "OneDay"} {
		var s series
		a.call("GET", "/stats/attempt?startDate="+query, "", map[bool]int{true: 422, false: 200}[query == ""], &struct{}{})
		if query != "" {
			a.call("GET", "/stats/attempt?endDate="+ago(-30*day)+"&startDate="+query, "", 200, &s)
			if s.Period != period || s.EndDate.After(time.Now().Add(24*hour)) {
				t.Errorf("since %s: %s until %s", query, s.Period, s.EndDate)
			}
		}
	}
	strips := "/stats/app/acme/endpoint/attempt"
	a.call("GET", strips, "", 422, nil)
	a.call("GET", strips+"?endpoint_id=nobody", "", 404, nil)
	a.call("GET", "/stats/app/other"+strings.TrimPrefix(strips, "/stats/app/acme")+"?endpoint_id=good", "", 404, nil)
	a.call("GET", "/stats/app/other/endpoint/good/attempt", "", 404, nil)
	a.call("GET", "/stats/app/attempt?app_id=nobody", "", 404, nil)
	many := strings.Join(slices.Repeat([]string{"good"}, 100), ",")
	a.call("GET", strips+"?period=OneHour&startDate="+ago(48*hour)+"&endpoint_id="+many, "", 200, nil)
	for query, want := range map[string]string{"?period=OneHour&startDate=" + ago(60*hour) + "&endpoint_id=" + many: "at most 5000", "?endpoint_id=good," + many: "at most 100"} {
		if response, text := a.raw("GET", "/api/v1"+strips+query, "Bearer "+apiToken, nil); response.StatusCode != 422 || !strings.Contains(string(text), want) {
			t.Errorf("%d %s, want %q", response.StatusCode, text, want)
		}
	}
	// A customer sees nothing of others, by whatever path.
	token := a.newKey(`{"name": "k", "role": "application", "applicationId": "other"}`).Token
	for path, want := range map[string]int{"/stats/attempt": 403, "/stats/app/attempt?app_id=acme": 403, "/stats/app/acme/attempt": 404, strips + "?endpoint_id=good": 404,
		"/stats/app/other/endpoint/attempt?endpoint_id=good": 404, "/stats/app/other/attempt": 200} {
		if response, text := a.raw("GET", "/api/v1"+path, "Bearer "+token, nil); response.StatusCode != want {
			t.Errorf("%s: %d %s", path, response.StatusCode, text)
		}
	}
}

// Each limit on series that docs/limits.md lists is enforced, and no earlier.
func TestLimitsOfSeries(t *testing.T) {
	a := seriesWorld(t)
	const day = 24 * time.Hour
	since := func(period string, d time.Duration) string {
		return "period=" + period + "&startDate=" + url.QueryEscape(time.Now().Add(-d).UTC().Format(time.RFC3339))
	}
	names := func(n int) string { return "&endpoint_id=" + strings.Join(slices.Repeat([]string{"good"}, n), ",") }
	const one, strips = "/stats/app/acme/endpoint/good/attempt?", "/stats/app/acme/endpoint/attempt?"
	hours := 90*day - time.Hour // a range is widened to whole hours
	cases := map[string]struct{ within, beyond string }{
		"points of a series":                 {one + since("OneHour", hours), one + since("OneHour", hours+90*time.Minute)},
		"series of a response":               {strips + since("OneDay", day) + names(100), strips + since("OneDay", day) + names(101)},
		"points of all series of a response": {strips + since("OneHour", 48*time.Hour) + names(100), strips + since("OneHour", 50*time.Hour) + names(100)},
		"age of the counts per five minutes": {one + since("FiveMinutes", 2*day), one + since("FiveMinutes", 2*day+time.Hour)},
		"age of the counts per hour":         {one + since("OneHour", hours), one + since("OneHour", 91*day)},
		"age of the counts per day":          {one + since("OneDay", 730*day), one + since("OneDay", 732*day)},
		"bytes of the counts of one period: of all endpoints, of all applications, and of all attempts": {}, // TestTalliesTakeTheirShare of wal
	}
	for _, row := range limitRows(t, "Attempts over time", 1) {
		test, known := cases[row]
		delete(cases, row)
		switch {
		case !known:
			t.Errorf("%s: nothing goes beyond it", row)
		case test.within != "":
			a.call("GET", test.within, "", 200, nil)
			a.call("GET", test.beyond, "", 422, nil)
		}
	}
	for row := range cases {
		t.Errorf("docs/limits.md does not list %s", row)
	}
}
