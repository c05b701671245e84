package httpapi_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/node"
	"hookwheel/systemtest/wait"
)

// reloadFile is the configuration file of a node.
type reloadFile struct {
	t    *testing.T
	path string
	base string
}

// write writes the file with further settings: those of a block begin with its name.
func (f *reloadFile) write(token, api, rest string) {
	f.t.Helper()
	text := fmt.Sprintf("%s\napi {\n listen = \"127.0.0.1:0\"\n token = %q\n drain = \"0s\"\n%s\n}\n%s\n", f.base, token, api, rest)
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func startFromFile(t *testing.T, log *slog.Logger) (*api, *reloadFile) {
	t.Helper()
	f := &reloadFile{t, filepath.Join(t.TempDir(), "hookwheel.hcl"), fmt.Sprintf("data = %q\nstorage {\n min_free = 1\n}", t.TempDir())}
	f.write(apiToken, "", "")
	c, err := config.Load(f.path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(c, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return &api{t, "http://" + n.Addr(), n}, f
}

type reloaded struct {
	Node             string
	Changed, Restart []string
}

func TestReload(t *testing.T) {
	log := new(wait.Log)
	a, f := startFromFile(t, slog.New(slog.NewTextHandler(log, nil)))
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	attempt := func() int64 {
		var got struct{ ResponseStatusCode int64 }
		a.call("POST", "/app/acme/msg/test-attempt", `{"url":"`+receiver.URL+`"}`, 200, &got)
		return got.ResponseStatusCode
	}
	if status := attempt(); status != 0 {
		t.Errorf("loopback is not blocked at first: %d", status)
	}
	f.write(apiToken, "cors = [\"https://a.example\"]\n max_body = \"512KiB\"",
		"delivery {\n allow = [\"127.0.0.0/8\"]\n source_addresses = [\"203.0.113.7\"]\n}\nlimits {\n endpoints = 1\n applications = 1\n}\n"+
			"portal {\n frame_ancestors = [\"https://b.example\"]\n refresh_url = \"https://c.example/\"\n}\n")
	var got reloaded
	a.call("POST", "/cluster/configuration/reload", "", 200, &got)
	if got.Node != "n1" || !slices.Equal(got.Restart, []string{"api.max_body"}) || len(got.Changed) != 7 {
		t.Errorf("%+v", got)
	}
	if status := attempt(); status != 200 {
		t.Errorf("loopback is still blocked: %d", status)
	}
	a.call("POST", "/app", `{"name":"Second"}`, 400, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`"}`, 400, nil)
	request, err := http.NewRequest("GET", a.url+"/api/v1/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "https://a.example")
	response, _ := a.do(request)
	if origin := response.Header.Get("Access-Control-Allow-Origin"); origin != "https://a.example" {
		t.Errorf("the origin that is allowed is %q", origin)
	}
	page, _ := a.raw("GET", "/portal", "", nil)
	if !strings.Contains(page.Header.Get("Content-Security-Policy"), "https://b.example") || page.Header.Get("Portal-Refresh-Url") != "https://c.example/" {
		t.Errorf("the portal has %v", page.Header)
	}
	var settings settingsView
	a.call("GET", "/environment/settings", "", 200, &settings)
	if !slices.Equal(settings.Delivery.SourceAddresses, []string{"203.0.113.7"}) {
		t.Errorf("settings: %+v", settings)
	}
	// A connection from before is not used for what is denied now.
	f.write(apiToken, "", "")
	a.call("POST", "/cluster/configuration/reload", "", 200, &got)
	if status := attempt(); status != 0 || len(got.Restart) != 0 {
		t.Errorf("loopback is allowed again: %d, %+v", status, got)
	}
	// A bad file changes nothing.
	f.write("hushhush", "", "delivery {\n allow = [\"127.0.0.0/8\"]\n}")
	_, text := a.raw("POST", "/api/v1/cluster/configuration/reload", "Bearer "+apiToken, nil)
	if !strings.Contains(string(text), f.path+":7:10: api.token must have at least 16 characters") || strings.Contains(string(text)+log.String(), "hushhush") {
		t.Errorf("a bad file: %s", text)
	}
	if !strings.Contains(log.String(), f.path+":7:10: api.token must") {
		t.Errorf("the log lacks the mistake:\n%s", log)
	}
	if _, metrics := a.raw("GET", "/metrics", "", nil); !strings.Contains(string(metrics), "hookwheel_config_last_reload_successful 0") {
		t.Error("the metric does not show that it failed")
	}
	if status := attempt(); status != 0 {
		t.Errorf("a bad file has an effect: %d", status)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	a.call("POST", "/cluster/configuration/reload", "", 409, nil)
}

// A new token is accepted at once and the old one is not; requests with other tokens go on.
func TestReloadOfTokens(t *testing.T) {
	a, f := startFromFile(t, slog.New(slog.DiscardHandler))
	var key struct{ Token string }
	a.call("POST", "/key", `{"name":"reader","role":"reader"}`, 201, &key)
	var requests sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		requests.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if response, text := a.raw("GET", "/api/v1/environment/settings", "Bearer "+key.Token, nil); response.StatusCode != 200 {
					t.Errorf("a reload disturbs a request: %d %s", response.StatusCode, text)
				}
			}
		})
	}
	now := apiToken
	for i := range 10 {
		next := fmt.Sprint("token-of-the-test-", i)
		f.write(next, "cors = [\"https://a.example\"]", fmt.Sprintf("limits {\n endpoints = %d\n manual_sends = %d\n}", 10+i, 10+i))
		if response, text := a.raw("POST", "/api/v1/cluster/configuration/reload", "Bearer "+now, nil); response.StatusCode != 200 {
			t.Fatalf("%d %s", response.StatusCode, text)
		}
		for token, want := range map[string]int{now: 401, next: 200} {
			if response, _ := a.raw("GET", "/api/v1/cluster", "Bearer "+token, nil); response.StatusCode != want {
				t.Errorf("after reload %d, a token gets %d, want %d", i, response.StatusCode, want)
			}
		}
		now = next
	}
	close(stop)
	requests.Wait()
}
