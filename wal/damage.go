package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// Badger trusts its files. Of a damaged one it may silently make a store that lacks records, or one that is older; it then
// removes the files that it has no use for; or it panics in a goroutine of its own. So a start looks at the files first:
//
//   - MANIFEST, which names the tables, and the .mem files, which hold what is in no table yet: wholly;
//   - the tables: their ends, which a start reads anyhow. Their blocks are verified when the store is open, for a start must
//     not take longer the more there is. If one is damaged the store ends, and is marked, for a compaction may have read
//     the table meanwhile, and left out what it could not read.

// markFile stands in a Badger folder that must not be used any more, and says why.
const markFile = "DAMAGED"

// errDamaged is in the error of each damage.
var errDamaged = errors.New("a file of the store is damaged")

// damaged explains what to do about a damage in the Badger folder dir. An error of the system is passed on as it is.
func damaged(dir string, err error) error {
	var system syscall.Errno
	if err == nil || errors.Is(err, errDamaged) || errors.As(err, &system) {
		return err
	}
	return fmt.Errorf("%w: %w. Nothing was overwritten. Move the data folder of this node away (it holds %s) and start it "+
		"empty: it gets the state from the other nodes. If there are no others, restore a backup", errDamaged, err, dir)
}

// guard has a damage come out as an error that says what to do, whether it makes Badger return one or panic.
func (s *Store) guard(db *badger.DB, read func() error) (err error) {
	dir := db.Opts().Dir
	defer func() {
		if fault := recover(); fault != nil {
			if stack := debug.Stack(); !bytes.Contains(stack, []byte("badger/v4/table.")) {
				panic(fault)
			}
			err = damaged(dir, fmt.Errorf("%v", fault))
		}
		if errors.Is(err, errDamaged) {
			s.config.Fatal(err) // there may be more damages, of which Badger says nothing
		}
	}()
	if err = read(); isDamage(err) {
		err = damaged(dir, err)
	}
	return err
}

// isDamage knows the errors of Badger by their text only: it wraps them without %w.
func isDamage(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, y.ErrChecksumMismatch.Error()) || strings.Contains(text, y.ErrEOF.Error())
}

// giveUp sees to it that a damaged store is not used any more, neither by this process nor by the next.
func (s *Store) giveUp(dir string, err error) {
	text := []byte(err.Error() + "\n")
	s.config.Fatal(errors.Join(err, os.WriteFile(filepath.Join(dir, markFile), text, 0o600)))
}

// checkFiles looks at the files of a Badger folder that is not open. The tables are yet to be verified.
func checkFiles(dir string) (tables []string, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v", fault)
		}
		err = damaged(dir, err)
	}()
	switch text, err := os.ReadFile(filepath.Join(dir, markFile)); {
	case err == nil:
		return nil, fmt.Errorf("%w, as was found before: %s", errDamaged, bytes.TrimSpace(text))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	logs, others, err := listFiles(dir)
	if err != nil {
		return nil, err
	}
	manifest := filepath.Join(dir, badger.ManifestFilename)
	tables, err = checkManifest(manifest)
	if errors.Is(err, fs.ErrNotExist) && (len(logs) > 0 || others) {
		return nil, fmt.Errorf("%s is missing but there are other files", manifest)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it is a new store
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", manifest, err)
	}
	for i, path := range logs {
		if err := checkLog(path, i == len(logs)-1); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return tables, checkTables(tables)
}

// listFiles finds the .mem files, in order, and tells whether there are files of tables or values. Empty ones do not count, which a start
// removes: see removeEmptyFiles.
func listFiles(dir string) (logs []string, others bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, false, err
	}
	numbers := make(map[string]int)
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		ext := filepath.Ext(path)
		if ext == ".mem" || ext == ".vlog" {
			info, err := entry.Info()
			if err != nil {
				return nil, false, err
			}
			if info.Size() == 0 {
				continue
			}
		}
		switch ext {
		case ".mem":
			if numbers[path], err = strconv.Atoi(strings.TrimSuffix(entry.Name(), ext)); err != nil {
				return nil, false, err
			}
			logs = append(logs, path)
		case ".sst", ".vlog":
			others = true
		}
	}
	slices.SortFunc(logs, func(a, b string) int { return numbers[a] - numbers[b] })
	return logs, others, nil
}

