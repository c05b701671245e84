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
// fails (breaker.go). Lanes that may send take turns by bytes (ready.go), and those of endpoints that have not shown that they answer
// soon get half of the workers together: neither a flood for one endpoint nor any number of slow ones holds up the others.
//
// The way of a delivery: Next hands it out, Done takes it back and says what to record, Checkpoint gathers that with what was decided
// without a delivery, and after it is committed, Settle plans what follows.
package scheduler
