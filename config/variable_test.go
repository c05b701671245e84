package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exampleValues returns the settings of the example and a value for each, as its line in the file
// and as the text of a variable.
func exampleValues(t *testing.T) map[string][2]string {
	t.Helper()
	values := make(map[string][2]string)
	var path []string
	for line := range strings.Lines(uncommented(t)) {
		line = strings.TrimSpace(line)
		key, value, isSetting := strings.Cut(line, " = ")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasSuffix(line, "{"):
			path = append(path, strings.Fields(line)[0])
		case line == "}":
			path = path[:len(path)-1]
		case strings.HasPrefix(line, "peer "): // in one line
			values[peerSetting] = [2]string{line, "n1=127.0.0.1:9081"}
		case isSetting:
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			values[strings.Join(append(slices.Clone(path), key), ".")] = [2]string{key + " = " + value, variableValue(t, value)}
		}
	}
	return values
}

// variableValue returns the text of a variable for a value in a file.
func variableValue(t *testing.T, value string) string {
	if strings.HasPrefix(value, "env(") {
		return "" // the tests set it
	}
	var text any
	if err := json.Unmarshal([]byte(value), &text); err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	if list, ok := text.([]any); ok {
		items := make([]string, len(list))
		for i, item := range list {
			items[i] = item.(string)
		}
		return strings.Join(items, ", ")
	}
	return strings.Trim(value, `"`)
}

