package faults

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// crashSuffix is that of a file, named as the clock, with which a node ends at one of the next
// calls by which it changes the files of its log: see testdata/clock/crash.go.txt. Builds whose
// clocks can be wrong have this.
const crashSuffix = ".crash"

// The calls among which a crash comes: of a node under load, and of one that starts, which takes
// about twenty until it writes as any other.
const (
	crashesInLoad  = 30
	crashesInStart = 25
)

// logOverlay adds the crashes to what -overlay replaces, for a main package in the folder main.
func logOverlay(replace map[string]string, dir, main string) error {
	journal := filepath.Join(main, "cluster", "journal")
	const files = "osFiles{options.NoSync})"
	patched := filepath.Join(dir, "recover.go")
	if err := replaceIn(filepath.Join(journal, "recover.go"), patched, files, "withCrashes("+files+")"); err != nil {
		return err
	}
	here, err := filepath.Abs(filepath.Join("testdata", "clock"))
	replace[filepath.Join(journal, "recover.go")] = patched
	replace[filepath.Join(journal, "crash.go")] = filepath.Join(here, "crash.go.txt")
	return err
}

// crashInLog ends nodes between two changes of the files of their log, under load and then while
// they start. Half of those with disks of their own lose the power at that, too.
func (n *nemesis) crashInLog(nodes []int) (func() error, error) {
	err := n.each(nodes, func(i int, node *node) error {
		if err := n.planCrash(node, crashesInLoad); err != nil {
			return err
		}
		err := n.awaitCrash(node)
		n.take(nodes) // until now, producers must go on
		if err == nil {
			err = n.planCrash(node, crashesInStart)
		}
		if err == nil {
			err = n.cluster.start(i)
		}
		if err == nil {
			err = n.awaitCrash(node)
		}
		return err
	})
	return func() error { return n.restore(nodes) }, err
}

// planCrash has a node end at one of that many next calls.
func (n *nemesis) planCrash(node *node, calls int) error {
	return os.WriteFile(node.clock+crashSuffix, []byte(strconv.Itoa(1+n.random.IntN(calls))), 0o600)
}

func (n *nemesis) awaitCrash(node *node) error {
	if err := node.awaitEnd(); err != nil {
		return fmt.Errorf("no change of the files of its log: %w", err)
	}
	if node.disk == nil || n.random.IntN(2) == 0 {
		return nil
	}
	return errors.Join(node.disk.cutPower(), node.disk.detach(), node.disk.attach())
}

// damageLog damages the log of a node that was killed: a byte in its middle, or all from a place
// on that was on stable storage. The node must not start, and name the file and the remedy. It
// then begins again, empty.
func (n *nemesis) damageLog(nodes []int) (func() error, error) {
	if _, err := n.kill(nodes); err != nil {
		return nil, err
	}
	err := n.each(nodes, func(i int, node *node) error {
		damaged, err := n.damage(filepath.Join(node.data, "raft", "log"))
		if err != nil {
			return err
		}
		before, err := os.ReadFile(node.log)
		if err != nil {
			return err
		}
		if err := n.cluster.start(i); err != nil {
			return err
		}
		if err := node.awaitEnd(); err != nil {
			return fmt.Errorf("started though %s is damaged: %w", damaged, err)
		}
		after, err := os.ReadFile(node.log)
		if err != nil {
			return err
		}
		for _, text := range []string{"the log is damaged: ", damaged, "Move the whole data folder of this node away"} {
			if said := string(after[len(before):]); !strings.Contains(said, text) {
				return fmt.Errorf("%s does not say %q: %s", node.name, text, said)
			}
		}
		return nil
	})
	undo, wiped := n.wipe(nodes)
	return undo, errors.Join(err, wiped)
}

const logPage = 4096 // bytes

// damage damages the files of a log, and returns the name of one that Open must name.
func (n *nemesis) damage(dir string) (name string, err error) {
	segments, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil || len(segments) == 0 {
		return "", errors.Join(err, fmt.Errorf("%s has no segments", dir))
	}
	slices.Sort(segments)
	noted, err := os.ReadFile(filepath.Join(dir, "synced"))
	if err != nil {
		return "", err
	}
	noted = noted[:2*logPage]
	if sequence := binary.BigEndian.Uint64; sequence(noted[logPage+12:]) > sequence(noted[12:]) {
		noted = noted[logPage:]
	}
	segment := fmt.Sprintf("%012d.segment", binary.BigEndian.Uint64(noted[20:]))
	end := int64(binary.BigEndian.Uint64(noted[28:]))
	if end < 3*logPage || n.random.IntN(2) == 0 { // the first batch of a segment, after which there is at least a mark
		oldest, err := os.ReadFile(segments[0])
		if err != nil {
			return "", err
		}
		oldest[logPage+n.random.IntN(50)] ^= 1
		return segments[0], os.WriteFile(segments[0], oldest, 0o600)
	}
	for _, path := range segments {
		if filepath.Base(path) < segment {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		from := int64(logPage) // of later segments, all batches
		if filepath.Base(path) == segment {
			from = (1 + n.random.Int64N(end/logPage-1)) * logPage
		}
		clear(text[from:])
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, segment), nil
}
