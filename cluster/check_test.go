package cluster

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/journal"
	"hookwheel/cluster/raftlog"
)

// newLogFolder is a data folder whose log holds entries 3 to 8, or what change makes of them: two
// terms, a configuration, one of Raft's own.
func newLogFolder(t *testing.T, change func([]*raft.Log) []*raft.Log) string {
	t.Helper()
	dir := t.TempDir()
	log := openFolderLog(t, dir)
	var entries []*raft.Log
	for index := uint64(3); index <= 8; index++ {
		entry := &raft.Log{Index: index, Term: 1 + index/6, Data: encodeEntry(1000, []*proposal{
			{command: Command{Request: [16]byte{byte(index)}, Body: []byte{byte(index)}}}})}
		switch index {
		case 4:
			entry.Type, entry.Data = raft.LogConfiguration, raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "n1.1", Address: "n1.1@h:1"}}})
		case 6:
			entry.Type, entry.Data = raft.LogNoop, nil
		}
		entries = append(entries, entry)
	}
	if change != nil {
		entries = change(entries)
	}
	err := errors.Join(log.StoreLogs(entries), log.Votes().SetUint64([]byte("CurrentTerm"), 2),
		log.Votes().SetUint64([]byte("LastVoteTerm"), 2), log.Votes().Set([]byte("LastVoteCand"), []byte("n2.1")), log.Close())
	if err != nil {
		t.Fatal(err)
	}
	must(t, (&identityCard{dir: dir, identity: newIdentity("n1")}).write())
	return dir
}

func openFolderLog(t *testing.T, dir string) *raftlog.Store {
	t.Helper()
	log, err := raftlog.Open(dir, raftlog.Options{Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// Each damage of a log is found, and told in words.
func TestCheckLogFindsDamage(t *testing.T) {
	replace := func(entry raft.Log) func([]*raft.Log) []*raft.Log {
		return func(entries []*raft.Log) []*raft.Log {
			entries[entry.Index-entries[0].Index] = &entry
			return entries
		}
	}
	gap := func(entries []*raft.Log) []*raft.Log { return slices.Delete(entries, 2, 4) }
	good := encodeEntry(1, nil)
	tests := map[string]struct {
		applied uint64
		change  func([]*raft.Log) []*raft.Log
		damage  func(dir string, log *raftlog.Store) error
		want    string
	}{
		"nothing":            {5, nil, nil, ""},
		"store at the end":   {8, nil, nil, ""},
		"store at the start": {2, nil, nil, ""},
		"store before it":    {1, nil, nil, "the log begins at entry 3 but the store ends at entry 1"},
		"store behind it":    {9, nil, nil, ""},
		"empty":              {9, nil, func(_ string, log *raftlog.Store) error { return log.DeleteRange(3, 8) }, ""},
		"gap":                {5, gap, nil, "the entries 5 to 6 are missing, and the store ends at entry 5"},
		"gap behind":         {6, gap, nil, ""},
		"term falls":         {5, replace(raft.Log{Index: 7, Term: 1, Data: good}), nil, "entry 7 is of term 1, but one before it is of term 2"},
		"no term":            {5, replace(raft.Log{Index: 3, Data: good}), nil, "entry 3 is of term 0"},
		"term ahead":         {5, replace(raft.Log{Index: 8, Term: 9, Data: good}), nil, "the node is in term 2, but the last entry of its log is of term 9"},
		"commands":           {5, replace(raft.Log{Index: 7, Term: 2, Data: []byte("?")}), nil, "the commands of entry 7 can't be read"},
		"configuration":      {5, replace(raft.Log{Index: 4, Term: 1, Type: raft.LogConfiguration, Data: []byte{0xff}}), nil, "the configuration in entry 4"},
		"no servers":         {5, replace(raft.Log{Index: 4, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{})}), nil, "has no servers"},
		"odd type":           {5, replace(raft.Log{Index: 5, Term: 1, Type: 77}), nil, "entry 5 is of type 77"},
		"vote cut":           {5, nil, func(_ string, log *raftlog.Store) error { return log.Votes().Set([]byte("Vote"), []byte("cut")) }, "the last vote of the node can't be read"},
		"vote ahead": {5, nil, func(_ string, log *raftlog.Store) error {
			return log.Votes().Set([]byte("Vote"), binary.BigEndian.AppendUint64(nil, 9))
		}, "but has voted in term 9"},
		"entry can't be read": {5, nil, appendGarbage, "entry 9 can't be read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := newLogFolder(t, test.change)
			if test.damage != nil {
				log := openFolderLog(t, dir)
				if err := errors.Join(test.damage(dir, log), log.Close()); err != nil {
					t.Fatal(err)
				}
			}
			report, err := CheckLog(dir, test.applied)
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" && report.Err() != nil || test.want != "" &&
				!slices.ContainsFunc(report.Violations, func(v string) bool { return strings.Contains(v, test.want) }) {
				t.Errorf("want %q among %q", test.want, report.Violations)
			}
		})
	}
}

// appendGarbage appends something past the store that is not an entry of Raft.
func appendGarbage(dir string, _ *raftlog.Store) error {
	j, err := journal.Open(filepath.Join(raftlog.Dir(dir), "log"), journal.Options{
		SegmentSize: func() int64 { return 1 << 20 }, Budget: func() int64 { return 1 << 20 }})
	if err != nil {
		return err
	}
	return errors.Join(j.Append([]journal.Entry{{Index: 9, Parts: [][]byte{{0xc1}}}}), j.Close())
}

// What a node may leave that has taken over the state of its leader is noted, but not called wrong.
func TestCheckLogNotes(t *testing.T) {
	dir := newLogFolder(t, nil)
	if report, err := CheckLog(dir, 9); err != nil || report.Err() != nil || len(report.Notes) != 1 {
		t.Errorf("of a log that ends before the store: %+v, %v", report, err)
	}
	dir = newLogFolder(t, func(entries []*raft.Log) []*raft.Log { return slices.Delete(entries, 1, 4) })
	report, err := CheckLog(dir, 8)
	if err != nil || report.Err() != nil || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "the entries 4 to 6 are missing") {
		t.Errorf("of a log with a gap: %+v, %v", report, err)
	}
	m := newMachine()
	m.image.Index = 3
	if err := CatchUp(dir, m, 8, 2); !errors.Is(err, ErrNoEntries) {
		t.Errorf("over a gap: %v", err)
	}
}