// checkManifest reads which tables there are, and gives their paths, the upper levels first. The file is a list of changes: length 4 | CRC-32C 4 | change. A crash may leave
// a part of the last one, which never counted. If it is no part but whole, its length is what is damaged.
func checkManifest(path string) (tables []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	manifest, end, err := badger.ReplayManifestFile(file, 0, badger.DefaultOptions("").WithLogger(nil))
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(end, io.SeekStart); err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	if isWhole(rest) {
		return nil, fmt.Errorf("the length at byte %d is wrong", end)
	}
	for _, level := range manifest.Levels {
		for _, id := range slices.Sorted(maps.Keys(level.Tables)) {
			tables = append(tables, filepath.Join(filepath.Dir(path), table.IDToFilename(id)))
		}
	}
	return tables, nil
}

// isWhole tells whether the rest of a MANIFEST, which is too short for the length that it begins with, begins with a whole change
// all the same.
func isWhole(rest []byte) bool {
	if len(rest) < 8 {
		return false
	}
	want, sum := binary.BigEndian.Uint32(rest[4:]), uint32(0)
	for i := 8; i < len(rest) && sum != want; i++ {
		sum = crc32.Update(sum, castagnoli, rest[i:i+1])
	}
	return sum == want
}

const (
	logHead  = 20         // bytes before the first record of a .mem file
	partial  = byte(0x40) // a record with this bit is a part of a transaction
	finished = byte(0x80) // one with this bit ends it
	maxKey   = 1 << 16
)

// finishKey is the key of such a record, without its version.
var finishKey = []byte("!badger!txn")

// checkLog looks at a .mem file: records, then zeros. Badger reads up to the first bad record and forgets what follows. That
// is right for the end of the last file, where a loss of power may leave a part of a transaction that never counted. It
// is a damage if whole transactions follow.
func checkLog(path string, last bool) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(data) < logHead {
		return fmt.Errorf("the file has only %d bytes", len(data))
	}
	at, whole := logHead, logHead // where the next record begins; where the last transaction ended
	for {
		size, meta := logRecord(data[at:])
		if size == 0 {
			break
		}
		at += size
		if meta&partial == 0 {
			whole = at
		}
	}
	rest := data[at:]
	switch {
	case isZero(rest) && (at == whole || last && len(data) >= 2*memTableSize):
		return nil
	case len(data) < 2*memTableSize || !last: // Badger makes it of that size, and cuts it at the end of a transaction
		return fmt.Errorf("it ends in the middle, at byte %d", at)
	case finishedIn(rest) > 1: // one may be of the transaction that was being written
		return fmt.Errorf("a record is damaged, at byte %d, and whole ones follow", at)
	}
	return nil
}

// finishedIn counts the records that end a transaction.
func finishedIn(data []byte) (count int) {
	const head = 5 // bytes before the key of such a record
	for {
		next := bytes.Index(data, finishKey)
		if next < 0 {
			return count
		}
		if next >= head && int(data[next-3]) == len(finishKey)+8 && data[next-2] < 32 {
			if size, meta := logRecord(data[next-head:]); size > 0 && meta&finished != 0 {
				count++
			}
		}
		data = data[next+len(finishKey):]
	}
}

// logRecord is the size of the record that data begins with, and its bits; 0: there is none.
//
//	bits 2 | length of key | length of value | time of expiry | key | value | CRC-32C of all before 4
func logRecord(data []byte) (size int, meta byte) {
	if len(data) < 2 {
		return 0, 0
	}
	size = 2
	var numbers [3]uint64
	for i := range numbers {
		number, n := binary.Uvarint(data[size:])
		if n <= 0 {
			return 0, 0
		}
		numbers[i] = number
		size += n
	}
	if numbers[0] == 0 || numbers[0] > maxKey || numbers[1] > uint64(len(data)) {
		return 0, 0
	}
	size += int(numbers[0] + numbers[1])
	if size+4 > len(data) || crc32.Checksum(data[:size], castagnoli) != binary.BigEndian.Uint32(data[size:]) {
		return 0, 0
	}
	return size + 4, data[0]
}

func isZero(data []byte) bool {
	for len(data) > 0 {
		part := data[:min(len(data), len(zeros))]
		if !bytes.Equal(part, zeros[:len(part)]) {
			return false
		}
		data = data[len(part):]
	}
	return true
}

var zeros [64 << 10]byte
