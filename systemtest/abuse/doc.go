// Package abuse attacks hookwheel: a cluster of three real processes, a single node and one with
// TLS, as a customer with a portal token, with a read-only portal token, as a producer, as a
// stranger on the API's port and on the nodes' own, and as another user of the machine. Beside each
// abuse another customer sends events to a receiver in good health, and must not notice.
//
//	go test ./systemtest/abuse                       in short, as in CI
//	go test ./systemtest/abuse -v -turns 3           what each abuse costs others, in turn
//	go test ./systemtest/abuse -v -abuse long        larger and longer abuses
//	go test ./systemtest/abuse -v -run 'Abuse/cluster/replays'
//	go test ./systemtest/abuse -v -seed N            repeats the random requests of a run
//
// The table has the time of processors that all nodes together took, and that the test itself took
// with the attacker's clients and all receivers, both as a part of one processor; the memory that a
// node took at most, its own and what it maps of files (which the limit leaves out: the system
// takes such pages back when others need memory); and of the other customer's POSTs and deliveries
// the 99th percentile: the median of the turns without the abuse, that of the turns with it, and
// their ratio. The other customer is a process of its own. Run as root, the attacker and its
// receivers have the lowest priority during an abuse, since they would have a machine of their own:
// they take the time of processors that the nodes and the other customer leave.
//
// An abuse is a line of a table in the file that is named after the attacker: what is done, and
// the statuses that the response may have. After each, all nodes must be there, within their
// memory, and all events of the other customer sent and delivered. After all of them the nodes
// must agree on their state, start again, and pass "hookwheel check", and none of the tokens and
// secrets may be in their logs, which are written at level debug.
package abuse
