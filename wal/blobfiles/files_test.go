package blobfiles

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T, dir string, end End) *Files {
	t.Helper()
	f, err := Open(dir, end, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // may be closed already
	return f
}

// added is a value that was added.
type added struct {
	ref        Ref
	key, value []byte
}

func add(t *testing.T, f *Files, count, size int) (list []added) {
	t.Helper()
	for i := range count {
		a := added{key: fmt.Appendf(nil, "key %d", i), value: bytes.Repeat([]byte{byte(i)}, size)}
		var err error
		if a.ref, err = f.Add(a.key, a.value); err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

func synced(t *testing.T, f *Files) End {
	t.Helper()
	end, err := f.Sync()
	if err != nil {
		t.Fatal(err)
	}
	return end
}

func wantValues(t *testing.T, f *Files, list []added) {
	t.Helper()
	for _, a := range list {
		got, err := f.Read(a.ref, a.key, nil)
		if err != nil || !bytes.Equal(got, a.value) {
			t.Errorf("%v is read as %d bytes, want %d: %v", a.ref, len(got), len(a.value), err)
		}
	}
}

// TestAdd adds values of all sizes, reads them, and finds them all in a walk, also after a restart.
func TestAdd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	f := open(t, dir, End{})
	var list []added
	for _, size := range []int{0, 1, 1000, bufferSize - 1, bufferSize, 5 << 20} {
		list = append(list, add(t, f, 3, size)...)
	}
	end := synced(t, f)
	wantValues(t, f, list)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, end)
	list = append(list, add(t, f, 2, 2000)...)
	synced(t, f)
	wantValues(t, f, list)
	var walked []added
	next, err := f.Walk(1, 0, func(ref Ref, key, value []byte) error {
		walked = append(walked, added{ref, key, value})
		return nil
	})
	if err != nil || len(walked) != len(list) || next != int64(f.end.Size) {
		t.Fatalf("%d values are walked over, want %d: %v", len(walked), len(list), err)
	}
	for i := range list {
		if walked[i].ref != list[i].ref || !bytes.Equal(walked[i].key, list[i].key) || !bytes.Equal(walked[i].value, list[i].value) {
			t.Errorf("value %d is another one", i)
		}
	}
}

// TestNextFile begins another file where one is full, and removes those that nothing uses.
func TestNextFile(t *testing.T) {
	f := open(t, t.TempDir(), End{})
	list := add(t, f, 20, 10<<20)
	synced(t, f)
	wantValues(t, f, list)
	if numbers := f.Numbers(); len(numbers) != 4 {
		t.Fatalf("the files are %d, want 4", numbers)
	}
	for _, a := range list[:11] {
		f.Free(a.ref, len(a.key))
	}
	if number, live := f.Emptiest(); number != 1 || live != 0 {
		t.Errorf("file %d is the emptiest, with %d bytes", number, live)
	}
	if err := f.RemoveUnused(); err != nil {
		t.Fatal(err)
	}
	if number, live := f.Emptiest(); number != 2 || live < 10<<20 || live > 11<<20 {
		t.Errorf("file %d is the emptiest, with %d bytes", number, live)
	}
	wantValues(t, f, list[11:])
	for _, a := range list[11:] {
		f.Free(a.ref, len(a.key))
	}
	if err := f.RemoveUnused(); err != nil {
		t.Fatal(err)
	}
	if size, live := f.Usage(); size != 0 || live != 0 || len(f.Numbers()) != 0 {
		t.Errorf("%d bytes are left, %d in use", size, live)
	}
	again := add(t, f, 1, 1000)
	synced(t, f)
	wantValues(t, f, again)
	if again[0].ref.File != 5 {
		t.Errorf("the next file has number %d", again[0].ref.File)
	}
}

// TestCutOff opens files after crashes: what follows the end that was kept is cut off, whole files
// too.
func TestCutOff(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 8 {
		dir := t.TempDir()
		f := open(t, dir, End{})
		var list []added
		var end End
		for range rnd.Intn(4) {
			list = append(list, add(t, f, rnd.Intn(30), rnd.Intn(1<<20))...)
			end = synced(t, f)
		}
		kept := len(list)
		list = append(list, add(t, f, rnd.Intn(80), rnd.Intn(2<<20))...)
		if rnd.Intn(2) == 0 {
			synced(t, f)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f = open(t, dir, end)
		wantValues(t, f, list[:kept])
		after := add(t, f, 1+rnd.Intn(20), 5000)
		synced(t, f)
		wantValues(t, f, append(list[:kept:kept], after...))
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamage changes each byte of a file, and cuts it at each: no value is read as another one.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, End{})
	list := add(t, f, 3, 30)
	end := synced(t, f)
	path := filepath.Join(dir, fileName(1))
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= byte(1 + at%255)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		damaged := 0
		for _, a := range list {
			got, err := f.Read(a.ref, a.key, nil)
			if errors.Is(err, ErrDamaged) {
				damaged++
			} else if err != nil || !bytes.Equal(got, a.value) {
				t.Fatalf("byte %d: %x is read as %x: %v", at, a.value, got, err)
			}
		}
		if damaged != 1 {
			t.Errorf("byte %d: %d values are damaged, want 1", at, damaged)
		}
		if _, err := f.Walk(1, 0, func(Ref, []byte, []byte) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: the walk ends with %v", at, err)
		}
		if err := os.WriteFile(path, good[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, end, false); !errors.Is(err, ErrDamaged) {
			t.Errorf("a file of %d bytes is opened with %v", at, err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	wantValues(t, f, list)
	for _, ref := range []Ref{{2, 0, 30}, {1, 1, 30}, {1, 0, 29}, {1, 1 << 20, 30}} {
		if _, err := f.Read(ref, list[0].key, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v is read with %v", ref, err)
		}
	}
	if _, err := f.Read(list[0].ref, list[1].key, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("the value of another key is read with %v", err)
	}
}

// FuzzRecord decodes arbitrary bytes: only what appendRecord wrote is whole.
func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, []byte("key"), []byte("value")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, value, ok := cutRecord(data); ok && !bytes.Equal(appendRecord(nil, key, value), data) {
			t.Errorf("%x is taken for a record", data)
		}
	})
}
