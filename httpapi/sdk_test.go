package httpapi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hookwheel/httpapi/apitest"
)

// The SDKs of other languages run as they are published, in processes of their own. What they need
// is in httpapi/sdk; .ci/run shows how it is installed. They speak to a node through the
// contract's proxy.

func TestSDKJavaScript(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed")
	}
	if _, err := os.Stat(filepath.Join("sdk", "node_modules", "svix")); err != nil {
		t.Skip("the npm packages are missing: cd httpapi/sdk && npm install --no-package-lock")
	}
	runFlow(t, "node", "flow.js")
}

func TestSDKPython(t *testing.T) {
	python := "python3"
	if own := filepath.Join("sdk", "venv", "bin", "python"); exec.Command(own, "--version").Run() == nil {
		python = filepath.Join("venv", "bin", "python")
	} else if exec.Command(python, "-c", "import svix, standardwebhooks").Run() != nil {
		t.Skip("the Python packages are missing: cd httpapi/sdk && python3 -m venv venv && venv/bin/pip install -r requirements.txt")
	}
	runFlow(t, python, "flow.py")
}

func TestSDKJava(t *testing.T) {
	if _, err := exec.LookPath("javac"); err != nil {
		t.Skip("a Java development kit is not installed")
	}
	if jars, err := filepath.Glob(filepath.Join("sdk", "jars", "svix-*.jar")); err != nil || len(jars) == 0 {
		t.Skip("the Java packages are missing: cd httpapi/sdk && mvn dependency:copy-dependencies -DoutputDirectory=jars")
	}
	runFlow(t, "java", "-cp", filepath.Join("jars", "*"), "Flow.java")
}

func TestSDKRust(t *testing.T) {
	program, err := filepath.Abs(filepath.Join("sdk", "target", "debug", "flow"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("the Rust program is missing: cd httpapi/sdk && cargo build")
	}
	runFlow(t, program)
}

func TestSDKRuby(t *testing.T) {
	if exec.Command("ruby", "-e", "require 'svix'").Run() != nil {
		t.Skip("Ruby or its package is missing: gem install svix")
	}
	runFlow(t, "ruby", "flow.rb")
}

// TestSchemathesis has schemathesis derive requests from the OpenAPI document, valid and invalid
// ones, and holds the responses to it. It does not require that all valid ones succeed: a schema
// can't say, for example, that an event type must exist.
func TestSchemathesis(t *testing.T) {
	program, err := filepath.Abs(filepath.Join("sdk", "venv", "bin", "schemathesis"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("schemathesis is missing: cd httpapi/sdk && python3 -m venv venv && venv/bin/pip install -r requirements.txt")
	}
	a := apiStart(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "schemathesis.toml"), []byte(schemathesisConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "run", a.url+"/api/v1/openapi.json", "--header", "Authorization: Bearer "+apiToken,
		"--phases", "examples,coverage,fuzzing", "--max-examples", "3", "--max-time", "40", "--request-timeout", "30", "--seed", "1",
		"--continue-on-failure", "--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "all", "--generation-database", "none",
		"--exclude-path-regex", "/tail$|/cluster/backup|/cluster/members|/cluster/transfer") // these have no end, or change the cluster
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// schemathesisConfig adds to what schemathesis takes for a refusal that a request is too large, or
// that a thing was changed meanwhile. It lets the Allow header of two paths name GET: they are
// also those of messages with the eventIds test-attempt and batch. Examples of batches are passed
// over, as schemathesis can't write NDJSON.
const schemathesisConfig = `[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "414", "415", "422", "428", "429", "5xx"]

[[operations]]
include-path = "/api/v1/app/{app}/msg/test-attempt"
[operations.checks]
allow_header_conformance.enabled = false

[[operations]]
include-path = "/api/v1/app/{app}/msg/batch"
[operations.checks]
allow_header_conformance.enabled = false
[operations.phases.examples]
enabled = false
`

func runFlow(t *testing.T, program string, arguments ...string) {
	a := apiStart(t)
	cmd := exec.CommandContext(t.Context(), program, append(arguments, apitest.Proxy(t, a.url), apiToken)...)
	cmd.Dir = filepath.Join("sdk")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
