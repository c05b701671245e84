package deploy

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"hookwheel/systemtest/wait"
)

// loadCompose reads the compose file as Docker Compose does, against its schema.
func loadCompose(t *testing.T, env types.Mapping) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: ".", ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml"}}, Environment: env,
	}, loader.WithProfiles([]string{"setup"}))
}

var composeEnv = types.Mapping{"HOOKWHEEL_API_TOKEN": token, "HOOKWHEEL_CLUSTER_SECRET": "0123456789abcdef0123456789abcdef"}

func TestComposeRefuses(t *testing.T) {
	for name := range composeEnv {
		env := maps.Clone(composeEnv)
		delete(env, name)
		if _, err := loadCompose(t, env); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "create it with openssl") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestCompose runs the services of the compose file, by their names, until they deliver.
func TestCompose(t *testing.T) {
	if !alone(t) {
		return
	}
	project, err := loadCompose(t, composeEnv)
	must(t, err)
	n, r := newNetwork(t), newReceiver(t, gateway+":9000")
	certs := volume(t)
	setup := project.Services["certs"]
	for _, args := range [][]string{{"ca", "--out", "/certs"}, {"node", "n1", "n2", "n3", "--ca", "/certs", "--out", "/certs"}} {
		p := start(t, container{args: slices.Concat(setup.Entrypoint[1:], args), data: volume(t), certs: certs, writable: true})
		if <-p.Ended; p.Cmd.ProcessState.ExitCode() != 0 {
			t.Fatalf("%v failed", args)
		}
	}
	var pods []*pod
	for _, name := range []string{"n1", "n2", "n3"} {
		service := project.Services[name]
		env := []string{"HOOKWHEEL_DELIVERY_ALLOW=" + gateway + "/32", "HOOKWHEEL_STORAGE_MIN_FREE=1"}
		for key, value := range service.Environment {
			env = append(env, key+"="+*value)
		}
		if !service.ReadOnly || len(service.CapDrop) != 1 || !strings.HasPrefix(service.Image, "hookwheel:") {
			t.Errorf("%s is run from %s, writable: %t", name, service.Image, !service.ReadOnly)
		}
		pods = append(pods, start(t, container{name: name, env: env, data: volume(t), certs: certs, network: n}))
	}
	for _, p := range pods {
		wait.For(t, p.name+" is healthy", func() bool {
			_, err := p.exec(t.Context(), "/usr/bin/hookwheel", "health")
			return err == nil
		})
	}
	api := &client{t: t, url: "http://" + pods[0].address + ":8071"}
	api.setUp(r.URL)
	id := api.mustPost()
	await(t, r, id)
	api.url = "http://" + pods[2].address + ":8071"
	if status, body := api.call("GET", "/app/demo/msg/"+id, ""); status != http.StatusOK {
		t.Errorf("at n3: %d %s", status, body)
	}
}
