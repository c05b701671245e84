package httpapi_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// TestSDKReact mounts the hooks of svix-react in a page in Chromium whose origin is in api.cors,
// and in one whose origin is not. sdk/browser.js says what they must and must not be able to do.
func TestSDKReact(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("Chromium is not installed")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed")
	}
	for _, name := range []string{"esbuild", "playwright-core", "svix-react"} {
		if _, err := os.Stat(filepath.Join("sdk", "node_modules", name)); err != nil {
			t.Skip("the npm packages are missing: cd httpapi/sdk && npm install --no-package-lock")
		}
	}
	allowed, other := process.FreeAddress(t), process.FreeAddress(t)
	a := apiStart(t, func(c *config.Config) { c.API.CORS = []string{"http://" + allowed} })
	receiver := receivertest.Start(t, nil)
	receiver.Say(http.StatusInternalServerError)
	var endpoint, message apiThing
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"paid","description":"Paid"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`"}`, 201, &endpoint)
	a.call("POST", "/app/acme/msg", `{"eventType":"paid","payload":{}}`, 202, &message)
	wait.For(t, "the last attempt", func() bool {
		var attempts struct{ Data []apiThing }
		a.call("GET", "/app/acme/attempt/msg/"+message.ID, "", 200, &attempts)
		return len(attempts.Data) == 3
	})
	receiver.Say(http.StatusOK)
	var access struct{ Token string }
	a.call("POST", "/auth/app-portal-access/acme", `{}`, 200, &access)

	port := func(address string) int {
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	page, err := json.Marshal(map[string]any{
		"chromium": chromium, "url": a.url, "allowed": port(allowed), "other": port(other),
		"token": access.Token, "app": "acme", "endpoint": endpoint.ID, "message": message.ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "browser.js", string(page))
	cmd.Dir = filepath.Join("sdk")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	receiver.Await(t, 4) // the failed attempts, and what the page resent
}
