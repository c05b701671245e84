// Package scheduler decides which message goes to which endpoint now. It lives on the leader only and holds nothing that can't
// be rebuilt from the store: New, Add for each endpoint, and it goes on where the leader before stood.
//
// Each endpoint has a lane, which takes messages from four sources in turn: the log at its cursor, the retry set, the held set (behind
// another message of an ordering key), and the manual set. Lanes of one application read the same log. The end of it stands in memory,
// put there by Offer as messages commit, so a lane that is caught up never reads the disk; one that lags reads windows of the log until
// it has reached the part in memory. Of the sets the first lines stand in memory. A message that waits costs nothing but its place.
//
// What a lane may send is bounded by its rate and its application's (bucket.go), by the number of deliveries that its endpoint takes at
// a time (concurrency.go), by the order that it keeps (order.go), and by its breaker, which lets only probes out while the endpoint
// fails (breaker.go).
//
// Workers are shared out among applications first, and then among the lanes of each (workers.go): by turns that are worth some bytes
// (queue.go), and by what an application may have at a time. An endpoint that does not answer keeps its worker until the time-out, and
// so no application gets all that are free: one whose endpoints hang gets a twelfth of those kept for endpoints that have not shown
// that they answer (three quarters of all), one whose slow attempts succeed up to half. The guarantee: while fewer than about fifty
// applications have endpoints that hang (with the default of 512 workers), a delivery to an endpoint of any other application begins
// within a second of when it may, whether that endpoint is new, has failed or has always answered, and whoever has just become leader.
//
// The way of a delivery: Next hands it out, Done takes it back and says what to record, Checkpoint gathers that with what was decided
// without a delivery, and after it is committed, Settle plans what follows.
package scheduler
