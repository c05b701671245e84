package bench

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is where the files are in which Linux describes this machine: the root of the file
// system, or a folder of a test.
type machine string

const thisMachine = machine("/")

func (m machine) path(elements ...string) string {
	return filepath.Join(string(m), filepath.Join(elements...))
}

const sectorSize = 512 // bytes, in /proc/diskstats, whatever the disk has

// diskWritten returns how many bytes the disks of this machine have written since it was started;
// ok is false where the system does not say. Partitions, and what is made of other disks, such as
// dm and md, are not counted, as their disks are.
func (m machine) diskWritten() (written int64, ok bool) {
	text, err := os.ReadFile(m.path("proc/diskstats"))
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) < 10 {
			continue
		}
		if _, err := os.Stat(m.path("sys/block", string(fields[2]), "device")); err != nil {
			continue
		}
		sectors, err := strconv.ParseInt(string(fields[9]), 10, 64)
		if err != nil {
			return 0, false
		}
		written, ok = written+sectors*sectorSize, true
	}
	return written, ok
}

const (
	warmBytes = 1 << 30         // of memory that are touched at most
	warmShare = 4               // of the memory that is available, at most one part in so many
	warmTime  = 5 * time.Second // that it may take
	warmPiece = 16 << 20        // bytes at a time
	pageSize  = 4 << 10
)

// warm touches memory and gives it back. In a virtual machine a page that the host has yet to
// provide costs several times what the others do, so a run that is the first to use a page would
// be slower than the next one. It returns how many bytes it has touched.
func warm(ctx context.Context) (touched int64, err error) {
	limit := min(warmBytes, thisMachine.availableMemory()/warmShare)
	deadline := time.Now().Add(warmTime)
	var pieces [][]byte
	for touched+warmPiece <= limit && time.Now().Before(deadline) && ctx.Err() == nil {
		piece, err := syscall.Mmap(-1, 0, warmPiece, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			break // there is less of it than the system says
		}
		pieces = append(pieces, piece)
		for at := 0; at < len(piece); at += pageSize {
			piece[at] = 1
		}
		touched += warmPiece
	}
	for _, piece := range pieces {
		if err := syscall.Munmap(piece); err != nil {
			return touched, fmt.Errorf("giving memory back: %w", err)
		}
	}
	return touched, nil
}

// availableMemory returns how many bytes this process could use without making the system swap, or
// the kernel kill anything; 0 where the system does not say.
func (m machine) availableMemory() int64 {
	available := readAmount(m.path("proc/meminfo"), "MemAvailable:") << 10
	groups, err := os.ReadFile(m.path("proc/self/cgroup"))
	if err != nil {
		return max(available, 0)
	}
	for line := range strings.Lines(string(groups)) {
		_, group, _ := strings.Cut(strings.TrimSpace(line), ":")
		kind, path, _ := strings.Cut(group, ":")
		switch kind {
		case "":
			available = min(available, groupMemory(m.path("sys/fs/cgroup"), path, "memory.max", "memory.current"))
		case "memory":
			available = min(available, groupMemory(m.path("sys/fs/cgroup/memory"), path, "memory.limit_in_bytes", "memory.usage_in_bytes"))
		}
	}
	return max(available, 0)
}

// groupMemory returns how much memory a control group, and each above it, permits beyond what it
// uses now.
func groupMemory(root, path, limit, usage string) int64 {
	available := int64(math.MaxInt64)
	for folder := filepath.Join(root, path); strings.HasPrefix(folder, root); folder = filepath.Dir(folder) {
		if most := readAmount(filepath.Join(folder, limit), ""); most > 0 {
			available = min(available, most-readAmount(filepath.Join(folder, usage), ""))
		}
	}
	return available
}

// readAmount returns the number that follows a word in a file, or 0.
func readAmount(file, word string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), word)
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	amount, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	return amount
}
