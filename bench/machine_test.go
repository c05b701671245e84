package bench

import (
	"os"
	"path/filepath"
	"testing"
)

// newTestMachine writes files that describe a machine.
func newTestMachine(t *testing.T, files map[string]string) machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return machine(root)
}

// Two disks count, and neither a partition of them nor what is made of them.
func TestDiskWritten(t *testing.T) {
	m := newTestMachine(t, map[string]string{
		"proc/diskstats": `   7       0 loop0 493083 619 8545526 82745 4589399 880688 158273424 4662752 0 2476912 6741592 0 0 0 0 1749227 1996095
 254       0 vda 1 2 3 4 5 6 1000 8 0 9 10 11 12 13 14 15 16
 254       1 vda1 1 2 3 4 5 6 900 8 0 9 10 11 12 13 14 15 16
 253       0 dm-0 1 2 3 4 5 6 800 8 0 9 10
 259       0 nvme0n1 1 2 3 4 5 6 7 8 0 9 10
`,
		"sys/block/loop0/size": "1", "sys/block/dm-0/size": "1", "sys/block/vda/device/vendor": "", "sys/block/nvme0n1/device/model": "",
	})
	if written, ok := m.diskWritten(); written != 1007*512 || !ok {
		t.Errorf("%d bytes, %t", written, ok)
	}
	if _, ok := newTestMachine(t, nil).diskWritten(); ok {
		t.Error("a machine that says nothing has disks")
	}
}

func TestAvailableMemory(t *testing.T) {
	const meminfo = "MemTotal:       24684092 kB\nMemFree:         1000000 kB\nMemAvailable:    2097152 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"not Linux":  {nil, 0},
		"no limit":   {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 2 << 30},
		"no groups":  {map[string]string{"proc/meminfo": meminfo}, 2 << 30},
		"a group":    {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1073741824\n", "sys/fs/cgroup/a/memory.current": "1048576\n"}, 1<<30 - 1<<20},
		"over limit": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "2000\n"}, 0},
		"a group above": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/memory.max": "1048576\n", "sys/fs/cgroup/a/memory.current": "0\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 1 << 20},
		"version 1, the path of another root": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/docker/x\n1:cpu:/\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1048576\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1024\n"}, 1<<20 - 1<<10},
	} {
		if got := newTestMachine(t, c.files).availableMemory(); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}
