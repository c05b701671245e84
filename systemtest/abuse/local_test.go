package abuse

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"hookwheel/systemtest/wait"
)

// What another user of the machine can do, and what reaches the operator's own terminal and files.
var localAbuses = []abuse{
	{"files of the nodes", readFiles, nil},
	{"a backup into a folder of others", strangeFolder, nil},
	{"escape sequences for the operator", escapeSequences, []int{200, 201, 202, 422}},
}

// No file may be readable by others, whatever the folder of all the data is like.
func readFiles(w *world) {
	for _, n := range w.nodes {
		err := filepath.WalkDir(n.data, func(path string, entry fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // the store has just removed it
			}
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if os.IsNotExist(err) {
				return nil
			}
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if path != n.data && info.Mode().Perm()&0o077 == 0 {
					return fs.SkipDir
				}
				return nil
			}
			if info.Mode().Perm()&0o077 != 0 {
				w.t.Errorf("%s has mode %s", path, info.Mode())
			}
			return nil
		})
		if err != nil {
			w.t.Error(err)
		}
	}
}

// Somebody has put links where the backup will write.
func strangeFolder(w *world) {
	dir := w.t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		w.t.Fatal(err)
	}
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o666); err != nil {
		w.t.Fatal(err)
	}
	output := filepath.Join(dir, "x")
	if err := os.Symlink(victim, output+".tmp"); err != nil {
		w.t.Fatal(err)
	}
	out, err := w.tool("backup", "--output", output)
	if text, readErr := os.ReadFile(victim); readErr != nil || string(text) != "precious" {
		w.t.Errorf("the file of another was overwritten: %.20q, %v", text, readErr)
	}
	if err != nil {
		w.t.Logf("the backup was refused: %s", out)
		return
	}
	if info, err := os.Lstat(output); err != nil || info.Mode() != 0o600 {
		w.t.Errorf("the backup: %v, %v", info.Mode(), err)
	}
}

// Names and responses of strangers come to the operator's terminal.
func escapeSequences(w *world) {
	const sequence = "\x1b]0;owned\x07\x1b[2J"
	c := w.customer()
	defer w.leave(c)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(rw, sequence)
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	w.endpoints(c, 1, server.URL)
	w.refused(422, "", rootToken, "PATCH", c.path(""), `{"name": "x\u001b[2J"}`)
	w.refused(422, "", c.portal, "PATCH", c.path("/endpoint/e0"), `{"description": "x\u001b[2J"}`)
	id := w.send(c, 10)
	var attempts struct{ Data []struct{ ID string } }
	wait.For(w.t, "the message was attempted", func() bool {
		w.must("GET", c.path("/attempt/msg/%s", id), "", &attempts)
		return len(attempts.Data) > 0
	})
	for _, args := range [][]string{
		{"attempt", "get", c.app, id, attempts.Data[0].ID}, {"attempt", "list", c.app, id}, {"app", "list"}, {"app", "get", c.app}, {"endpoint", "list", c.app},
	} {
		out, err := w.tool(args...)
		if err != nil && args[1] != "list" {
			w.t.Errorf("%v: %v %s", args, err, out)
		}
		if strings.ContainsAny(out, "\x1b\x07") {
			w.t.Errorf("%v prints %q", args, fmt.Sprintf("%.300s", out))
		}
	}
}
