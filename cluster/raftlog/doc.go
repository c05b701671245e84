// Package raftlog keeps the Raft log of a node, its term and its vote: the write-ahead log of
// Hookwheel, on stable storage before anything is acknowledged. It is a hashicorp/raft LogStore and
// StableStore in a bolt file, raft/log.db in the data folder.
//
// # Failures
//
// A Store is fail-stop. After a write failed or hangs, the content of the disk is unknown, so the
// node stops instead of continuing as if it were known. Each entry has a checksum over its whole
// content. Damage is detected when an entry is read, and by Scrub, which reads all entries every
// ten minutes.
//
// # What is kept
//
// The log is cut at its beginning to the newest 4096 entries, or to fewer if they are larger than
// half of Options.Limit. Entries that a follower needs, because it is being sent the state, are
// kept longer, up to four times the limit. bolt never shrinks its file, so the file is rewritten
// when most of it is free.
//
// # Goroutines
//
// A Store starts no permanent goroutines: the timer of each write calls Options.Fatal when the disk
// hangs. Package cluster runs Scrub and calls CompactIfSparse. After HoldFailures a call that fails
// does not return: the goroutine waits for the process to end.
//
// # Locks
//
// In this order: swap is held for reading during each use of the file, and for writing while it is
// replaced; below it are mu (the term of the vote), entrySizes.mu, pace.mu and scrub.mu, none of
// which is held while another lock is taken.
package raftlog
