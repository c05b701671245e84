// Package faults is the proof that a cluster keeps its word: three real processes under load, over a network of TCP proxies,
// some of them on disks of their own, to which a nemesis does harm of many kinds, one after the other; and a checker that
// judges everything that happened.
//
//	go test ./faults                                    a short run, as in CI
//	go test ./faults -run TestFaults -v -duration 1h    a long one; -seed N repeats the choices of one, -faults N sets how many at least
//	go test ./faults -run TestFaults -v -tls            with mutual TLS between the nodes
//	go test ./faults -run TestLeaderKills -v -kills 20  how long the cluster has no leader
//
// What must hold is said in checker_test.go, the kinds of harm are in nemesis_test.go. Power loss and full disks take root,
// mkfs.ext4 and loop devices, and are left out where those are missing. A run that fails leaves its history (a line of JSON for
// each call, arrival and fault), the nodes' logs and their data in a folder that it names.
//
// Clock jumps are not among the faults: Go reads the clock where no test can reach it without changing that of the whole
// machine. Nothing that the checker looks at depends on clocks, and wal has property tests with clocks that go back.
package faults
