package wal

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"hookwheel/systemtest/memdir"
)

// toBeChecked are the folders that are checked when the test that opened them ends.
var toBeChecked sync.Map

// checkAtEnd ends a test that opens a store: its folder, by then closed, must hold what the
// checker wants.
func checkAtEnd(t *testing.T, dir string) {
	if _, known := toBeChecked.LoadOrStore(dir, true); known {
		return
	}
	t.Cleanup(func() {
		toBeChecked.Delete(dir)
		report, err := Check(dir, CheckOptions{})
		if err != nil {
			t.Errorf("checking %s: %v", dir, err)
			return
		}
		for _, violation := range report.Violations {
			if !tolerated(t, violation) {
				t.Errorf("check: %s", violation)
			}
		}
	})
}

// uncheckedDir is a folder for a store that the test checks itself, or not at all.
func uncheckedDir(t *testing.T) string {
	dir := memdir.New(t)
	toBeChecked.Store(dir, true)
	return dir
}

var tolerances sync.Map // name of a test -> parts of sentences

// tolerate lets a test leave a store with violations whose text contains any of these parts.
func tolerate(t *testing.T, parts ...string) {
	before, _ := tolerances.Load(t.Name())
	list, _ := before.([]string)
	tolerances.Store(t.Name(), append(list, parts...))
}

func tolerated(t *testing.T, violation string) bool {
	parts, _ := tolerances.Load(t.Name())
	list, _ := parts.([]string)
	return slices.ContainsFunc(list, func(part string) bool { return strings.Contains(violation, part) })
}

// inventsMessages lets a test record attempts at messages that are in no log.
func inventsMessages(t *testing.T) {
	tolerate(t, "missing from the log of", "is older than its message", "without any attempt", "after the end of the log",
		"that the endpoint's cursor has not reached")
}
