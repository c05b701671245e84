package wal

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/systemtest/memdir"
	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
)

// TestDamagedChild is not a test but a process that opens and reads a damaged store: it may not end
// with a panic, which in one of Badger's goroutines no test could catch.
func TestDamagedChild(t *testing.T) {
	dir := os.Getenv("HOOKWHEEL_DAMAGED_DIR")
	if dir == "" {
		t.Skip("only as a process of its own")
	}
	fatal := make(chan error, 10)
	s, err := Open(Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { fatal <- err }})
	if err == nil {
		select {
		case err = <-fatal:
		case <-time.After(time.Second):
		}
		if err == nil {
			_, _, content, opened := s.OpenSnapshot()
			if err = opened; err == nil {
				_, err = new(bytes.Buffer).ReadFrom(content)
				_ = content.Close()
			}
		}
		_ = s.Close()
	}
	if err != nil {
		_, _ = os.Stdout.WriteString("error: " + err.Error() + "\n")
	} else {
		_, _ = os.Stdout.WriteString("whole\n")
	}
}

// openDamaged says what a process finds that opens a store: an error, or that it is whole.
func openDamaged(t *testing.T, dir string) string {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run", "^TestDamagedChild$")
	child.Env = append(os.Environ(), "HOOKWHEEL_DAMAGED_DIR="+dir)
	output, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("the process ended badly: %v\n%.3000s", err, output)
	}
	line, _, _ := strings.Cut(string(output), "\n")
	return line
}

// damagedStore makes the files of a store: tables, a .mem file that was full and one that was not,
// as after a kill.
var damagedStore = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "hookwheel-damage")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := openFilled(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(fill(s, 2<<20), s.Close()); err != nil {
		return nil, err
	}
	if err := fillAndKill(dir, 1<<20); err != nil {
		return nil, err
	}
	return readFiles(dir)
})

func readFiles(dir string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	return files, err
}

func writeFiles(t *testing.T, files map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// only is the name of the one file with that ending.
func only(t *testing.T, files map[string][]byte, ending string) string {
	t.Helper()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(name string) bool { return !strings.HasSuffix(name, ending) })
	if len(names) == 0 {
		t.Fatalf("there is no %s among %q", ending, slices.Sorted(maps.Keys(files)))
	}
	return names[0]
}

// lengthOfLog is where the records of a .mem file end.
func lengthOfLog(data []byte) int {
	return len(bytes.TrimRight(data, "\x00"))
}

// TestDamagedFiles damages the files of a store in many ways. Each time a process that opens it
// says so, in words that help, and has changed no file.
func TestDamagedFiles(t *testing.T) {
	good, err := damagedStore()
	if err != nil {
		t.Fatal(err)
	}
	if got := openDamaged(t, writeFiles(t, good)); got != "whole" {
		t.Fatalf("undamaged: %s", got)
	}
	rnd := rand.New(rand.NewSource(time.Now().UnixNano()))
	table, log := only(t, good, ".sst"), only(t, good, ".mem")
	manifest, blobs := only(t, good, badger.ManifestFilename), only(t, good, ".blob")
	flip := func(name string, at int) func(map[string][]byte) {
		bit := byte(1) << rnd.Intn(8)
		return func(files map[string][]byte) { files[name][at] ^= bit }
	}
	cut := func(name string, size int) func(map[string][]byte) {
		return func(files map[string][]byte) { files[name] = files[name][:size] }
	}
	size := func(name string) int { return len(good[name]) }
	tests := map[string]func(map[string][]byte){
		"a bit at the end of a table":        flip(table, size(table)-1),
		"a bit in the sum of a table":        flip(table, size(table)-6),
		"a bit in the index of a table":      flip(table, size(table)-200),
		"a bit in the first block":           flip(table, 100),
		"a table without its end":            cut(table, size(table)-1),
		"half a table":                       cut(table, size(table)/2),
		"an empty table":                     cut(table, 0),
		"no table":                           func(files map[string][]byte) { delete(files, table) },
		"a bit at the start of the manifest": flip(manifest, 1),
		"a bit in the first length":          flip(manifest, 8+3),
		"a bit in the first sum":             flip(manifest, 8+4),
		"a bit in the last change":           flip(manifest, size(manifest)-1),
		"a manifest without its start":       cut(manifest, 5),
		"an empty manifest":                  cut(manifest, 0),
		"no manifest":                        func(files map[string][]byte) { delete(files, manifest) },
		"a bit early in the log":             flip(log, 30_000),
		"a bit in the first header":          flip(log, 20+2),
		"half a log":                         cut(log, lengthOfLog(good[log])/2),
		"a log without its end":              cut(log, lengthOfLog(good[log])-5),
		"a log without its head":             cut(log, 10),
		"a bit in the first value":           flip(blobs, 20),
		"a bit in the last value":            flip(blobs, size(blobs)-20),
		"a blob file without its end":        cut(blobs, size(blobs)-1),
		"half a blob file":                   cut(blobs, size(blobs)/2),
		"no blob file":                       func(files map[string][]byte) { delete(files, blobs) },
		"CURRENT names another":              func(files map[string][]byte) { files[badgerfiles.CurrentFile] = []byte("db-3\n") },
		"a bit in CURRENT":                   flip(badgerfiles.CurrentFile, 3),
		"a bit in the sum of CURRENT":        flip(badgerfiles.CurrentFile, 7),
		"an empty CURRENT":                   cut(badgerfiles.CurrentFile, 0),
		"no CURRENT":                         func(files map[string][]byte) { delete(files, badgerfiles.CurrentFile) },
	}
	for i := range 10 {
		tests["somewhere in a table "+string(rune('0'+i))] = flip(table, rnd.Intn(size(table)))
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := make(map[string][]byte)
			for name, data := range good {
				files[name] = bytes.Clone(data)
			}
			damage(files)
			dir := writeFiles(t, files)
			opened := false
			for range 2 { // it is found again
				got := openDamaged(t, dir)
				opened = opened || !strings.Contains(got, "opening the store") && !strings.Contains(got, "looking for the store") || strings.Contains(got, blobfiles.ErrDamaged.Error())
				if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, badgerfiles.ErrDamaged.Error()) || !strings.Contains(got, "gets the state from the other nodes") {
					t.Errorf("the process said: %s", got)
				}
			}
			after, err := readFiles(dir)
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range files {
				if opened && !strings.HasSuffix(name, ".sst") && !strings.HasSuffix(name, ".blob") {
					continue // it was found when Badger was at work
				}
				if !bytes.Equal(after[name], data) {
					t.Errorf("%s has changed", name)
				}
			}
		})
	}
}

