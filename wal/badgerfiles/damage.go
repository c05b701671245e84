package badgerfiles

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
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// markFile is the name of the file in a Badger folder that must no longer be used. It contains the
// reason.
const markFile = "DAMAGED"

// ErrDamaged is wrapped by the error for any damage.
var ErrDamaged = errors.New("a file of the store is damaged")

// DiskErrors are the errors of the operating system for a failing disk.
var DiskErrors = []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS, syscall.EDQUOT, syscall.ENODEV, syscall.ENXIO, syscall.EFBIG, syscall.EMFILE, syscall.ENFILE}

// IsOfDisk recognizes the error of a failing disk in what Badger says, because Badger does not wrap
// it with %w.
func IsOfDisk(text string) bool {
	return slices.ContainsFunc(DiskErrors, func(e syscall.Errno) bool { return strings.Contains(text, e.Error()) })
}

// Damaged wraps err with advice on what to do about damage in the Badger folder dir. Errors of the
// operating system are returned unchanged.
func Damaged(dir string, err error) error {
	var system syscall.Errno
	if err == nil || errors.Is(err, ErrDamaged) || errors.As(err, &system) || IsOfDisk(err.Error()) {
		return err
	}
	return fmt.Errorf("%w: %w. Nothing was overwritten. Move the data folder of this node away (it holds %s) and start it "+
		"empty: it gets the state from the other nodes. If there are no others, restore a backup", ErrDamaged, err, dir)
}

// IsDamage recognizes Badger's errors by their text, because Badger does not wrap them with %w.
func IsDamage(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, y.ErrChecksumMismatch.Error()) || strings.Contains(text, y.ErrEOF.Error())
}

// Mark marks a Badger folder as damaged, with the reason, so that no later start uses it.
func Mark(dir string, reason error) error {
	return os.WriteFile(filepath.Join(dir, markFile), []byte(reason.Error()+"\n"), 0o600)
}

// Check checks the files of a Badger folder that is not open. It returns the tables, which are
// still to be verified.
func Check(dir string) (tables []string, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v", fault)
		}
		err = Damaged(dir, err)
	}()
	switch text, err := os.ReadFile(filepath.Join(dir, markFile)); {
	case err == nil:
		return nil, fmt.Errorf("%w, as was found before: %s", ErrDamaged, bytes.TrimSpace(text))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	logs, others, err := listFiles(dir)
	if err != nil {
		return nil, err
	}
	manifest := filepath.Join(dir, badger.ManifestFilename)
	tables, err = ReadManifest(manifest)
	if errors.Is(err, fs.ErrNotExist) && (len(logs) > 0 || others) {
		return nil, fmt.Errorf("%s is missing but there are other files", manifest)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a new store
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

// listFiles returns the .mem files in order, and reports whether there are tables or value files.
// It ignores empty files, which a start removes (see RemoveEmpty).
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

// ReadManifest returns the paths of the tables that the MANIFEST lists, upper levels first. The
// file is a list of changes:
//
//	length 4 | CRC-32C 4 | change
//
// A crash may leave part of the last change, which then never took effect. If the rest of the file
// is a complete change with a wrong length, the length is damaged.
func ReadManifest(path string) (tables []string, err error) {
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

// isWhole reports whether the rest of a MANIFEST begins with a complete change, although it is
// shorter than the length in front of it.
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
	partial  = byte(0x40) // set in a record that is part of a transaction
	finished = byte(0x80) // set in the record that ends a transaction
	maxKey   = 1 << 16
)

// finishKey is the key of a record that ends a transaction, without its version.
var finishKey = []byte("!badger!txn")

// checkLog checks a .mem file: records, then zeros. Badger reads up to the first bad record and
// ignores what follows. That is right at the end of the last file, where a power loss may leave
// part of a transaction that was never acknowledged. It is damage if complete transactions follow.
func checkLog(path string, last bool) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(data) < logHead {
		return fmt.Errorf("the file has only %d bytes", len(data))
	}
	at, whole := logHead, logHead // start of the next record; end of the last transaction
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
	case isZero(rest) && (at == whole || last && len(data) >= 2*MemTableSize):
		return nil
	case len(data) < 2*MemTableSize || !last: // Badger creates the file with that size, and truncates it at the end of a transaction
		return fmt.Errorf("it ends in the middle, at byte %d", at)
	case finishedIn(rest) > 1: // one may be from the transaction that was being written
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

// logRecord returns the size and bits of the record at the start of data. The size is 0 if there is
// no valid record.
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