// A file that is not a log, or was cut, is reported as an error and does not end the process.
func TestCheckLogOfBrokenFiles(t *testing.T) {
	tests := map[string]func(file string) error{
		"missing":          os.Remove,
		"empty of meaning": func(file string) error { return os.WriteFile(file, make([]byte, 1<<16), 0o600) },
		"cut":              func(file string) error { return os.Truncate(file, 8192) },
		"cut more":         func(file string) error { return os.Truncate(file, 100) },
		"garbled": func(file string) error {
			data, err := os.ReadFile(file)
			end := len(data)
			if strings.HasSuffix(file, journal.Suffix) {
				end = 12288 // what comes after it shows that it was there
			}
			for i := 8192; i < end; i++ {
				data[i] ^= 0x5a
			}
			return errors.Join(err, os.WriteFile(file, data, 0o600))
		},
		"of an older version": func(file string) error { return os.Rename(file, filepath.Join(filepath.Dir(file), "log.db")) },
	}
	for name, damage := range tests {
		for _, pattern := range []string{"vote.db", "log/*" + journal.Suffix} {
			t.Run(name+" "+pattern, func(t *testing.T) {
				dir := newLogFolder(t, nil)
				files, err := filepath.Glob(filepath.Join(raftlog.Dir(dir), pattern))
				if err != nil || len(files) == 0 {
					t.Fatal(files, err)
				}
				if err := damage(files[0]); err != nil {
					t.Fatal(err)
				}
				report, err := CheckLog(dir, 5)
				if err == nil || !strings.Contains(err.Error(), filepath.Join(raftlog.Dir(dir))) || !strings.Contains(err.Error(), "the whole data folder") {
					t.Errorf("%+v, %v: want the file and what to do", report, err)
				}
				t.Log(err)
			})
		}
	}
	dir := newLogFolder(t, nil)
	if err := os.RemoveAll(raftlog.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := CheckLog(dir, 5); !errors.Is(err, ErrNoLog) {
		t.Errorf("without any file: %v", err)
	}
}

// A state machine that is behind takes the entries it lacks from another node's log, if that has
// them.
func TestCatchUp(t *testing.T) {
	dir := newLogFolder(t, nil)
	for applied, ok := range map[uint64]bool{1: false, 2: true, 5: true, 7: true} {
		m := newMachine()
		m.image.Index = applied
		err := CatchUp(dir, m, 7, 2)
		if ok && (err != nil || m.Applied() != 7) || !ok && !errors.Is(err, ErrNoEntries) {
			t.Errorf("from %d: at %d, %v", applied, m.Applied(), err)
		}
	}
	m := newMachine()
	m.image.Index = 5
	if err := CatchUp(dir, m, 7, 1); !errors.Is(err, ErrNoEntries) {
		t.Errorf("from a log of another history: %v", err)
	}
	if err := CatchUp(dir, m, 9, 2); !errors.Is(err, ErrNoEntries) {
		t.Errorf("beyond the end: %v", err)
	}
}
