package httpapi_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"hookwheel/config"
)

// limitRows are the rows of a section of docs/limits.md, by their cells but for the last ones.
func limitRows(t *testing.T, section string, cells int) (rows []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/limits.md has no section %q", section)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	owner, line := "", 0
	for row := range strings.Lines(part) {
		if !strings.HasPrefix(row, "|") {
			continue
		}
		if line++; line < 3 { // title and rule
			continue
		}
		fields := strings.Split(strings.Trim(row, "|\n "), "|")
		if cells == 1 {
			rows = append(rows, strings.TrimSpace(fields[0]))
			continue
		}
		fields = strings.Split(strings.TrimSuffix(strings.TrimPrefix(row, "|"), "|\n"), "|")
		if name := strings.TrimSpace(fields[0]); name != "" {
			owner = name
		}
		rows = append(rows, owner+": "+strings.Trim(strings.TrimSpace(fields[1]), "`"))
	}
	return rows
}

// words are n different words of that many bytes, as JSON.
func jsonWords(n, size int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf(`"%0*d"`, size, i)
	}
	return "[" + strings.Join(words, ",") + "]"
}

// jsonHeaders has n headers of that many bytes.
func jsonHeaders(n, size int) string {
	headers := make([]string, n)
	for i := range headers {
		headers[i] = fmt.Sprintf(`"X-%d":"%s"`, i, strings.Repeat("v", size))
	}
	return "{" + strings.Join(headers, ",") + "}"
}

// importCases are imports of too many webhooks, of a document that is too deep, and of too much.
func importCases() [][2]string {
	item := func(schema string) string {
		return `{"post":{"requestBody":{"content":{"application/json":{"schema":` + schema + `}}}}}`
	}
	request := func(webhooks string) [2]string {
		return [2]string{"/event-type/import/openapi", `{"spec":{"openapi":"3.1.0","webhooks":{` + strings.TrimSuffix(webhooks, ",") +
			`},"components":{"schemas":{"A":{"title":"` + strings.Repeat("t", 200<<10) + `"}}}}}`}
	}
	var many, large strings.Builder
	for i := range 501 {
		fmt.Fprintf(&many, `"w%d":{"post":{}},`, i)
	}
	for i := range 25 {
		fmt.Fprintf(&large, `"w%d":%s,`, i, item(`{"not":{"$ref":"#/components/schemas/A"}}`))
	}
	return [][2]string{request(many.String()), request(large.String()), request(`"w":` + item(strings.Repeat(`{"not":`, 99)+`{}`+strings.Repeat("}", 99)))}
}

