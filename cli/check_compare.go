package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hookwheel/cluster"
	"hookwheel/wal"
)

// comparisonReport is the result of comparing the states of nodes.
type comparisonReport struct {
	Same        bool            `json:"same"`
	Index       uint64          `json:"index"` // entry as of which they were compared
	Nodes       []*comparedNode `json:"nodes"`
	Differences []string        `json:"differences,omitempty"` // the first records that differ
	Unknown     string          `json:"unknown,omitempty"`     // why they can't be compared
}

type comparedNode struct {
	Folder      string `json:"folder"`
	Stopped     uint64 `json:"stopped"` // the entry at which the node was stopped
	Fingerprint string `json:"fingerprint,omitempty"`
}

// settleAdvice is what to do when nodes can't be compared.
const settleAdvice = "start the nodes, wait until they have applied the same entry (\"hookwheel cluster status\"), " +
	"stop them and try again"

// compareFolders compares the states as of the newest entry that any of them has.
func (o *checkOptions) compareFolders(folders []*folderReport) *comparisonReport {
	report := new(comparisonReport)
	var newest *folderReport
	for _, f := range folders {
		if f.Store == nil {
			report.Unknown = f.Folder + " could not be read"
			return report
		}
		report.Nodes = append(report.Nodes, &comparedNode{Folder: f.Folder, Stopped: f.Store.Index, Fingerprint: f.Store.Fingerprint})
		if newest == nil || f.Store.Index > newest.Store.Index {
			newest = f
		}
	}
	report.Index = newest.Store.Index
	for i, f := range folders {
		if f.Store.Index == report.Index {
			continue
		}
		sum, err := o.fingerprintAt(f, newest, folders)
		if err != nil {
			report.Unknown = fmt.Sprintf("%s is at entry %d and can't be brought to entry %d: %v; %s",
				f.Folder, f.Store.Index, report.Index, err, settleAdvice)
			return report
		}
		report.Nodes[i].Fingerprint = sum
	}
	report.Same = true
	for i, n := range report.Nodes {
		if n.Fingerprint == newest.Store.Fingerprint {
			continue
		}
		report.Same = false
		if folders[i].Store.Index == report.Index && report.Differences == nil {
			report.Differences = o.differences(folders[i].Folder, newest.Folder)
		}
	}
	return report
}

// fingerprintAt returns the fingerprint that a node's state would have as of the entry of newest: a
// copy of its store is brought there with the entries of any of the logs.
func (o *checkOptions) fingerprintAt(f, newest *folderReport, folders []*folderReport) (sum string, err error) {
	temp, err := os.MkdirTemp(o.temp, "hookwheel-check-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	fmt.Fprintf(o.stderr, "%s: bringing a copy from entry %d to entry %d, in %s\n", f.Folder, f.Store.Index, newest.Store.Index, temp)
	if err := copyFolder(storeFolder(f.Folder), temp); err != nil {
		return "", fmt.Errorf("copying the store (--temp names the folder): %w", err)
	}
	if err := o.catchUp(temp, newest, folders); err != nil {
		return "", err
	}
	report, err := wal.Check(temp, wal.CheckOptions{Logger: quietLogger(o.stderr)})
	if err != nil {
		return "", err
	}
	return report.Fingerprint, nil
}

// catchUp applies entries from the first log that has them to a copy of a store.
func (o *checkOptions) catchUp(store string, newest *folderReport, folders []*folderReport) error {
	return changeStore(wal.Config{Dir: store, MinFree: 1, Logger: quietLogger(o.stderr)}, func(s *wal.Store) error {
		for _, f := range folders {
			err := cluster.CatchUp(f.Folder, s, newest.Store.Index, newest.Store.Term)
			if !errors.Is(err, cluster.ErrNoEntries) && !errors.Is(err, cluster.ErrNoLog) {
				return err
			}
		}
		return errors.New("no log has all the entries in between")
	})
}

// copyFolder copies files rather than linking them: Badger truncates a file before it removes it,
// which would affect every link.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// differences names some records in which two stores differ that are at the same entry.
func (o *checkOptions) differences(one, other string) []string {
	list, err := wal.Differences(storeFolder(one), storeFolder(other), quietLogger(o.stderr))
	if err != nil {
		return []string{"differing records could not be read: " + err.Error()}
	}
	return list
}

func (r *comparisonReport) print(to io.Writer) {
	switch {
	case r.Unknown != "":
		fmt.Fprintf(to, "NOT COMPARED: %s\n", r.Unknown)
		return
	case r.Same:
		fmt.Fprintf(to, "all folders hold the same state as of entry %d\n", r.Index)
	default:
		fmt.Fprintf(to, "THE FOLDERS HOLD DIFFERENT STATES as of entry %d\n", r.Index)
	}
	for _, n := range r.Nodes {
		fmt.Fprintf(to, "  %s  %s (stopped at entry %d)\n", n.Fingerprint, n.Folder, n.Stopped)
	}
	for _, difference := range r.Differences {
		fmt.Fprintf(to, "  %s\n", difference)
	}
}
