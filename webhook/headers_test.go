package webhook

import (
	"fmt"
	"strings"
	"testing"
)

func TestHeaders(t *testing.T) {
	many := make(Headers)
	for i := range maxHeaders + 1 {
		many[fmt.Sprint("x-", i)] = ""
	}
	for name, test := range map[string]struct {
		headers       Headers
		field, detail string
	}{
		"none":             {nil, "", ""},
		"good":             {Headers{"X-Team": "a b\tc", "Authorization": "Bearer x", "x_y.z": ""}, "", ""},
		"longest value":    {Headers{"x-a": strings.Repeat("a", maxHeaderValue)}, "", ""},
		"too long":         {Headers{"x-a": strings.Repeat("a", maxHeaderValue+1)}, "headers/x-a", "longer than 4096"},
		"line break":       {Headers{"x-a": "a\r\nb"}, "headers/x-a", "line breaks"},
		"no name":          {Headers{"": "a"}, "headers/", "not the name"},
		"space in a name":  {Headers{"x a": "a"}, "headers/x a", "not the name"},
		"colon in a name":  {Headers{"x:a": "a"}, "headers/x:a", "not the name"},
		"ours":             {Headers{"Webhook-Id": "a"}, "headers/Webhook-Id", "can't be chosen"},
		"of a cloud":       {Headers{"X-Amz-Date": "a"}, "headers/X-Amz-Date", "can't be chosen"},
		"of the transport": {Headers{"content-LENGTH": "1"}, "headers/content-LENGTH", "can't be chosen"},
		"large":            {headersOf(8), "", ""},
		"too large":        {headersOf(9), "headers", "longer than 32768 bytes"},
		"too many":         {many, "headers", "at most 64"},
	} {
		t.Run(name, func(t *testing.T) { checkInvalid(t, test.headers.Validate(), test.field, test.detail) })
	}
	if err := (Headers{"X-A": "1", "x-a": "2"}).Validate(); err == nil {
		t.Error("one header in two cases is taken")
	}
	if err := (Headers{"X-A": "1", "x_a": "2"}).Validate(); err == nil {
		t.Error("one header, as CGI sees it, is taken twice")
	}
	h := Headers{"X-Team": "a", "x-other": "b"}
	h.Delete("x-TEAM")
	if len(h) != 1 {
		t.Error(h)
	}
}

// TestReservedHeaders tries the headers that delimit a request, route it or carry our signatures,
// in the forms in which servers take them for one another.
func TestReservedHeaders(t *testing.T) {
	for _, name := range []string{"Trailer", "Transfer-Encoding", "Content-Length", "Connection", "Upgrade", "HTTP2-Settings", "Expect", "TE", "Host",
		"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Content-Type", "Content-Encoding", "Content-Range", "Content-MD5",
		"Webhook-Id", "Svix-Signature", "X-Svix-Id", "X-Hub-Signature-256", "Stripe-Signature", "X-Webhook-Signature", "User-Agent"} {
		for _, form := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", ".")} {
			checkInvalid(t, Headers{form: "a"}.Validate(), "headers/"+form, "can't be chosen")
		}
	}
	for _, name := range []string{"Accept", "Accept-Encoding", "Authorization", "Cookie", "X-Content-Type", "Hosted", "X-Webhook-Team", "Webhooks", "Date", "If-Match"} {
		checkInvalid(t, Headers{name: "a"}.Validate(), "", "")
	}
}

func TestSensitiveHeader(t *testing.T) {
	for _, name := range []string{"X-Api-Key", "x-auth-token", "Authorization", "Cookie", "Api-Key", "X-Access-Token", "X-SECRET-TOKEN", "X-Password", "x-my-signature"} {
		if !SensitiveHeader(name) {
			t.Error(name, "is shown")
		}
	}
	for _, name := range []string{"x-team", "X-Tenant", "x_y.z"} {
		if SensitiveHeader(name) {
			t.Error(name, "is not shown")
		}
	}
}

// headersOf has n headers of 4,000 bytes.
func headersOf(n int) Headers {
	h := make(Headers)
	for i := range n {
		h[fmt.Sprintf("X-%d", i)] = strings.Repeat("v", 4000)
	}
	return h
}

func TestHarmlessHeader(t *testing.T) {
	for _, name := range []string{"X-Jwt", "X-Session", "X-Pass", "X-Pwd", "X-Pin", "X-Otp", "X-Hmac", "X-Sig", "X-Bearer", "X-Anything", "X-Api-Key", "Cookie", "accept-x"} {
		if HarmlessHeader(name) {
			t.Error(name, "is shown to readers")
		}
	}
	for _, name := range []string{"Accept", "accept-LANGUAGE", "X-Request-Id"} {
		if !HarmlessHeader(name) {
			t.Error(name, "is not shown to readers")
		}
	}
}
