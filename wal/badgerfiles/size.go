package badgerfiles

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// MemTableSize is the size in bytes of a memtable, which a .mem file is created for. A transaction
// may take 15 % of it. Up to three are on disk as logs, some more as tables of level 0, and a
// compaction of these writes as much again: it decides how much room the store needs beside its
// records.
const MemTableSize = 16 << 20

// Usage returns the sum of the blocks of all files in a folder. It ignores files that disappear
// meanwhile.
func Usage(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += stat.Blocks * 512
		}
		return nil
	})
	return bytes
}

// Memtables returns the newest .mem file of a Badger folder, and how many there are.
func Memtables(dir string) (newest string, count int, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries { // in order
		if filepath.Ext(entry.Name()) == ".mem" {
			newest = entry.Name()
			count++
		}
	}
	return newest, count, err
}
