// Package scheduler decides which message goes to which endpoint next. It runs on the leader only
// and keeps nothing that cannot be rebuilt from the store: New, followed by an Apply of all
// endpoints, resumes where the previous leader stopped.
//
// Each endpoint has a lane, which takes messages from four sources in turn: the log at its cursor,
// the retry set, the held set (messages behind another one of their ordering key) and the manual
// set. Lanes of one application read the same log. The end of that log is kept in memory, where
// Apply puts messages as they are committed, so a lane that has caught up never reads the disk. A
// lane that lags reads windows of the log until it reaches the part in memory. Of each set only the
// first lines are in memory. A waiting message costs nothing but its record in the store.
//
// The four are implementations of source (source.go): a set in memory (log_reader.go, retry_set.go,
// order.go, manual_set.go) and, in the file named after the source, what connects it with its lane
// and the store. takeTurn asks them in turn, and handOut decides what happens to what they give.
// What a lane does or waits for is its state, which only become changes (state.go). One mutex
// guards everything; lane.outside is the only place that releases it, to read the store.
//
// What a lane may send is limited by its own rate and that of its application (bucket.go), by the
// number of concurrent deliveries that its endpoint can take (concurrency.go), by the order that
// the endpoint keeps (order.go), and by its breaker, which lets only probes through while the
// endpoint fails (breaker.go).
//
// Workers are shared among applications first and then among the lanes of each (workers.go): by
// turns that are worth some bytes (queue.go), and by the number of workers that an application may
// have concurrently. An endpoint that does not respond keeps its worker until the timeout, so no
// application gets all free workers. An application whose endpoints hang gets a twelfth of those
// kept for endpoints that have not shown that they respond (three quarters of all); one whose slow
// attempts succeed gets up to half. The guarantee: while fewer than about fifty applications have
// endpoints that hang (with the default of 512 workers), a delivery to an endpoint of any other
// application begins within a second of becoming due. That holds whether the endpoint is new, has
// failed or has always responded, and also right after a change of leader.
//
// The path of a delivery: Next hands it out. Done takes it back and returns what to record.
// Checkpoint collects these outcomes and those decided without a delivery. After they are
// committed, Settle plans what follows.
package scheduler