// Each limit on what a thing holds that docs/limits.md lists is enforced.
func TestLimitsOfThings(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 1 << 20 })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"e","disabled":true}`, 201, nil)
	x := strings.Repeat
	app := func(field string) [2]string { return [2]string{"/app", `{"name":"n",` + field + `}`} }
	endpoint := func(field string) [2]string {
		return [2]string{"/app/acme/endpoint", `{"url":"http://127.0.0.1:9/",` + field + `}`}
	}
	eventType := func(field string) [2]string {
		return [2]string{"/event-type", `{"name":"n","description":"",` + field + `}`}
	}
	message := func(field string) [2]string {
		return [2]string{"/app/acme/msg", `{"eventType":"a","payload":{},` + field + `}`}
	}
	key := func(field string) [2]string { return [2]string{"/key", `{"name":"n","role":"reader",` + field + `}`} }
	settings := func(field string) [2]string { return [2]string{"/environment/settings", `{` + field + `}`} }
	replay := func(field string) [2]string {
		return [2]string{"/app/acme/endpoint/e/bulk-replay", `{"since":"2026-01-01T00:00:00Z",` + field + `}`}
	}
	cases := map[string][][2]string{
		"application: name":                    {{"/app", `{"name":"` + x("n", 4097) + `"}`}},
		"application: metadata":                {app(`"metadata":{"k":"` + x("v", 4096) + `"}`)},
		"endpoint: url":                        {{"/app/acme/endpoint", `{"url":"http://127.0.0.1:9/` + x("a", 8<<10) + `"}`}},
		"endpoint: description":                {endpoint(`"description":"` + x("d", 4097) + `"`)},
		"endpoint: metadata":                   {endpoint(`"metadata":{"k":"` + x("v", 4096) + `"}`)},
		"endpoint: eventTypes":                 {endpoint(`"eventTypes":` + jsonWords(1001, 4)), endpoint(`"eventTypes":` + jsonWords(129, 256))},
		"endpoint: channels":                   {endpoint(`"channels":` + jsonWords(11, 4)), endpoint(`"channels":` + jsonWords(1, 257))},
		"endpoint: own headers":                {endpoint(`"headers":` + jsonHeaders(65, 1)), endpoint(`"headers":` + jsonHeaders(1, 4097)), endpoint(`"headers":` + jsonHeaders(9, 4000)), endpoint(`"headers":{"` + x("n", 257) + `":"v"}`)},
		"endpoint: secret":                     {endpoint(`"secret":"whsec_AAAA"`), endpoint(`"secret":"my-shared-secret"`), endpoint(`"signatureStyle":"hex","secret":"fifteen letters"`), endpoint(`"signatureStyle":"hex","secret":"` + x("s", 513) + `"`)},
		"event type: description":              {{"/event-type", `{"name":"n","description":"` + x("d", 4097) + `"}`}},
		"event type: schemas":                  {eventType(`"schemas":{"1":{"title":"` + x("t", 256<<10) + `"}}`), eventType(`"schemas":{` + strings.Trim(strings.ReplaceAll(jsonWords(101, 3), `",`, `":{},`), "[]") + `:{}}`)},
		"event type: one schema":               {eventType(`"schemas":{"1":{"maximum":1e311}}`), eventType(`"schemas":{"1":{"enum":` + jsonWords(10_001, 5) + `}}`), eventType(`"schemas":{"1":{"pattern":"` + x("(x{1,1000})", 21) + `"}}`), eventType(`"schemas":{"1":` + x(`{"not":`, 65) + `{}` + x("}", 65) + `}`)},
		"OpenAPI document to import: webhooks": importCases(),
		"event type: featureFlags":             {eventType(`"featureFlags":` + jsonWords(101, 4)), eventType(`"featureFlags":` + jsonWords(33, 256))},
		"message: channels":                    {message(`"channels":` + jsonWords(11, 4))},
		"message: tags":                        {message(`"tags":` + jsonWords(6, 4)), message(`"tags":` + jsonWords(1, 129))},
		"message: content type":                {message(`"transformationsParams":{"rawPayload":"x","headers":{"content-type":"text/` + x("x", 256) + `"}}`)},
		"message: payloadRetentionHours":       {message(`"payloadRetentionHours":2161`)},
		"message: deliverAt":                   {message(`"deliverAt":"2099-01-01T00:00:00Z"`)},
		"replay: eventTypes":                   {replay(`"eventTypes":` + jsonWords(1001, 4)), replay(`"eventTypes":` + jsonWords(129, 256))},
		"settings of pages: displayName":       {settings(`"displayName":"` + x("n", 129) + `"`), settings(`"displayName":"<b>"`), settings(`"displayName":"a\nb"`)},
		"settings of pages: customLogoUrl`, `customLogoUrlDark": {settings(`"customLogoUrl":"http://example.com/a.png"`), settings(`"customLogoUrlDark":"https://example.com/` + x("a", 2048) + `"`),
			settings(`"customLogoUrl":"data:image/svg+xml;base64,PHN2Zz4="`)},
		"settings of pages: customFontFamily": {settings(`"customFontFamily":"` + x("n", 65) + `"`), settings(`"customFontFamily":"a;b"`)},
		"settings of pages: colors":           {settings(`"colorPaletteLight":{"primary":"red"}`)},
		"API key: name":                       {{"/key", `{"role":"reader","name":"` + x("n", 4097) + `"}`}},
		"API key: featureFlags":               {key(`"featureFlags":` + jsonWords(101, 4)), key(`"featureFlags":` + jsonWords(33, 256))},
	}
	elsewhere := map[string]string{
		"message: payload": "TestAPITooLarge",
		"endpoint: signing keys, the previous ones included": "TestAPISecrets",
	}
	for _, row := range limitRows(t, "What can be stored", 2) {
		if elsewhere[row] != "" {
			continue
		}
		requests := cases[row]
		if len(requests) == 0 {
			t.Errorf("%s: no request goes beyond it", row)
		}
		for _, r := range requests {
			method := "POST"
			if strings.HasPrefix(row, "settings") {
				method = "PUT"
			}
			response, text := a.raw(method, "/api/v1"+r[0], "Bearer "+apiToken, []byte(r[1]))
			if response.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("%s: %.80s is answered %d %.200s", row, r[1], response.StatusCode, text)
			}
		}
		delete(cases, row)
	}
	for row := range cases {
		t.Errorf("docs/limits.md does not list %s", row)
	}
	for _, name := range []string{".", "..", "a/b", "%2e%2e", "a\\u0000", "a\\u001b", "a b", "ü", strings.Repeat("n", 257)} {
		for _, r := range [][2]string{
			{"/app", `{"name":"n","uid":"` + name + `"}`}, endpoint(`"uid":"` + name + `"`), {"/event-type", `{"description":"","name":"` + name + `"}`},
			message(`"eventId":"` + name + `"`), {"/app/acme/msg", `{"payload":{},"eventType":"` + name + `"}`},
		} {
			if response, text := a.raw("POST", "/api/v1"+r[0], "Bearer "+apiToken, []byte(r[1])); response.StatusCode != 422 {
				t.Errorf("%s %.80s: %d %.200s", r[0], r[1], response.StatusCode, text)
			}
		}
	}
}

// Each limit on a number of things that docs/limits.md lists is enforced, and says how it is
// raised.
func TestLimitsOfNumbers(t *testing.T) {
	a := apiStart(t, func(c *config.Config) {
		c.Limits = config.Limits{Applications: 3, EventTypes: 2, Endpoints: 2, Replays: 3, ManualSends: 20}
	})
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app", `{"name":"Other","uid":"other"}`, 201, nil)
	for i := range 6 { // each for a replay that does not end, as the endpoint is disabled
		a.call("POST", "/app/acme/msg", fmt.Sprintf(`{"eventType":"a","payload":{},"tags":["t%d"]}`, i), 202, nil)
	}
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"e","disabled":true}`, 201, nil)
	portal := a.portalToken("acme")
	const since = `{"since":"2026-01-01T00:00:00Z","tag":"t%d"}`
	cases := map[string]struct {
		token, path, body string
		limit, status     int
		detail            string
	}{
		"applications":                         {apiToken, "/app", `{"name":"n"}`, 1, 400, "limits.applications"},
		"event types, archived ones included":  {apiToken, "/event-type", `{"name":"n%d","description":""}`, 2, 400, "limits.event_types"},
		"endpoints of an application":          {portal, "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/"}`, 1, 400, "limits.endpoints"},
		"unfinished replays of an application": {apiToken, "/app/acme/endpoint/e/bulk-replay", since, 3, 409, "limits.replays"},
		"manual sends of an application's portals, per minute and node: a resend or an example counts as 1, a replay as 20": {
			portal, "/app/acme/endpoint/e/send-example", `{"eventType":"svix.ping"}`, 20, 429, "limits.manual_sends"},
	}
	elsewhere := map[string]string{
		"messages that wait for another attempt when an endpoint's `ordering` becomes `key`": "wal",
		"unfinished replays of an endpoint":                                                  "TestReplaysOfOthersHaveRoom", "unfinished replays in total": "TestReplaysOfOthersHaveRoom",
		"finished replays that are kept": "wal", "API keys": "wal", "changes in the audit list": "wal",
		"changes made with tokens of an application; changes made by the nodes about an application": "wal", "changes made by operators; by all customers; by the nodes": "wal",
		"operational webhooks about endpoints that one customer changes": "wal",
		"portal tokens and keys of an application":                       "wal", "lifetime of an idempotency key": "wal",
		"responses kept under the idempotency keys of an application's tokens, per 12 h and node, and as much at once": "TestKeptResponsesOfPortals",
		"those of all applications together; beyond it each may have a 1024th of that":                                 "TestKeptResponsesOfAllApplications",
		"requests of one API key, per second and node; a batch counts as many as it has messages":                      "TestRequestRateOfKeys",
		"requests with the tokens of one application together, per second and node; a change counts as 5":              "TestRequestRateOfApplications",
		"messages, attempts and endpoints of an application while all records exceed `storage.max_size`":               "TestShareOfMaxSize",
		"bytes of the endpoints of an application; of all endpoints":                                                   "wal",
		"bytes of all applications, and 64 for each key of their metadata":                                             "wal",
	}
	for _, row := range limitRows(t, "How many there can be", 1) {
		test, given := cases[row]
		if !given && elsewhere[row] == "" {
			t.Errorf("%s: nothing goes beyond it", row)
		}
		if !given {
			continue
		}
		delete(cases, row)
		made := 0
		for i := range test.limit + 3 {
			body := test.body
			if strings.Contains(body, "%d") {
				body = fmt.Sprintf(body, i)
			}
			response, text := a.raw("POST", "/api/v1"+test.path, "Bearer "+test.token, []byte(body))
			switch {
			case response.StatusCode < 300:
				made++
			case response.StatusCode != test.status || !strings.Contains(string(text), test.detail) || test.status == 429 && response.Header.Get("Retry-After") == "":
				t.Errorf("%s: %d %s", row, response.StatusCode, text)
			}
		}
		if made < test.limit || made > test.limit+1 { // one more send may come in by time
			t.Errorf("%s: %d were made, want %d", row, made, test.limit)
		}
	}
	for row := range cases {
		t.Errorf("docs/limits.md does not list %s", row)
	}
	// An admin raises the limit of one application, and nobody else does.
	a.call("PATCH", "/app/acme", `{"maxEndpoints":3}`, 200, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/"}`, 400, nil)
	var app anyMap
	a.call("PUT", "/app/acme", `{"name":"Acme","uid":"acme"}`, 200, &app)
	if app["maxEndpoints"] != 3.0 {
		t.Errorf("a replacement took the limit away: %v", app)
	}
	producer := a.keyToken(`{"name":"p","role":"producer"}`)
	for path, body := range map[string]string{
		"/app":                           `{"name":"n","uid":"q","maxEndpoints":9}`,
		"/app/q/msg":                     `{"eventType":"a","payload":{},"application":{"name":"n","uid":"q","maxEndpoints":9}}`,
		"/app/operational-webhooks/msg":  `{"eventType":"a","payload":{},"application":{"name":"n","uid":"operational-webhooks"}}`,
		"/app?get_if_exists=true&again=": `{"name":"n","uid":"operational-webhooks"}`,
	} {
		if response, text := a.raw("POST", "/api/v1"+path, "Bearer "+producer, []byte(body)); response.StatusCode != 403 {
			t.Errorf("a producer: %s %s: %d %s", path, body, response.StatusCode, text)
		}
	}
	a.call("DELETE", "/app/other", "", 204, nil)
	a.call("POST", "/operational-webhook/endpoint", `{"url":"http://127.0.0.1:9/"}`, 201, nil)
	for _, token := range []string{producer, apiToken} {
		if response, text := a.raw("POST", "/api/v1/app/operational-webhooks/msg", "Bearer "+token, []byte(`{"eventType":"endpoint.disabled","payload":{}}`)); response.StatusCode != 403 {
			t.Errorf("operational webhooks: %d %s", response.StatusCode, text)
		}
	}
}

// portalToken returns a new portal token of an application.
func (a *api) portalToken(app string) string {
	a.t.Helper()
	var made struct{ Token string }
	a.call("POST", "/auth/app-portal-access/"+app, `{}`, 200, &made)
	return made.Token
}

// keyToken makes a key and returns its token.
func (a *api) keyToken(body string) string {
	a.t.Helper()
	var made struct{ Token string }
	a.call("POST", "/key", body, 201, &made)
	return made.Token
}
