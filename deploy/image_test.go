package deploy

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

const token = "token-of-the-container-tests"

// TestImage runs the image as an engine does, without a configuration file: as its user, with
// nothing writable but the volume.
func TestImage(t *testing.T) {
	if !alone(t) {
		return
	}
	shell(t, "ip link set lo up")
	r := newReceiver(t, "127.0.0.1:0")
	c := container{data: volume(t), env: []string{"HOOKWHEEL_API_TOKEN=" + token, "HOOKWHEEL_DELIVERY_ALLOW=127.0.0.1/32", "HOOKWHEEL_STORAGE_MIN_FREE=1"}}
	// A volume of its own has this folder, which only root can read.
	must(t, os.Mkdir(filepath.Join(c.data, "lost+found"), 0o700))

	p := start(t, c)
	health := imageSettings(t).Healthcheck.Test
	isHealthy := func() bool {
		_, err := p.exec(t.Context(), health[1:]...)
		return err == nil
	}
	wait.For(t, "a healthy container", isHealthy)
	api := &client{t: t, url: "http://127.0.0.1:8071"}
	api.setUp(r.URL)
	first := api.mustPost()
	await(t, r, first)
	if out, err := p.exec(t.Context(), "/usr/bin/hookwheel", "version"); err != nil || !strings.Contains(out, "hookwheel v0.1.0\n") {
		t.Errorf("version: %v %s", err, out)
	}
	if code := p.Stop(t); code != 0 {
		t.Errorf("SIGTERM ended it with exit code %d", code)
	}

	p = start(t, c)
	wait.For(t, "a healthy container", isHealthy)
	if status, body := api.call("GET", "/app/demo/msg/"+first, ""); status != http.StatusOK {
		t.Errorf("the message of before the restart: %d %s", status, body)
	}
	await(t, r, api.mustPost())
}

// Without what it needs, the container says so and ends.
func TestImageRefuses(t *testing.T) {
	if !alone(t) {
		return
	}
	shell(t, "ip link set lo up")
	foreign := t.TempDir() // of root
	for name, test := range map[string]struct {
		container container
		want      string
	}{
		"no token":          {container{data: volume(t)}, "token"},
		"a short token":     {container{data: volume(t), env: []string{"HOOKWHEEL_API_TOKEN=short"}}, "HOOKWHEEL_API_TOKEN"},
		"a foreign volume":  {container{data: foreign, env: []string{"HOOKWHEEL_API_TOKEN=" + token}}, "permission denied"},
		"an unknown option": {container{data: volume(t), env: []string{"HOOKWHEEL_API_TOKEN=" + token, "HOOKWHEEL_API_TOKENS=x"}}, "did you mean HOOKWHEEL_API_TOKEN?"},
	} {
		p := start(t, test.container)
		<-p.Ended
		log, err := os.ReadFile(p.Log)
		must(t, err)
		if code := p.Cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(log), test.want) {
			t.Errorf("%s: exit code %d: %s", name, code, log)
		}
	}
}

// client calls the API.
type client struct {
	t    *testing.T
	url  string
	sent int
}

func (c *client) call(method, path, body string) (status int, response string) {
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+"/api/v1"+path, strings.NewReader(body))
	must(c.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	if method == "POST" {
		c.sent++
		request.Header.Set("Idempotency-Key", fmt.Sprint("call ", c.sent))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

func (c *client) setUp(url string) {
	c.t.Helper()
	for path, body := range map[string]string{"/app": `{"name": "Demo", "uid": "demo"}`} {
		if status, text := c.call("POST", path, body); status != http.StatusCreated {
			c.t.Fatalf("POST %s: %d %s", path, status, text)
		}
	}
	if status, text := c.call("POST", "/app/demo/endpoint", fmt.Sprintf(`{"url": %q}`, url)); status != http.StatusCreated {
		c.t.Fatalf("the endpoint: %d %s", status, text)
	}
}

// post sends an event, and returns the ID of its message once it was acknowledged; otherwise why
// not.
func (c *client) post() (id, problem string) {
	status, text := c.call("POST", "/app/demo/msg", `{"eventType": "test.event", "payload": {}}`)
	if status != http.StatusAccepted {
		return "", fmt.Sprint(status, " ", text)
	}
	var made struct{ ID string }
	decode(c.t, []byte(text), &made)
	return made.ID, ""
}

func (c *client) mustPost() string {
	c.t.Helper()
	id, problem := c.post()
	if id == "" {
		c.t.Fatal(problem)
	}
	return id
}

// newReceiver starts a receiver in the namespace of this process.
func newReceiver(t *testing.T, address string) *receivertest.Receiver {
	return receivertest.StartAt(t, listen(t, address), nil)
}

// await waits until messages have arrived.
func await(t *testing.T, r *receivertest.Receiver, ids ...string) {
	t.Helper()
	wait.For(t, fmt.Sprint(len(ids), " deliveries"), func() bool {
		taken := r.Taken()
		return !slices.ContainsFunc(ids, func(id string) bool { return taken[id] == 0 })
	})
}
