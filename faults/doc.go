// Package faults is the proof that a cluster keeps its word: three or more real processes under
// load, over a network of TCP proxies, some of them on disks of their own, to which a nemesis does
// harm of many kinds, one after the other; and a checker that judges everything that happened.
//
//	go test ./faults                                    a short run, as in CI
//	go test ./faults -run TestFaults -v -duration 1h    a long one; -seed N repeats the choices of one, -faults N sets how many at least
//	go test ./faults -run TestFaults -v -tls -clocks    with mutual TLS between the nodes, and with clocks that jump
//	go test ./faults -run TestFaults -v -nodes 5 -nonvoters 1
//	go test ./faults -run TestFaults -v -kinds "kill all,power loss of all"
//	go test ./faults -run TestLeaderKills -v -kills 20  how long the cluster has no leader
//	go test ./faults -run TestLeaderStops -v -stops 10  how long a POST takes while the leader is stopped
//	go test ./faults -run TestLargeState -v -state 2    a state of 2 GiB is sent to a node while the leader dies
//	go test ./faults -run TestDiskMatrix -v -matrix 10  ten times max_size, on small disks
//	go test ./faults -run TestSoak -v -soak 2h          what the nodes use under nothing but load
//	go test ./faults -run TestScenarios -v              directed stories, each about one promise
//	go test ./faults -run TestSabotage -v               builds that break a promise each, which must be found
//
// Every run has endpoints without an order, ordered as a whole and ordered by key, with slow
// answers and failures among them; half of the events are posted with an idempotency key, some of
// those twice; in long runs messages leave the log by size and, with clocks that jump, by age, and
// what has expired must be counted. What must hold is said in checker_test.go, the kinds of harm
// are in nemesis_test.go, the stories in scenarios_test.go, the broken builds in sabotage_test.go.
//
// Delay, loss and another order of what is sent are made by the proxies, not by the kernel: a
// connection delivers its data late, out of step with the others, or is reset.
//
// Power loss and disks that are full, fail or hang take root, mkfs.ext4 and loop devices, which are
// mounted for this test alone, and are left out where those are missing. Clocks that jump, and
// crashes between two changes of the files of the log, take a separate build, see clock_test.go and
// log_test.go. A run that fails leaves its history (a line of JSON for each call, arrival and
// fault), the nodes' logs and their data in a folder that it names.
package faults
