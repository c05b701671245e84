package cluster

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"

	"hookwheel/cluster/raftlog"
)

// newLogFolder is a data folder whose log holds entries 3 to 8: two terms, a configuration, one of
// Raft's own.
func newLogFolder(t *testing.T) string {
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
	err := errors.Join(log.StoreLogs(entries), log.SetUint64([]byte("CurrentTerm"), 2),
		log.SetUint64([]byte("LastVoteTerm"), 2), log.Set([]byte("LastVoteCand"), []byte("n2.1")), log.Close())
	if err != nil {
		t.Fatal(err)
	}
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
	store := func(entry raft.Log) func(*raftlog.Store) error {
		return func(log *raftlog.Store) error { return log.StoreLog(&entry) }
	}
	good := encodeEntry(1, nil)
	tests := map[string]struct {
		applied uint64
		damage  func(*raftlog.Store) error
		want    string
	}{
		"nothing":            {5, nil, ""},
		"store at the end":   {8, nil, ""},
		"store at the start": {2, nil, ""},
		"store before it":    {1, nil, "the log begins at entry 3 but the store ends at entry 1"},
		"store behind it":    {9, nil, ""},
		"empty":              {9, func(log *raftlog.Store) error { return log.DeleteRange(3, 8) }, ""},
		"gap":                {5, func(log *raftlog.Store) error { return log.BoltStore.DeleteRange(5, 6) }, "the entries 5 to 6 are missing, and the store ends at entry 5"},
		"gap behind":         {6, func(log *raftlog.Store) error { return log.BoltStore.DeleteRange(5, 6) }, ""},
		"term falls":         {5, store(raft.Log{Index: 7, Term: 1, Data: good}), "entry 7 is of term 1, but one before it is of term 2"},
		"no term":            {5, store(raft.Log{Index: 3, Data: good}), "entry 3 is of term 0"},
		"term ahead":         {5, store(raft.Log{Index: 8, Term: 9, Data: good}), "the node is in term 2, but the last entry of its log is of term 9"},
		"commands":           {5, store(raft.Log{Index: 7, Term: 2, Data: []byte("?")}), "the commands of entry 7 can't be read"},
		"configuration":      {5, store(raft.Log{Index: 4, Term: 1, Type: raft.LogConfiguration, Data: []byte{0xff}}), "the configuration in entry 4"},
		"no servers":         {5, store(raft.Log{Index: 4, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{})}), "has no servers"},
		"odd type":           {5, store(raft.Log{Index: 5, Term: 1, Type: 77}), "entry 5 is of type 77"},
		"vote cut":           {5, func(log *raftlog.Store) error { return log.BoltStore.Set([]byte("Vote"), []byte("cut")) }, "the last vote of the node can't be read"},
		"vote ahead": {5, func(log *raftlog.Store) error {
			return log.BoltStore.Set([]byte("Vote"), binary.BigEndian.AppendUint64(nil, 9))
		}, "but has voted in term 9"},
		"entry can't be read": {5, garbleLast, "entry 8 can't be read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := newLogFolder(t)
			if test.damage != nil {
				log := openFolderLog(t, dir)
				if err := errors.Join(test.damage(log), log.Close()); err != nil {
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

// garbleLast replaces the last record past the store, which is closed meanwhile.
func garbleLast(log *raftlog.Store) error {
	if err := log.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(log.Path(), 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("logs"))
		last, _ := bucket.Cursor().Last()
		return bucket.Put(slices.Clone(last), []byte{0xc1})
	})
	return errors.Join(err, db.Close())
}

// What a node may leave that has taken over the state of its leader is noted, but not called wrong.
func TestCheckLogNotes(t *testing.T) {
	dir := newLogFolder(t)
	if report, err := CheckLog(dir, 9); err != nil || report.Err() != nil || len(report.Notes) != 1 {
		t.Errorf("of a log that ends before the store: %+v, %v", report, err)
	}
	log := openFolderLog(t, dir)
	if err := errors.Join(log.BoltStore.DeleteRange(4, 6), log.Close()); err != nil {
		t.Fatal(err)
	}
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
			for i := 8192; i < len(data); i++ {
				data[i] ^= 0x5a
			}
			return errors.Join(err, os.WriteFile(file, data, 0o600))
		},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			dir := newLogFolder(t)
			if err := damage(raftlog.Path(dir)); err != nil {
				t.Fatal(err)
			}
			report, err := CheckLog(dir, 5)
			if err == nil {
				t.Errorf("no error: %+v", report)
			}
			t.Log(err)
			if name == "missing" && !errors.Is(err, ErrNoLog) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A state machine that is behind takes the entries it lacks from another node's log, if that has
// them.
func TestCatchUp(t *testing.T) {
	dir := newLogFolder(t)
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
