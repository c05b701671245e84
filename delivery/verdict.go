package delivery

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/scheduler"
	"hookwheel/webhook"
)

const (
	minRest = time.Second
	maxRest = time.Hour // an endpoint that asks for more is tried again after this time

	// controlHeader is a response header that gives an instruction beside the status: "disable" or
	// "abort-message", as in Svix, in upper or lower case.
	controlHeader = "Webhook-Delivery"
)

// judge returns what an attempt means for the endpoint and for the message; rest is for how long a
// response asks not to be called.
func judge(a *webhook.Attempt, why reason, rest time.Duration) (v scheduler.Verdict) {
	if why != reasonSuccess {
		v.Text = failureText(a, why)
		v.Overload = overloads(a.StatusCode, why)
		v.SenderFault = why.isOurFault()
		v.Revoked = why == reasonRevoked
	}
	if a.StatusCode == 0 {
		return v
	}
	switch a.Trace.Control {
	case webhook.ControlDisable:
		v.Disable, v.GiveUp = true, true
	case webhook.ControlAbort:
		v.GiveUp = true
	}
	v.Disable = v.Disable || a.StatusCode == http.StatusGone
	v.RetryAfter = rest
	return v
}

// restOf returns for how long a response asks not to be called.
func restOf(response *fasthttp.Response, now time.Time) time.Duration {
	switch response.StatusCode() {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return retryAfter(string(response.Header.Peek(fasthttp.HeaderRetryAfter)), now)
	default:
		return 0
	}
}

// controlOf returns the instruction of a response.
func controlOf(response *fasthttp.Response) webhook.Control {
	switch strings.ToLower(string(response.Header.Peek(controlHeader))) {
	case "disable":
		return webhook.ControlDisable
	case "abort-message":
		return webhook.ControlAbort
	default:
		return webhook.ControlNone
	}
}

// overloads reports whether the endpoint may be overloaded.
func overloads(status uint16, why reason) bool {
	switch why {
	case reasonTimeout, reasonConnect, reasonNetwork:
		return true
	case reasonStatus:
		return status == http.StatusTooManyRequests || status >= 500
	default:
		return false
	}
}

// failureText returns a short text about how an attempt failed.
func failureText(a *webhook.Attempt, why reason) string {
	if a.StatusCode != 0 {
		return fmt.Sprintf("status %d", a.StatusCode)
	}
	return string(a.Response)
}

// retryAfter parses the Retry-After header, seconds or a date (RFC 9110, section 10.2.3), and
// limits it to maxRest. It returns 0 if the header is missing or invalid.
func retryAfter(text string, now time.Time) time.Duration {
	if text == "" {
		return 0
	}
	rest := maxRest
	if strings.Trim(text, "0123456789") != "" { // not seconds
		at, err := http.ParseTime(text)
		if err != nil {
			return 0
		}
		rest = at.Sub(now)
	} else if seconds, err := strconv.ParseUint(text, 10, 32); err == nil { // otherwise there are too many digits
		rest = time.Duration(seconds) * time.Second
	}
	return min(max(rest, minRest), maxRest)
}
