package httpapi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hookwheel/httpapi/apitest"
)

// The SDKs of other languages run as they are published, in processes of their own. What they need
// is in the folder sdk: npm install --no-package-lock, and pip install -r requirements.txt. They
// speak to a node through the contract's proxy.

func TestSDKJavaScript(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node here")
	}
	if _, err := os.Stat(filepath.Join("..", "sdk", "node_modules", "svix")); err != nil {
		t.Skip("the npm packages are missing: cd sdk && npm install --no-package-lock")
	}
	runFlow(t, "node", "flow.js")
}

func TestSDKPython(t *testing.T) {
	python := "python3"
	if own := filepath.Join("..", "sdk", "venv", "bin", "python"); exec.Command(own, "--version").Run() == nil {
		python = filepath.Join("venv", "bin", "python")
	} else if exec.Command(python, "-c", "import svix, standardwebhooks").Run() != nil {
		t.Skip("the Python packages are missing: cd sdk && python3 -m venv venv && venv/bin/pip install -r requirements.txt")
	}
	runFlow(t, python, "flow.py")
}

func runFlow(t *testing.T, program, script string) {
	a := apiStart(t)
	cmd := exec.CommandContext(t.Context(), program, script, apitest.Proxy(t, a.url), apiToken)
	cmd.Dir = filepath.Join("..", "sdk")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
