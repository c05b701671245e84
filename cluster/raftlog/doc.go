// Package raftlog keeps the Raft log of a node, its term and its vote: the write-ahead log of
// Hookwheel, on stable storage before anything is acknowledged. A Store is a hashicorp/raft
// LogStore, and its Votes are a StableStore. The entries are in a journal, raft/log in the data
// folder; the term and the vote are in a bolt file, raft/vote.db, whose lock keeps other processes
// away from both.
//
// # Failures
//
// A Store is fail-stop. After a write failed or hangs, the content of the disk is unknown, so the
// node stops instead of continuing as if it were known. Each entry has a checksum over its whole
// content. Damage is detected when the log is opened, which reads all of it, when an entry is read,
// and by a Scrubber, which reads all entries every ten minutes. What a crash can leave, and how it
// is told from damage, is in the documentation of package journal.
//
// A folder with only one of the two parts is refused, unless it was new when the node crashed: the
// node may have voted in a term, or be counted for entries, that it no longer knows.
//
// # What is kept
//
// The log is cut at its beginning to the newest 4096 entries, or to fewer if they are larger than
// half of Options.Limit. A node without followers keeps 64. Entries that a follower needs, because
// it is being sent the state, are kept longer, up to four times the limit. Entries that have
// expired are cut in any case: what was removed from the state is not to stay in the log for ever.
// Renew makes the files of the journal follow. The journal gives space back in whole files, and
// keeps files that it will use again, within the limit and the size of two files.
//
// # Goroutines
//
// A Store starts no permanent goroutines: the timer of each write calls Options.Fatal when the disk
// hangs. Package cluster runs a Scrubber and calls Settle. After HoldFailures a call that fails
// does not return: the goroutine waits for the process to end.
//
// # Locks
//
// Votes.mu, pace.mu and Scrubber.mu, none of which is held while another lock is taken, and those
// of the journal.
package raftlog
