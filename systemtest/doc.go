// Package systemtest tests hookwheel as real processes: this test binary runs itself again as
// hookwheel, so that clusters can be started, stopped, killed, backed up and restored.
package systemtest
