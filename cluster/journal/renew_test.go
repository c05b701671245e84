package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// holds returns how often the files of a journal have some bytes.
func holds(t *testing.T, dir, text string) (times int) {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		must(t, err)
		times += bytes.Count(data, []byte(text))
	}
	return times
}

func textEntry(index uint64, text string) Entry {
	return Entry{index, [][]byte{bytes.Repeat([]byte(text), 500)}}
}

// TestRenewRemovesBytes: what was written before two calls of Renew is in no file, once its entries
// are removed: neither in the current file, nor in one that is prepared or spare.
func TestRenewRemovesBytes(t *testing.T) {
	for _, filled := range []int{1, 5, 40} { // of the current file only, of two, of many that were used again
		t.Run(fmt.Sprint(filled), func(t *testing.T) {
			dir := t.TempDir()
			j, err := Open(dir, testOptions)
			must(t, err)
			defer j.Close()
			index := uint64(0)
			for range filled {
				index++
				must(t, j.Append([]Entry{textEntry(index, "secret")}))
				if index%7 == 0 {
					must(t, j.DropBefore(index-3))
				}
			}
			last, done, err := j.Renew()
			if err != nil || !done || last != index {
				t.Fatalf("it ends at entry %d, %t, %v; want %d", last, done, err, index)
			}
			if content, found, err := j.Read(index); err != nil || !found || !bytes.HasPrefix(content, []byte("secret")) {
				t.Fatalf("entry %d is lost: %v", index, err)
			}
			must(t, j.Append([]Entry{textEntry(index+1, "later")}))
			must(t, j.DropBefore(index+1))
			j.awaitNext()
			if times := holds(t, dir, "secret"); times > 0 {
				t.Errorf("it is there %d times", times)
			}
			if content, found, err := j.Read(index + 1); err != nil || !found || !bytes.HasPrefix(content, []byte("later")) {
				t.Errorf("entry %d is lost: %v", index+1, err)
			}
		})
	}
}

// TestRenewBesideWriters: batches that come meanwhile are all there, also after a start.
func TestRenewBesideWriters(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, testOptions)
	must(t, err)
	ended := make(chan error)
	go func() {
		for range 20 {
			if _, _, err := j.Renew(); err != nil {
				ended <- err
				return
			}
		}
		close(ended)
	}()
	index, running := uint64(0), true
	for running || index < 50 {
		index++
		must(t, j.Append([]Entry{entryOf(index, 1, 3000)}))
		select {
		case err := <-ended:
			must(t, err)
			running = false
		default:
		}
	}
	must(t, j.Close())
	j, err = Open(dir, testOptions)
	must(t, err)
	defer j.Close()
	for i := uint64(1); i <= index; i++ {
		if c, found, err := j.Read(i); err != nil || !found || !bytes.Equal(c, content(i, 1, 3000)) {
			t.Fatalf("entry %d: %d bytes, %v, %v", i, len(c), found, err)
		}
	}
}

// slowRemoval are files of which none can be removed while removing is held.
type slowRemoval struct {
	fileSystem
	removing *sync.Mutex
}

func (s slowRemoval) remove(path string) error {
	s.removing.Lock()
	defer s.removing.Unlock()
	return s.fileSystem.remove(path)
}

// TestRenewLetsOthersWrite: nobody waits while Renew removes files, which may take long.
func TestRenewLetsOthersWrite(t *testing.T) {
	files := slowRemoval{osFiles{}, new(sync.Mutex)}
	j, err := open(t.TempDir(), testOptions, files)
	must(t, err)
	index := uint64(0)
	add := func() {
		index++
		must(t, j.Append([]Entry{entryOf(index, 1, 10)}))
	}
	for index < 24 || !j.current().room(2*pageSize) {
		add()
	}
	must(t, j.DropBefore(index))
	if len(j.pool.spares) == 0 {
		t.Fatal("there are no spare files: this test tests nothing")
	}
	files.removing.Lock()
	renewed := make(chan error)
	go func() { renewed <- second(j.Renew()) }()
	for j.pool.mu.TryLock() { // it does not remove files yet
		j.pool.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	add()
	select {
	case <-renewed:
		t.Error("it is over: this test tests nothing")
	default:
	}
	files.removing.Unlock()
	must(t, <-renewed)
	must(t, j.Close())
}

// TestRenewIsRemembered: another process knows what Renew returned, and does not use the files from
// before it again.
func TestRenewIsRemembered(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, testOptions)
	must(t, err)
	if last, at := j.Renewed(); last != 0 || !at.IsZero() {
		t.Errorf("a new journal was renewed after entry %d, at %s", last, at)
	}
	for index := range uint64(10) {
		must(t, j.Append([]Entry{textEntry(index+1, "secret")}))
	}
	must(t, second(j.Renew()))
	must(t, j.NoteRenewal())
	must(t, j.Close())
	j, err = Open(dir, testOptions)
	must(t, err)
	defer j.Close()
	if last, at := j.Renewed(); last != 10 || time.Since(at).Abs() > time.Minute {
		t.Errorf("it was renewed after entry %d, at %s", last, at)
	}
	must(t, j.Append([]Entry{textEntry(11, "later")}))
	must(t, j.DropBefore(11))
	j.awaitNext()
	if times := holds(t, dir, "secret"); times > 0 {
		t.Errorf("it is there %d times", times)
	}
}

// TestRenewedIsNotNeeded: a journal opens without the file, and with one that is damaged.
func TestRenewedIsNotNeeded(t *testing.T) {
	for _, contents := range []string{"", "x", string(make([]byte, renewedSize)), "HWRENEWD" + string(make([]byte, renewedSize-8))} {
		dir := t.TempDir()
		j, err := Open(dir, testOptions)
		must(t, err)
		must(t, j.Append([]Entry{textEntry(1, "a")}))
		must(t, second(j.Renew()))
		must(t, j.Close())
		must(t, os.WriteFile(filepath.Join(dir, renewedName), []byte(contents), 0o600))
		j, err = Open(dir, testOptions)
		must(t, err)
		if last, at := j.Renewed(); last != 0 || !at.IsZero() {
			t.Errorf("%q: it was renewed after entry %d, at %s", contents, last, at)
		}
		must(t, j.Close())
	}
}

// TestRenewedMayBeUnusable: a journal opens, is renewed, and goes on where the file can be neither
// read nor replaced.
func TestRenewedMayBeUnusable(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"a folder":              func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) },
		"a folder for the next": func(path string) error { return os.Mkdir(path+temporarySuffix, 0o700) },
		"a link to nothing":     func(path string) error { return os.Symlink("gone", path) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, spoil(filepath.Join(dir, renewedName)))
			j, err := Open(dir, testOptions)
			must(t, err)
			must(t, j.Append([]Entry{textEntry(1, "a")}))
			must(t, second(j.Renew()))
			if err := j.NoteRenewal(); err == nil && name != "a link to nothing" { // which is replaced
				t.Error("no error tells that it could not be noted")
			}
			must(t, j.Append([]Entry{textEntry(2, "b")}))
			must(t, j.Close())
			j, err = Open(dir, testOptions)
			must(t, err)
			if first, last := j.Bounds(); first != 1 || last != 2 {
				t.Errorf("it has entries %d to %d", first, last)
			}
			must(t, j.Close())
		})
	}
}
