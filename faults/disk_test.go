//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"hookwheel/systemtest/wait"
)

const diskSize = 1 << 30 // bytes, unless a test needs another size

// disk is a file system of a node's own, in a file, so that it can lose its power and be full.
type disk struct {
	image, mount string
}

func newDisk(t *testing.T, image, mount string, size int64) *disk {
	t.Helper()
	d := &disk{image: image, mount: mount}
	err := d.format(size)
	if err == nil {
		err = d.attach()
	}
	if err != nil {
		t.Fatalf("a disk for a node: %v", err)
	}
	t.Cleanup(func() {
		if err := d.detach(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// format makes the file system.
func (d *disk) format(size int64) error {
	file, err := os.Create(d.image)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(size), file.Close(), os.MkdirAll(d.mount, 0o700)); err != nil {
		return err
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", d.image).CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	return nil
}

const mountsVariable = "TEST_OWN_MOUNTS" // set in a process that has mounts of its own

// ownMounts runs this program again with mounts of its own, if it may. A process that starts with a
// copy of its parent's mounts, as a test of containers does, would keep a file system alive over
// its unmounting, and what has lost its power would stay without.
func ownMounts() error {
	if os.Getenv(mountsVariable) != "" {
		return nil
	}
	runtime.LockOSThread() // mounts are a thread's until Exec ends the others
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		runtime.UnlockOSThread()
		return nil // canMount says no, too
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(executable, os.Args, append(os.Environ(), mountsVariable+"=1"))
}

// canMount reports whether disks can be created here, by creating a small one.
var canMount = sync.OnceValue(func() bool {
	if os.Getuid() != 0 {
		return false
	}
	dir, err := os.MkdirTemp("", "hookwheel-disk-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	d := &disk{image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "mount")}
	return errors.Join(d.format(16<<20), d.attach()) == nil && d.detach() == nil
})

func (d *disk) attach() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput(); err != nil {
		return fmt.Errorf("mounting %s: %w: %s", d.image, err, out)
	}
	return nil
}

// detach waits for a killed process to let go.
func (d *disk) detach() error {
	var err error
	inVain := wait.Until(failLimit, "unmounting "+d.mount, func() bool {
		err = syscall.Unmount(d.mount, 0)
		return err == nil || err == syscall.EINVAL
	})
	if inVain != nil {
		return errors.Join(inVain, err)
	}
	return nil
}

// cutPower makes the file system forget what is not on the disk: FS_IOC_SHUTDOWN without flushing
// the journal.
func (d *disk) cutPower() error {
	const shutdown, noLogFlush = 0x8004587d, 2
	flags := uint32(noLogFlush)
	return d.control("cutting the power of", shutdown, uintptr(unsafe.Pointer(&flags)))
}

// freeze makes all writes wait until thaw: FIFREEZE and FITHAW.
func (d *disk) freeze() error { return d.control("freezing", 0xc0045877, 0) }
func (d *disk) thaw() error   { return d.control("thawing", 0xc0045878, 0) }

func (d *disk) control(what string, request, argument uintptr) error {
	dir, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), request, argument); errno != 0 {
		return fmt.Errorf("%s %s: %w", what, d.mount, errno)
	}
	return nil
}

func (d *disk) ballast() string { return filepath.Join(d.mount, "ballast") }

// space returns how many bytes are in use, and how many are free.
func (d *disk) space() (used, free int64, err error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.mount, &stat); err != nil {
		return 0, 0, err
	}
	return int64(stat.Blocks-stat.Bfree) * int64(stat.Bsize), int64(stat.Bavail) * int64(stat.Bsize), nil
}

// fill leaves so many bytes free, or none.
func (d *disk) fill(leave int64) error {
	_, free, err := d.space()
	if err != nil {
		return err
	}
	file, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer file.Close()
	if size := free - leave; size > 0 {
		return syscall.Fallocate(int(file.Fd()), 0, 0, size)
	}
	return nil
}

// makeRoom is durable: a loss of power that comes next must not bring the ballast back.
func (d *disk) makeRoom() error {
	if err := os.Remove(d.ballast()); err != nil {
		return err
	}
	dir, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
