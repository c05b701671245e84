package journal

import (
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

var boundPath = filepath.Join(testDir, boundName)

// TestDamagedEnd spoils all that was written from some batch on, marks and later segments included,
// in a journal that is closed, or whose end was noted. It looks like the end of a journal that lost
// its last write in a crash, but is refused.
func TestDamagedEnd(t *testing.T) {
	for _, closed := range []bool{true, false} {
		d, _ := filled(t, 5000, closed)
		if !closed {
			j, err := open(testDir, testOptions, d)
			must(t, err)
			await(j)
			must(t, j.Note())
		}
		current, _, _, _ := newest(t, d)
		damages := 0
		for name, n := range d.names {
			if !strings.HasSuffix(name, Suffix) || name > current {
				continue
			}
			header, err := decodeFileHeader(n.cache)
			must(t, err)
			for at := int64(pageSize); at < int64(len(n.cache)); at += pageSize {
				if _, ok := decodeBatchHeader(n.cache[at:], header.salt); !ok {
					continue
				}
				c := d.clone()
				clear(c.names[name].cache[at:])
				maps.DeleteFunc(c.names, func(other string, _ *inode) bool { return strings.HasSuffix(other, Suffix) && other > name })
				_, err := open(testDir, testOptions, c)
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
					t.Errorf("closed %t, all from %s, byte %d, on: %v", closed, name, at, err)
				}
				damages++
			}
		}
		if damages < 5 {
			t.Errorf("only %d places were damaged", damages)
		}
	}
}

// TestAllSegmentsLost: a journal without a segment is new only if it has never written.
func TestAllSegmentsLost(t *testing.T) {
	d, _ := filled(t, 5000, true)
	maps.DeleteFunc(d.names, func(name string, _ *inode) bool { return strings.HasSuffix(name, Suffix) })
	if _, err := open(testDir, testOptions, d); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), Suffix) {
		t.Error(err)
	}
}

// TestDamagedBound spoils the file synced. One of its pages is enough, as a crash can spoil the
// other; without any, it is damaged.
func TestDamagedBound(t *testing.T) {
	d, m := filled(t, 5000, true)
	j, err := open(testDir, testOptions, d)
	must(t, err)
	await(j)
	must(t, j.Note()) // in the second page
	for name, c := range map[string]struct {
		spoil func(d *testDisk, b *inode)
		want  string
	}{
		"first page":  {func(_ *testDisk, b *inode) { clear(b.cache[:pageSize]) }, ""},
		"second page": {func(_ *testDisk, b *inode) { b.cache[pageSize+20] ^= 1 }, ""},
		"both pages":  {func(_ *testDisk, b *inode) { b.cache[12] ^= 1; b.cache[pageSize+20] ^= 1 }, "both of its pages"},
		"cut":         {func(_ *testDisk, b *inode) { b.cache = b.cache[:pageSize] }, "4096 bytes"},
		"missing":     {func(d *testDisk, _ *inode) { delete(d.names, boundPath) }, "missing"},
	} {
		c2 := d.clone()
		c.spoil(c2, c2.names[boundPath])
		j, err := open(testDir, testOptions, c2)
		switch {
		case c.want != "":
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), boundPath) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			await(j)
			if text := differs(j, m); text != "" {
				t.Errorf("%s: %s", name, text)
			}
			must(t, j.Note())
			if b, err := openBound(c2, testDir); err != nil || b.noted.sequence != j.sequence {
				t.Errorf("%s, when it is written again: %+v, %v", name, b, err)
			}
		}
	}
}

// TestNoteSyncs: a note costs a write and a sync, and none if nothing was written since the last.
func TestNoteSyncs(t *testing.T) {
	d := newTestDisk(1)
	j, err := open(testDir, testOptions, d)
	must(t, err)
	must(t, j.Append([]Entry{entryOf(1, 1, 10)}))
	await(j)
	for _, want := range []int{2, 0} {
		calls := d.calls
		must(t, j.Note())
		if got := d.calls - calls; got != want {
			t.Errorf("%d calls, want %d", got, want)
		}
	}
}
