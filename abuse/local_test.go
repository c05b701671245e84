package abuse

import (
	"io/fs"
	"os"
	"path/filepath"
)

// What another user of the machine can do, and what reaches the operator's own terminal and files.
var localAbuses = []abuse{
	{"files of the nodes", readFiles, nil},
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
