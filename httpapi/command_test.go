package httpapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hookwheel/cli"
	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
)

// TestCommandsForPeople goes through the life of a customer's webhooks by commands.
func TestCommandsForPeople(t *testing.T) {
	a := apiStart(t)
	receiver, address := receivertest.Start(t, nil), apitest.Proxy(t, a.url)
	run := func(stdin string, args ...string) (string, error) {
		root := cli.New("test")
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetIn(strings.NewReader(stdin))
		root.SetArgs(append(args, "--url", address, "--token", apiToken))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	// says runs a command whose output must match.
	says := func(want string, args ...string) string {
		t.Helper()
		out, err := run(`{"from": "stdin"}`, args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%v says\n%s\nwant %s", args, out, want)
		}
		return out
	}
	// fails runs a command that must be refused with that text.
	fails := func(want string, args ...string) {
		t.Helper()
		if out, err := run("", args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s; says %s", args, err, want, out)
		}
	}
	file := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(file, []byte(`{"from": "file"}`), 0o600); err != nil {
		t.Fatal(err)
	}

	says(`(?s)ID +UID +NAME.*app_\w{27} +acme +Acme Inc\. +100`, "app", "create", "Acme Inc.", "--uid", "acme", "--rate", "100", "--metadata", "plan=gold")
	says(`acme +Acme +- `, "app", "update", "acme", "--name", "Acme", "--rate", "0")
	says(`acme +Acme`, "app", "list")
	says(`"plan": "gold"`, "app", "get", "acme", "--json")
	says(`invoice.paid +- +false +false +Paid`, "event-type", "create", "invoice.paid", "Paid")
	says(`invoice.paid +- +false +true`, "event-type", "update", "invoice.paid", "--deprecated")
	says(`invoice.paid`, "event-type", "get", "invoice.paid")
	says(`billing +http.* +invoice.paid +a,b +- +- +\w* +healthy`, "endpoint", "create", "acme", receiver.URL, "--uid", "billing", "--event-type", "invoice.paid", "--channel", "a,b")
	says(`billing .* invoice.paid +- +`, "endpoint", "update", "acme", "billing", "--channel", "")
	says(`invoice.paid +- +- +key +block +healthy`, "endpoint", "update", "acme", "billing", "--ordering", "key", "--on-exhausted", "block")
	says(`billing .* +key +healthy`, "endpoint", "list", "acme")
	says(`invoice.paid +- +- +- +skip +healthy`, "endpoint", "update", "acme", "billing", "--ordering", "none", "--on-exhausted", "skip")
	says(`(?s)STATUS +CODE.*success +200 .*thanks`, "endpoint", "test", "acme", receiver.URL)
	says(`^whsec_\S+\n$`, "endpoint", "secret", "acme", "billing")
	says(`^whsec_\S+\n$`, "endpoint", "rotate-secret", "acme", "billing", "--grace", "0")

	says(`invoice.paid +one +-`, "message", "send", "acme", "invoice.paid", `{"from": "argument"}`, "--id", "one")
	says(`invoice.paid +two`, "message", "send", "acme", "invoice.paid", "@"+file, "--id", "two")
	says(`invoice.paid +three`, "message", "send", "acme", "invoice.paid", "-", "--id", "three")
	receiver.Await(t, 3)
	a.awaitAttempts("/app/acme/attempt/endpoint/billing", 3)
	says(`(?s)three.*two.*one`, "message", "list", "acme")
	says(`(?s)DELIVERED +PENDING +FAILED\n.*three .* 1 +0 +0\n`, "message", "list", "acme", "--with-status")
	says(`{"from": "stdin"}`, "message", "get", "acme", "three")
	says(`delivered`, "message", "explain", "acme", "one")
	says(`Resend queued`, "message", "resend", "acme", "one", "billing")
	receiver.Await(t, 4)
	a.awaitAttempts("/app/acme/attempt/endpoint/billing", 4)
	attempts := says(`(?s)manual +1 +success +200.*scheduled +1 +success +200`, "attempt", "list", "acme", "--endpoint", "billing", "--status", "success", "--since", "1h")
	says(`success +200 .* thanks`, "attempt", "get", "acme", "one", regexp.MustCompile(`(atmpt_\w+) +` + messageID(t, a, "one")).FindStringSubmatch(attempts)[1])
	says(`success`, "attempt", "list", "acme", "--message", "one")
	says(`(?s)manual .*scheduled `, "attempt", "list", "acme")
	says(`NEXT\n$`, "attempt", "list", "acme", "--status", "failed")
	says(`(?s)NAME.*acme +Acme`, "app", "list", "--search", "CM")
	says(`CREATED\n$`, "app", "list", "--search", "nobody")
	says(`(?s)^[^\n]*SENT\n[^\n]* two [^\n]*\n$`, "message", "list", "acme", "--search", "two")
	says(`NEXT\n$`, "attempt", "list", "acme", "--endpoint", "billing", "--status", "failed")
	says(`NEXT\n$`, "attempt", "list", "acme", "--endpoint", "billing", "--until", "1h")

	says(`4 +0 +0 +0 +0\n$`, "endpoint", "stats", "acme", "billing", "--since", "1d")
	says(`0 +0 +0 +0 +0\n$`, "endpoint", "stats", "acme", "billing", "--since", "2d", "--until", "1d")
	says(`paused by a user`, "endpoint", "pause", "acme", "billing")
	says(`healthy`, "endpoint", "resume", "acme", "billing", "--from", "now")
	says(`(?s)^TOTAL +EXACT +LOOKED .*\n3 +true +3 `, "endpoint", "replay", "acme", "billing", "--since", "1h", "--dry-run")
	says(`(?s)^[^q]*STATE[^q]*$`, "task", "list", "--app", "acme", "--endpoint", "billing")
	task := says(`qtask_\w{27} +endpoint.bulk-replay`, "endpoint", "replay", "acme", "billing", "--since", "1h", "--status", "all")
	says(`qtask_`, "task", "list")
	says(`qtask_`, "task", "list", "--app", "acme", "--endpoint", "billing")
	says(`UPDATED\n$`, "task", "list", "--status", "failed")
	says(`endpoint.bulk-replay`, "task", "get", regexp.MustCompile(`qtask_\w+`).FindString(task))
	receiver.Await(t, 7)

	var list []json.RawMessage
	if err := json.Unmarshal([]byte(says(`.`, "message", "list", "acme", "--json", "-n", "2")), &list); err != nil || len(list) != 2 {
		t.Errorf("%d messages, want 2: %v", len(list), err)
	}
	says(`^hwk_\w+\S+\n$`, "key", "create", "portal", "--role", "application", "--app", "acme", "--capability", "ViewBase,CreateAttempts")
	says(`portal +application: ViewBase, CreateAttempts +app_`, "key", "list", "--app", "acme")
	says(`"ViewBase",\s+"CreateAttempts"`, "key", "list", "--app", "acme", "--json")
	says(`^http://.*/console#key=hwk_\S+\n$`, "console", "--role", "reader", "--expires", "1h")
	fails("the console needs admin or reader", "console", "--role", "producer")
	fails("body.capabilities: may hold ViewBase", "key", "create", "p", "--role", "application", "--app", "acme", "--capability", "Everything")
	fails("are for the role application", "key", "create", "p", "--role", "producer", "--capability", "ViewBase")
	fails("Application not found", "key", "list", "--app", "nobody")
	fails("Application not found", "app", "get", "nobody")
	fails("body.url: not an absolute URL", "endpoint", "create", "acme", "no url")
	fails("must be a JSON object", "message", "send", "acme", "invoice.paid", "[]")
	fails("accepts 3 arg(s)", "message", "send", "acme")
	fails("--endpoint and --message can't be used together", "attempt", "list", "acme", "--endpoint", "billing", "--message", "m")
	says(`Payload deleted`, "message", "expunge", "acme", "one")
	says(`archived`, "event-type", "delete", "invoice.paid")
	says(`invoice.paid +- +true`, "event-type", "list", "--archived")
	says(`Event type deleted`, "event-type", "delete", "invoice.paid", "--expunge")
	says(`Endpoint deleted`, "endpoint", "delete", "acme", "billing")
	says(`Application deleted`, "app", "delete", "acme")
}

func messageID(t *testing.T, a *api, eventID string) string {
	t.Helper()
	var m apiThing
	a.call("GET", "/app/acme/msg/"+eventID, "", 200, &m)
	return m.ID
}
