package badgerfiles

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/y"
)

const (
	verifyPart = 1 << 20 // bytes between two pauses
	checkers   = 8       // tables checked concurrently before a start
)

// checkTables checks what Badger reads of each table when it opens it, several tables concurrently.
func checkTables(paths []string) error {
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		errs = make([]error, len(paths))
	)
	for range min(checkers, len(paths)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(paths); i = int(next.Add(1)) - 1 {
				errs[i] = checkTable(paths[i], false, nil)
				if errors.Is(errs[i], fs.ErrNotExist) {
					errs[i] = fmt.Errorf("%s is missing", paths[i])
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // there may be as many others as there are tables
		}
	}
	return nil
}

// ErrStopped is for a pause to return when the verification of a table is to end.
var ErrStopped = errors.New("the verification of a table was stopped")

// VerifyTable reads a whole table, and calls pause after each part of it. The error is
// fs.ErrNotExist if the table does not exist or was removed meanwhile. Check must have checked its
// end while the store was not in use.
func VerifyTable(path string, pause func(bytes int) error) error {
	return checkTable(path, true, pause)
}

// checkTable checks the end of a table and its last block, or each block if all is set. The error
// is fs.ErrNotExist if the table does not exist or was removed meanwhile. Before a call with all,
// the end must have been checked while the store was not in use.
//
//	blocks | index | its size 4 | sum of the index | its size 4
func checkTable(path string, all bool, pause func(bytes int) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if all && info.Size() == 0 {
		return fs.ErrNotExist // as below, and the start found the file complete
	}
	err = checkBlocks(file, info.Size(), all, pause)
	if err == nil || errors.Is(err, ErrStopped) {
		return err
	}
	if now, gone := file.Stat(); gone == nil && now.Size() < info.Size() {
		return fs.ErrNotExist // Badger truncates a file to zero when it removes it
	}
	return fmt.Errorf("%s: %w", path, err)
}

func checkBlocks(file *os.File, size int64, all bool, pause func(bytes int) error) error {
	index, size, err := readIndex(file, size)
	if err != nil {
		return err
	}
	count := index.OffsetsLength()
	if count == 0 {
		return errors.New("it has no blocks")
	}
	first := count - 1 // read completely, so that Badger finds it in memory: it reads through a memory map, far more than it needs
	if all {
		first = 0
	}
	var space []byte
	read := 0 // since the last pause
	for i := first; i < count; i++ {
		var block fb.BlockOffset
		if !index.Offsets(&block, i) || int64(block.Offset())+int64(block.Len()) > size {
			return fmt.Errorf("block %d is not there", i)
		}
		if space, err = checkBlock(file, int64(block.Offset()), int(block.Len()), space); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
		if read += int(block.Len()); all && (read > verifyPart || i == count-1) {
			if err := pause(read); err != nil {
				return err
			}
			read = 0
		}
	}
	return nil
}

// readIndex returns the index, and how many bytes of blocks there are.
func readIndex(file *os.File, end int64) (index *fb.TableIndex, size int64, err error) {
	sum, size, err := readBack(file, end)
	if err != nil {
		return nil, 0, err
	}
	data, size, err := readBack(file, size)
	if err != nil {
		return nil, 0, err
	}
	if err := checkSum(data, sum); err != nil {
		return nil, 0, fmt.Errorf("its index: %w", err)
	}
	return fb.GetRootAsTableIndex(data, 0), size, nil
}

// readBack reads the data that is followed by its size and ends at end, and returns where it
// begins.
func readBack(file *os.File, end int64) (data []byte, begin int64, err error) {
	size := make([]byte, 4)
	if end < 4 {
		return nil, 0, io.ErrUnexpectedEOF
	}
	if _, err := file.ReadAt(size, end-4); err != nil {
		return nil, 0, err
	}
	begin = end - 4 - int64(binary.BigEndian.Uint32(size))
	if begin < 0 {
		return nil, 0, io.ErrUnexpectedEOF
	}
	data = make([]byte, end-4-begin)
	_, err = file.ReadAt(data, begin)
	return data, begin, err
}

// checkBlock reads one block into space.
//
//	entries | where each begins, 4 each | their number 4 | sum of all before | its size 4
func checkBlock(file *os.File, at int64, size int, space []byte) ([]byte, error) {
	if cap(space) < size {
		space = make([]byte, size)
	}
	data := space[:size]
	if _, err := file.ReadAt(data, at); err != nil {
		return space, err
	}
	if size < 8 {
		return space, y.ErrChecksumMismatch
	}
	sum := int(binary.BigEndian.Uint32(data[size-4:]))
	if sum > size-8 {
		return space, y.ErrChecksumMismatch
	}
	return data, checkSum(data[:size-4-sum], data[size-4-sum:size-4])
}

// checkSum compares data with a sum that Badger wrote, a protobuf message: field 2 is the CRC-32C,
// field 1, the kind of sum, is absent.
func checkSum(data, sum []byte) error {
	want, size := uint64(0), 0
	if len(sum) > 1 && sum[0] == 2<<3 {
		want, size = binary.Uvarint(sum[1:])
	}
	if len(sum) > 0 && 1+size != len(sum) || want != uint64(crc32.Checksum(data, castagnoli)) {
		return y.ErrChecksumMismatch
	}
	return nil
}
