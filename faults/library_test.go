package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"hookwheel/systemtest/wait"
)

// Badger syncs its value log after each write, and only logs that this failed. A disk that fails in
// no other way can't be made, so the builds whose clocks can be wrong also have a library that
// fails to sync value logs while there is a file named as the clock with this suffix.
const syncFailure = ".eio"

// failingLibrary makes a copy of the library of memory-mapped files that fails in this way, and
// returns the path of what -modfile takes to build with it.
func failingLibrary(dir, main string) (modfile string, err error) {
	const name = "github.com/dgraph-io/ristretto/v2"
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", name).Output()
	if err != nil {
		return "", err
	}
	copied := filepath.Join(dir, "ristretto")
	if err := os.CopyFS(copied, os.DirFS(strings.TrimSpace(string(module)))); err != nil {
		return "", err
	}
	const sync = "\treturn Msync(m.Data)\n"
	failing := fmt.Sprintf(`	if m.Fd != nil && filepath.Ext(m.Fd.Name()) == ".vlog" {
		if _, err := os.Stat(os.Getenv(%q) + %q); err == nil {
			return errors.New("input/output error")
		}
	}
`, clockVariable, syncFailure)
	if err := replaceIn(filepath.Join(copied, "z", "file.go"), filepath.Join(copied, "z", "file.go"), sync, failing+sync); err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(main, "go.sum"))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
		return "", err
	}
	modfile = filepath.Join(dir, "go.mod")
	const require = "\nrequire (\n"
	return modfile, replaceIn(filepath.Join(main, "go.mod"), modfile, require, fmt.Sprintf("\nreplace %s => %q\n%s", name, copied, require))
}

// replaceIn copies a file and replaces the first of something that must be there.
func replaceIn(from, to, text, by string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if !strings.Contains(string(content), text) {
		return fmt.Errorf("%s has no %q: adapt what is made of it", from, text)
	}
	return os.WriteFile(to, []byte(strings.Replace(string(content), text, by, 1)), 0o600)
}

// libraryScenario: the disk of a follower fails in a way that only Badger notices, which only logs
// it. The node must end by itself, with an exit code that says so, and go on when its disk is well.
func libraryScenario() scenario {
	run := func(tr *trial) (found []string, err error) {
		leader, err := tr.awaitWell()
		if err != nil {
			return nil, err
		}
		failing := (leader + 1) % len(tr.nodes)
		node := tr.nodes[failing]
		flag := node.clock + syncFailure
		if err := os.WriteFile(flag, nil, 0o600); err != nil {
			return nil, err
		}
		event := 0
		goesOn := wait.Until(failLimit, node.name+" ends", func() bool {
			_, _, err = tr.post(leader, event, "", "")
			event++
			return err != nil || !node.alive()
		})
		if err != nil {
			return nil, err
		}
		if goesOn != nil {
			return []string{fmt.Sprintf("%s goes on though its value log can't be synced", node.name)}, nil
		}
		if code := node.process.Load().Cmd.ProcessState.ExitCode(); code != 1 {
			return []string{fmt.Sprintf("%s ended with exit code %d when its disk failed, not 1", node.name, code)}, nil
		}
		if err := os.Remove(flag); err != nil {
			return nil, err
		}
		if err := tr.start(failing); err != nil {
			return nil, err
		}
		_, err = tr.awaitWell()
		return nil, err
	}
	s := scenario{setup: sceneSetup("", func(context.Context, int) int { return http.StatusOK }), run: run}
	s.setup.clocks = true
	return s
}