// Each setting of the example can be set by a variable of its name, alone or in place of what the
// file says.
func TestVariableOfEachSetting(t *testing.T) {
	required := map[string]string{"api.token": configTestToken, "api.jwt_secret": configTestToken, "backup.encryption_key": configTestSecret,
		"backup.s3.access_key_id": "id", "backup.s3.secret_access_key": "secret", "backup.s3.session_token": "token", "cluster.secret": configTestSecret,
		"node": "n1", "data": "/data", "api.listen": "127.0.0.1:8081", "portal.listen": ":8443",
		// Their examples are empty lists, or nothing.
		"encryption_keys": configTestSecret + "," + configTestSecret, "api.cors": "https://a.example,http://b.example",
		"portal.frame_ancestors": "*", "delivery.allow": "10.0.0.0/8,127.0.0.1/32", "delivery.deny": "8.8.8.0/24",
		"delivery.proxy": "http://proxy.example:3128", "delivery.no_proxy": "a.example", "delivery.source_addresses": "203.0.113.7, 2001:db8:1::/48",
		"tracing.endpoint": "http://localhost:4318", "tracing.headers": "a=b", "tracing.propagate_to": "*"}
	alone := map[string]bool{"delivery.retry.schedule": true, "delivery.retry.base": true, "delivery.retry.factor": true,
		"delivery.retry.max_retries": true, peerSetting: true, "cluster.join": true} // exclude each other
	values := exampleValues(t)
	var names []string
	for name, value := range values {
		names = append(names, name)
		if text := required[name]; text != "" {
			value[1] = text
		}
		if value[1] == "" {
			t.Errorf("no value for %s", name)
		}
		values[name] = value
	}
	slices.Sort(names)
	if !slices.Equal(names, settingNames()) {
		t.Errorf("the example has %v\nbut there are %v", names, settingNames())
	}
	for _, exclusive := range [][]string{{"delivery.retry.schedule", peerSetting}, {"delivery.retry.base", "delivery.retry.factor", "delivery.retry.max_retries", "cluster.join"}} {
		t.Run(exclusive[0], func(t *testing.T) {
			for name, value := range values {
				if !alone[name] || slices.Contains(exclusive, name) {
					t.Setenv(Variable(name), value[1])
				}
			}
			got, err := Load("")
			if err != nil {
				t.Fatal(err)
			}
			for _, setting := range got.Effective() {
				name := setting.Name
				if name == "delivery.retry.schedule" && !slices.Contains(exclusive, name) {
					name = "delivery.retry.base"
				}
				if (!alone[name] || slices.Contains(exclusive, name)) && setting.Source != Variable(name) {
					t.Errorf("%s comes from %q", setting.Name, setting.Source)
				}
			}
			if got.API.MaxBody != 1<<20 || len(got.EncryptionKeys) != 2 || len(got.Delivery.SourceAddresses) != 2 || got.Cluster.TLS.CA != "certs/ca.pem" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestVariablesBeforeFile(t *testing.T) {
	t.Setenv("HOOKWHEEL_API_MAX_BODY", "2MiB")
	t.Setenv("HOOKWHEEL_API_CORS", "") // as if not set
	t.Setenv("HOOKWHEEL_DELIVERY_RETRY_SCHEDULE", "1s, 2s")
	t.Setenv("HOOKWHEEL_CLUSTER_PEER", "n1=127.0.0.1:1, n2=127.0.0.1:2")
	config := mustParseConfig(t, "node = \"n2\"\n"+apiWith(`max_body = "not read"`+"\n cors = [\"*\"]"))
	if config.API.MaxBody != 2<<20 || len(config.API.CORS) != 1 || len(config.Delivery.Retry.Delays) != 2 ||
		len(config.Cluster.Peers) != 2 || config.Cluster.Address != "127.0.0.1:2" {
		t.Errorf("got %+v", config)
	}
	sources := make(map[string]string)
	for _, setting := range config.Effective() {
		sources[setting.Name] = setting.Source
	}
	for name, want := range map[string]string{"api.max_body": "HOOKWHEEL_API_MAX_BODY", "api.cors": "test.hcl:6", "api.token": "test.hcl:3", "api.drain": "",
		"cluster.peer": "HOOKWHEEL_CLUSTER_PEER", "delivery.retry.schedule": "HOOKWHEEL_DELIVERY_RETRY_SCHEDULE", "node": "test.hcl:1"} {
		if sources[name] != want {
			t.Errorf("%s comes from %q, want %q", name, sources[name], want)
		}
	}
}

func TestVariableErrors(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"HOOKWHEEL_API_MAX_BODY", "hushhush", `HOOKWHEEL_API_MAX_BODY: api.max_body must be a size from "1 KiB"`},
		{"HOOKWHEEL_API_TOKEN", "hushhush", "HOOKWHEEL_API_TOKEN: api.token must have at least 16 characters"},
		{"HOOKWHEEL_API_CORS", "*,hushhush", "HOOKWHEEL_API_CORS: api.cors each must be an origin"},
		{"HOOKWHEEL_API_CORS", "https://a.example,", "HOOKWHEEL_API_CORS: api.cors each must be an origin"},
		{"HOOKWHEEL_API_TLS_CERT", "hushhush", "HOOKWHEEL_API_TLS_KEY"},
		{"HOOKWHEEL_CLUSTER_PEER", "hushhush", "HOOKWHEEL_CLUSTER_PEER: cluster.peer must be a list of id=host:port"},
		{"HOOKWHEEL_CLUSTER_PEER", "n1=127.0.0.1:1,n1=127.0.0.1:2", "HOOKWHEEL_CLUSTER_PEER: cluster.peer has the same id as another peer"},
		{"HOOKWHEEL_CLUSTER_PEER", "n1=hushhush", "HOOKWHEEL_CLUSTER_PEER: cluster.peer.address must be a host:port"},
		{"HOOKWHEEL_DELIVERY_RETRY_FACTOR", "2", "environment: delivery.retry.base is missing"},
		{"HOOKWHEEL_API_MAXBODY", "hushhush", "HOOKWHEEL_API_MAXBODY: is no setting; did you mean HOOKWHEEL_API_MAX_BODY?"},
		{"HOOKWHEEL_API_PORT", "8080", "HOOKWHEEL_API_PORT: is no setting"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("HOOKWHEEL_API_TOKEN", configTestToken)
			t.Setenv(test.name, test.value)
			_, err := Load("")
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hushhush") {
				t.Errorf("%s: got %v, want %s", test.value, err, test.want)
			}
		})
	}
	if _, err := Load(""); err == nil || !strings.Contains(err.Error(), "environment: api.token is missing") || !strings.Contains(err.Error(), "HOOKWHEEL_API_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
}

// Variables of others are no mistake, and those that may be meant for us are warned of.
func TestOtherVariables(t *testing.T) {
	for name, value := range map[string]string{"HOOKWHEEL_API_TOKEN": configTestToken, "HOOKWHEEL_URL": "x", "HOOKWHEEL_CALLED": "x",
		"HOOKWHEEL_SERVICE_HOST": "10.0.0.1", "HOOKWHEEL_SERVICE_PORT_API": "8071", "HOOKWHEEL_PORT": "tcp://10.0.0.1:8071",
		"HOOKWHEEL_API_SERVICE_HOST": "10.0.0.1", "HOOKWHEEL_API_PORT": "tcp://10.0.0.1:8071", "HOOKWHEEL_API_PORT_8071_TCP_ADDR": "10.0.0.1",
		"HOOKWHEEL_VERSION": "1", "HOOKWHEEL_LOGLEVEL": "debug"} {
		t.Setenv(name, value)
	}
	config := mustParseConfig(t, `data = env("HOOKWHEEL_CALLED")`)
	warnings := strings.Join(config.Warnings(), "\n")
	for _, want := range []string{"HOOKWHEEL_VERSION is no setting", "HOOKWHEEL_LOGLEVEL is no setting; did you mean HOOKWHEEL_LOG_LEVEL?"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no warning %s in\n%s", want, warnings)
		}
	}
	for _, other := range []string{"SERVICE", "PORT", "CALLED", "URL"} {
		if strings.Contains(warnings, other) {
			t.Errorf("a warning about %s:\n%s", other, warnings)
		}
	}
	for _, name := range settingNames() {
		if linkVariable.MatchString(Variable(name)) || strings.HasSuffix(Variable(name), "_PORT") || slices.Contains(clientVariables, Variable(name)) {
			t.Errorf("the variable of %s may be set by others", name)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hookwheel.hcl")
	check := func(source string) (string, error) {
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		config, warnings, err := Check(t.Context(), path)
		return config.Summary() + strings.Join(warnings, ""), err
	}
	text, err := check(`data = "` + dir + `/new/folder"` + "\napi {\n token = \"0123456789abcdef\"\n listen = \"127.0.0.1:0\"\n}")
	if err != nil || !strings.Contains(text, "node n1, data in "+dir+"/new/folder, API at http://127.0.0.1:0, no cluster, 3 settings are not defaults") {
		t.Errorf("good: %s, %v", text, err)
	}
	if text, err := check(apiBlock + "tracing {\n endpoint = \"http://127.0.0.1:4317\"\n}"); err != nil || !strings.Contains(text, path+":6: tracing.endpoint has the port of OTLP over gRPC") {
		t.Errorf("gRPC: %s, %v", text, err)
	}
	_, err = check(`data = "` + file + `/in-a-file"
api {
 token   = "short"
 listen  = "192.0.2.1:8071"
 metrics = "127.0.0.1:8444"
 tls {
  cert = "` + file + `"
  key  = "` + file + `"
 }
}
portal {
 listen = "127.0.0.1:8444"
}
cluster {
 join    = ["127.0.0.1:9"]
 address = "127.0.0.1:10"
}`)
	for _, want := range []string{path + ":1: data must be a folder", path + ":3:12: api.token must", path + ":4: api.listen can't be used on this machine",
		path + ":7: api.tls.cert can't be used", path + ":5: api.metrics must not be the address of portal.listen", path + ":1:1: node is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no error %s in\n%v", want, err)
		}
	}
	if _, _, err := Check(t.Context(), filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("without a file: %v", err)
	}
	if _, err := check("api {"); err == nil {
		t.Error("an error of syntax was accepted")
	}
}
