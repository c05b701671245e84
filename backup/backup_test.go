package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"hookwheel/backup/s3test"
	"hookwheel/wal"
)

var (
	testCluster = strings.Repeat("c1", 16)
	testTime    = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
)

// testPart is smaller than S3 allows, but the server does not mind.
const testPart = 128 << 10

// fakeBackup is a backup whose snapshot is noise.
func fakeBackup(cluster string, made time.Time, size int) []byte {
	return fakeBackupAt(cluster, 42, made, size)
}

func fakeBackupAt(cluster string, index uint64, made time.Time, size int) []byte {
	header, err := json.Marshal(wal.BackupHeader{Cluster: cluster, Node: "n1", Version: "test", Made: made, Index: index, Term: 7, Clock: made, Bytes: int64(size)})
	if err != nil {
		panic(err) // it always can be
	}
	data := slices.Concat([]byte("hookwheel backup 1\n"), header, []byte("\n"), noise(size))
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}

// onServer is a repository in a bucket of the server.
func onServer(t *testing.T, s *s3test.Server, key string) *Repository {
	t.Helper()
	r, err := Open(Options{To: Location{s3test.Bucket, "some/prefix"}, Key: key,
		S3: S3{Endpoint: s.URL, PathStyle: true, AccessKeyID: s3test.ID, SecretAccessKey: s3test.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	b := r.target.(*bucket)
	b.pause, b.part = time.Millisecond, testPart
	return r
}

// eachTarget tests with a bucket and with a folder.
func eachTarget(t *testing.T, key string, test func(*testing.T, *Repository)) {
	t.Run("bucket", func(t *testing.T) { test(t, onServer(t, s3test.Start(t), key)) })
	t.Run("folder", func(t *testing.T) {
		r, err := Open(Options{To: Location{Path: t.TempDir()}, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		test(t, r)
	})
}

func save(t *testing.T, r *Repository, kind Kind, data []byte) Backup {
	t.Helper()
	made, _, err := r.Save(t.Context(), kind, bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func list(t *testing.T, r *Repository, cluster string) []Backup {
	t.Helper()
	found, err := r.List(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// leftovers are the keys of all that is stored but is no complete backup.
func leftovers(t *testing.T, r *Repository) (keys []string) {
	t.Helper()
	_, rest, err := r.look(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	writes, err := r.target.unfinished(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range append(rest, writes...) {
		keys = append(keys, o.key)
	}
	return keys
}

func read(t *testing.T, r *Repository, b Backup) ([]byte, error) {
	t.Helper()
	content, _, err := r.Read(t.Context(), b)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(content)
	return data, errors.Join(err, content.Close())
}

func TestSaveAndRead(t *testing.T) {
	for _, key := range []string{"", testKey} {
		eachTarget(t, key, func(t *testing.T, r *Repository) {
			var want []Backup
			for i, size := range []int{100, testPart, 2*testPart + 12345} {
				data := fakeBackup(testCluster, testTime.Add(time.Duration(i)*time.Hour), size)
				var done, total int64
				made, m, err := r.Save(t.Context(), Manual, bytes.NewReader(data), int64(len(data)), func(d, t int64) { done, total = d, t })
				if err != nil {
					t.Fatal(err)
				}
				if done != total || total != int64(size) {
					t.Errorf("told of %d of %d bytes", done, total)
				}
				if m.Encrypted != (key != "") || made.Index != 42 {
					t.Errorf("%+v, %+v", made, m)
				}
				want = append(want, made)
				if got, err := read(t, r, made); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes were read, %v; %d were written", len(got), err, len(data))
				}
			}
			if got := list(t, r, testCluster); !slices.Equal(got, want) {
				t.Errorf("listed: %+v\nwant: %+v", got, want)
			}
			if got := list(t, r, strings.Repeat("d2", 16)); len(got) > 0 {
				t.Errorf("of another cluster: %+v", got)
			}
			o := Options{To: r.location.in(want[1].key()), Key: key}
			at, name, named, err := splitBackup(o.To)
			if err != nil || !named || at != r.location || name.key() != want[1].key() {
				t.Errorf("%s is split into %s, %+v, %v", o.To, at, name, err)
			}
			if newest, err := r.find(t.Context(), Name{}, false); err != nil || newest != want[2] {
				t.Errorf("the newest: %+v, %v", newest, err)
			}
			save(t, r, Manual, fakeBackup(strings.Repeat("d2", 16), testTime, 100))
			if _, err := r.find(t.Context(), Name{}, false); err == nil || !strings.Contains(err.Error(), "backups of 2 clusters") {
				t.Errorf("the newest of two clusters: %v", err)
			}
			if left := leftovers(t, r); len(left) > 0 {
				t.Errorf("left over: %v", left)
			}
		})
	}
}

// A source that is cut short, damaged, or that fails leaves nothing.
func TestSaveBadSource(t *testing.T) {
	good := fakeBackup(testCluster, testTime, 2*testPart)
	damaged := slices.Clone(good)
	damaged[len(damaged)/2] ^= 1
	broken := errors.New("the disk is broken")
	for name, open := range map[string]func() io.Reader{
		"cut early":     func() io.Reader { return bytes.NewReader(good[:testPart/2]) },
		"cut late":      func() io.Reader { return bytes.NewReader(good[:len(good)-1]) },
		"cut in header": func() io.Reader { return bytes.NewReader(good[:30]) },
		"empty":         func() io.Reader { return bytes.NewReader(nil) },
		"damaged":       func() io.Reader { return bytes.NewReader(damaged) },
		"longer":        func() io.Reader { return bytes.NewReader(append(slices.Clone(good), 0)) },
		"fails":         func() io.Reader { return io.MultiReader(bytes.NewReader(good[:testPart+5]), iotest.ErrReader(broken)) },
		"connection cut": func() io.Reader {
			return io.MultiReader(bytes.NewReader(good[:testPart+5]), iotest.ErrReader(io.ErrUnexpectedEOF))
		},
	} {
		for _, key := range []string{"", testKey} {
			eachTarget(t, key, func(t *testing.T, r *Repository) {
				if _, _, err := r.Save(t.Context(), Scheduled, open(), int64(len(good)), nil); err == nil {
					t.Errorf("%s: no error", name)
				}
				if got := list(t, r, ""); len(got) > 0 {
					t.Errorf("%s: %+v", name, got)
				}
				if left := leftovers(t, r); len(left) > 0 {
					t.Errorf("%s: left over: %v", name, left)
				}
			})
		}
	}
}

// What is stored and was changed is refused, whatever was changed.
func TestReadTampered(t *testing.T) {
	for _, key := range []string{"", testKey} {
		eachTarget(t, key, func(t *testing.T, r *Repository) {
			first := save(t, r, Manual, fakeBackup(testCluster, testTime, 300_000))
			second := save(t, r, Manual, fakeBackup(testCluster, testTime.Add(time.Hour), 300_000))
			get := func(key string) []byte {
				data, err := readSmall(t.Context(), r.target, key, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				return data
			}
			forged := func(key string) []byte { // without a key nothing can be known of it
				if key == "" {
					return nil
				}
				return fakeBackup(testCluster, testTime, 300_000)
			}
			object, manifest, other := get(first.key()), get(first.key()+manifestSuffix), get(second.key())
			changed := slices.Clone(object)
			changed[len(changed)/2] ^= 1
			for name, put := range map[string]struct{ object, manifest []byte }{
				"changed":             {changed, manifest},
				"cut":                 {object[:len(object)-1], manifest},
				"cut with manifest":   {object[:len(object)-1], bytes.Replace(manifest, fmt.Append(nil, len(object)), fmt.Append(nil, len(object)-1), 1)},
				"empty":               {nil, manifest},
				"longer":              {append(slices.Clone(object), 1), manifest},
				"another backup":      {other, manifest},
				"manifest of another": {object, get(second.key() + manifestSuffix)},
				"bad manifest":        {object, []byte("{}")},
				"no JSON":             {object, []byte("<html>")},
				"huge manifest":       {object, make([]byte, maxManifest+1)},
				"not encrypted":       {forged(key), bytes.Replace(manifest, fmt.Append(nil, len(object)), fmt.Append(nil, len(forged(key))), 1)},
				"newer manifest":      {object, bytes.Replace(manifest, []byte(`"format": 1`), []byte(`"format": 2`), 1)},
			} {
				for key, data := range map[string][]byte{first.key(): put.object, first.key() + manifestSuffix: put.manifest} {
					if err := r.target.put(t.Context(), key, bytes.NewReader(data), int64(len(data))); err != nil {
						t.Fatal(err)
					}
				}
				content, _, err := r.Read(t.Context(), first)
				if err == nil {
					_, err = wal.VerifyBackup(content, nil)
					err = errors.Join(err, content.Close())
				}
				if err == nil {
					t.Errorf("%s: accepted", name)
				}
			}
		})
	}
}

// Only scheduled backups of the own cluster are removed, the last ones never, and nothing that we
// did not write.
func TestPrune(t *testing.T) {
	eachTarget(t, "", func(t *testing.T, r *Repository) {
		foreign := []string{testCluster + "/notes.txt", testCluster + "/20261101T000000Z-1-scheduled-0000000.backup"}
		for _, key := range foreign {
			if f, ok := r.target.(folder); ok {
				if err := os.MkdirAll(filepath.Dir(f.file(key)), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.target.put(t.Context(), key, strings.NewReader("mine"), 4); err != nil {
				t.Fatal(err)
			}
		}
		var all []Backup
		for day := range 5 {
			all = append(all, save(t, r, Scheduled, fakeBackup(testCluster, testTime.AddDate(0, 0, day), 100)))
		}
		manual := save(t, r, Manual, fakeBackup(testCluster, testTime.AddDate(0, 0, -9), 100))
		other := save(t, r, Scheduled, fakeBackup(strings.Repeat("d2", 16), testTime.AddDate(0, 0, -9), 100))
		now := testTime.AddDate(0, 0, 4)
		for _, test := range []struct {
			keep Retention
			now  time.Time
			left int
		}{
			{Retention{5, 0}, now, 5},
			{Retention{1, 30 * 24 * time.Hour}, now, 5},
			{Retention{1, 3 * 24 * time.Hour}, now, 4},
			{Retention{3, 0}, now, 3},
			{Retention{0, 0}, now.AddDate(9, 0, 0), 1},
			{Retention{1, 0}, now.AddDate(99, 0, 0), 1},
		} {
			if _, err := r.Prune(t.Context(), testCluster, test.keep, test.now); err != nil {
				t.Fatal(err)
			}
			want := append([]Backup{manual}, all[5-test.left:]...)
			if got := list(t, r, testCluster); !slices.Equal(got, want) {
				t.Errorf("%+v: %+v\nwant: %+v", test.keep, got, want)
			}
		}
		if got := list(t, r, other.Cluster); !slices.Equal(got, []Backup{other}) {
			t.Errorf("of the other cluster: %+v", got)
		}
		if _, err := r.CleanUp(t.Context(), testCluster, now); err != nil {
			t.Fatal(err)
		}
		for _, key := range foreign {
			if _, err := readSmall(t.Context(), r.target, key, 10); err != nil {
				t.Errorf("%s is gone: %v", key, err)
			}
		}
	})
}

// What is left of interrupted backups is removed, but not what may still be written.
func TestCleanUp(t *testing.T) {
	eachTarget(t, "", func(t *testing.T, r *Repository) {
		complete := save(t, r, Scheduled, fakeBackup(testCluster, testTime, 100))
		left := func(cluster string, kind Kind, made time.Time, random string) string {
			n := Name{Cluster: cluster, Made: made, Index: 1, Kind: kind, random: random}
			return n.key()
		}
		other := strings.Repeat("d2", 16)
		save(t, r, Manual, fakeBackup(other, testTime, 100)) // so that its folder is there
		gone := []string{left(testCluster, Scheduled, testTime, "00000001"), left(testCluster, Manual, testTime.Add(-25*time.Hour), "00000002")}
		kept := []string{left(testCluster, Manual, testTime.Add(-time.Hour), "00000003"), left(other, Scheduled, testTime, "00000004")}
		for i, key := range append(slices.Clone(gone), kept...) {
			if i%2 == 0 { // an object without a manifest too
				if err := r.target.put(t.Context(), key, strings.NewReader("x"), 1); err != nil {
					t.Fatal(err)
				}
			}
			begin(t, r, key)
		}
		if err := r.target.put(t.Context(), left(testCluster, Scheduled, testTime, "00000005")+manifestSuffix, strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
		if removed, err := r.CleanUp(t.Context(), testCluster, testTime); err != nil || removed != 4 {
			t.Errorf("removed %d, %v", removed, err)
		}
		found := leftovers(t, r)
		slices.Sort(found)
		if found = slices.Compact(found); !slices.Equal(found, slices.Sorted(slices.Values(kept))) {
			t.Errorf("left: %v\nwant: %v", found, kept)
		}
		if got := list(t, r, testCluster); !slices.Equal(got, []Backup{complete}) {
			t.Errorf("complete: %+v", got)
		}
	})
}

// begin leaves a write as a process leaves it that is killed.
func begin(t *testing.T, r *Repository, key string) {
	t.Helper()
	switch target := r.target.(type) {
	case *bucket:
		if _, err := target.do(t.Context(), call{method: "POST", key: key, query: map[string][]string{"uploads": {""}}}); err != nil {
			t.Fatal(err)
		}
	case folder:
		if err := os.WriteFile(target.file(key)+unfinishedSuffix, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