// What a loss of power leaves at the end of the last log is not damage.
func TestTornLog(t *testing.T) {
	good, err := damagedStore()
	if err != nil {
		t.Fatal(err)
	}
	log := only(t, good, ".mem")
	end := lengthOfLog(good[log])
	for name, tear := range map[string]func([]byte){
		"its last bytes are missing":   func(data []byte) { clear(data[end-40:]) },
		"a page in the middle is lost": func(data []byte) { clear(data[end-5000 : end-1000]) },
		"only its end is there":        func(data []byte) { clear(data[end-9000 : end-200]) },
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(good)
			files[log] = bytes.Clone(good[log])
			tear(files[log])
			if got := openDamaged(t, writeFiles(t, files)); got != "whole" {
				t.Errorf("the process said: %s", got)
			}
		})
	}
}

// A damage that is found while the store is open marks it for good.
func TestDamageFoundLater(t *testing.T) {
	dir := t.TempDir()
	s, err := openFilled(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fill(s, 1<<20), s.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "db-1", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	data, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	if err := os.WriteFile(tables[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	fatal := make(chan error, 10)
	config := Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { fatal <- err }}
	s, err = Open(config)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-fatal:
		if !errors.Is(err, badgerfiles.ErrDamaged) || !strings.Contains(err.Error(), tables[0]) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the damage was not found")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(config); !errors.Is(err, badgerfiles.ErrDamaged) || !strings.Contains(err.Error(), tables[0]) {
		t.Errorf("the damaged store was opened again: %v", err)
	}
}

// Damage that is found when Badger is open, but the store is not yet, marks it for good, too. Here
// it is that of the block which says where the blob files end.
func TestDamagedEnd(t *testing.T) {
	dir := memdir.New(t)
	s, err := openFilled(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 { // so that the last block, which is read before, has only old versions of it
		applyList(t, s, encodeFingerprint())
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := readFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	table := only(t, good, ".sst")
	damaged := func(at int) (dir string) {
		files := maps.Clone(good)
		files[table] = bytes.Clone(good[table])
		files[table][at] ^= 1
		return writeFiles(t, files)
	}
	const words = "where they end"
	last := 0 // byte of the block
	for at := blockSize / 2; at < len(good[table]); at += blockSize / 2 {
		if strings.Contains(openDamaged(t, damaged(at)), words) {
			last = at
		}
	}
	past := last + sort.Search(blockSize, func(n int) bool { return !strings.Contains(openDamaged(t, damaged(last+n)), words) })
	for what, at := range map[string]int{"a record": last, "its number of entries": past - 14} {
		dir := damaged(at)
		if got := openDamaged(t, dir); !strings.Contains(got, words) || !strings.Contains(got, badgerfiles.ErrDamaged.Error()) {
			t.Errorf("%s: the process said: %s", what, got)
		}
		if got := openDamaged(t, dir); !strings.Contains(got, "as was found before: ") {
			t.Errorf("%s: the next process said: %s", what, got)
		}
	}
}

// A state that lacks records, because a table was damaged while the store was open, is not sent.
func TestSnapshotFindsDamage(t *testing.T) {
	dir := t.TempDir()
	s, err := openFilled(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fill(s, 1<<20), s.Close()); err != nil {
		t.Fatal(err)
	}
	fatal := make(chan error, 10)
	s, err = Open(Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { fatal <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tables, err := filepath.Glob(filepath.Join(dir, "db-1", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	file, err := os.OpenFile(tables[0], os.O_RDWR, 0) // the store has it mapped into its memory
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	at := len(data) / 3
	if _, err := file.WriteAt([]byte{data[at] ^ 1}, int64(at)); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := s.OpenSnapshot(); !errors.Is(err, badgerfiles.ErrDamaged) {
		t.Errorf("a snapshot is opened with %v", err)
	}
	select {
	case <-fatal:
	default:
		t.Error("the node goes on")
	}
}

// No bit of a MANIFEST can change without being noticed.
func TestEachBitOfManifest(t *testing.T) {
	good, err := damagedStore()
	if err != nil {
		t.Fatal(err)
	}
	data := good[only(t, good, badger.ManifestFilename)]
	path := filepath.Join(t.TempDir(), badger.ManifestFilename)
	for bit := range 8 * len(data) {
		bad := bytes.Clone(data)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := badgerfiles.ReadManifest(path); err == nil {
			t.Errorf("bit %d of byte %d", bit%8, bit/8)
		}
	}
}
