// Package scheduler decides which message goes to which endpoint now. It lives on the leader only and holds nothing that can't
// be rebuilt from the store: New, Add for each endpoint, and it goes on where the leader before stood.
//
// Each endpoint has a lane: its cursor, what it has in flight, and its part of the retry set. Lanes of one application read
// the same log. The end of it stands in memory, put there by Offer as messages commit, so a lane that is caught up
// never reads the disk; one that lags reads windows of the log until it has reached the part in memory. A message that
// waits costs nothing but its place in the log.
//
// Lanes that have something to send and may send it stand in a queue, and each turn sends one message: a flood for one
// endpoint waits in its own lane.
//
// The way of a delivery: Next hands it out, Sent says that the attempt is over, Checkpoint says what to record of it, and
// after that is committed, Settle plans the retry.
package scheduler
