// Package wal is the replicated state machine and its store: it applies commands that the cluster
// has agreed on to a Badger database, and reads the result. (Raft's write-ahead log is in
// cluster/raftlog.) Besides applying, it holds the key layout, the formats of records and
// commands, retention, snapshots and backups, and the checker.
//
// # Keys
//
// An ID is 20 bytes (webhook.ID). An "entry" is the first 13 bytes of an ID, its time and Raft
// index, which all objects created by one Raft entry share. Numbers are big-endian, so byte order
// is the order of the log.
//
//	key                        value       record
//	!                          meta        applied index and term, clock, bytes of all other records,
//	                                       time up to which messages have left, Raft configuration
//	A app                      JSON        application
//	E app endpoint             JSON        endpoint
//	T name                     JSON        event type
//	s                          JSON        settings of the pages that customers see; absent until they are set
//	U app event id             ID          message with this event ID
//	L app entry                chunk       log: messages that one entry added for one application
//	C endpoint                 cursor      the endpoint's position, and what is settled beyond it
//	R endpoint due message     numbers     retry set: attempts made, attempts that count, ordering
//	                                       key; due is 8 bytes of milliseconds
//	W message endpoint         due         key of the line in R; 8 bytes of milliseconds
//	K endpoint key message     -           held set: messages behind another one of the same ordering
//	                                       key; key is a hash of that, 8 bytes
//	M endpoint message         manual      manual set: messages that a user or a task wants sent now
//	B task                     JSON        replay: the messages to send again, and the progress
//	N period scope start owner tally       attempts in a past period of time at an endpoint, in an
//	                                       application, or altogether; period and scope are a byte
//	                                       each, start is 8 bytes, owner is an ID or zero
//	F app                      recent      attempts of an application in the present five minutes,
//	                                       or of all of them, under the zero ID
//	X class due app message    -           messages with a retention of their own, and scheduled
//	                                       ones; class is a byte, due is 8 bytes of milliseconds
//	V entry class maker        changes     what one maker has changed in one entry, for a week; class
//	                                       is a byte, maker is an ID or zero
//	H endpoint entry           chunk       history: attempts of one endpoint, recorded by one entry
//	I message attempt          ID          index of the history: the endpoint of each attempt
//	D endpoint                 removal     deleted endpoint whose sets are not yet empty, or whose
//	                                       tallies are not yet with those of other deleted endpoints
//	O app                      removal     deleted application with endpoints or messages left
//	J message                  removal     message that has left the log before all of its attempts
//	S app                      number      bytes of the application's records under L, and of those
//	                                       of its endpoints under H; absent if there are none
//	l app                      front       where the application's log begins, and up to where those
//	                                       of its messages whose time is over have left; absent
//	                                       until retention has removed some
//	Q index                    requests    request IDs of one entry with their replies, for
//	                                       requestWindow entries
//	P index request            -           request in Q that was applied as a repetition: its first
//	                                       try may still arrive
//	G key                      JSON        API key, with a hash of its token
//	Y hash                     kept reply  idempotency key: the entry that used it first, a hash of
//	                                       the request, and the reply
//	y entry                    keys        hashes in Y that this entry was the first to use
//
// A chunk holds everything that one entry added for one owner. At hundreds of events per entry
// this saves most of Badger's cost per key. The last digits of an ID find the object within its
// chunk.
//
// A value of 1 KiB or more is in a blob file, if its kind says so (kinds.go), and Badger holds a
// reference to it: database.go, and package blobfiles. Badger's own files for large values are not
// used: their space hardly ever comes back, and a value that cannot be read is returned as empty.
//
// # Requests
//
// A node that does not learn the outcome of a request sends it again under the same ID, and names
// the entry since which an earlier try may be in the log. The state machine looks for that try in
// Q and gives the same reply. Most requests are first tries, which look for nothing. Now and then
// a repetition overtakes its first try. It is then applied and recorded under P, which is kept in
// memory too, and while P has records first tries look there. A try that is older than
// requestWindow entries is refused if it is a repetition, and not recognized if it is a first try.
// For a reply that can be read again Q has only the key of the record, unless that is longer: the
// record may be deleted, and is not to live on here. A repetition gets it in its present state.
//
// # Admission
//
// decodeCommand is the only function that decodes commands. Admit calls it on the leader before a
// command enters the log, so every command in the log can be applied. Commands of an unknown kind
// or version, and those that are cut short, impossible or beyond a limit, are refused. If the log
// contains an unknown kind nevertheless, a later version of the program wrote it, and the node
// stops. decode.go lists how much a command of each kind may write. Where that is much more than
// the command's own size, Cost says so, and fewer such commands share an entry.
//
// # Idempotency keys
//
// A command may be wrapped in another, kindIdempotent, which contains two hashes of 16 bytes: of
// the idempotency key of the HTTP request, and of the request. The first command under a key that
// is not refused takes effect. The same entry keeps its reply under Y, and all others get that
// reply for IdempotencyWindow, whatever becomes of the object; but of a large application that was
// there already, only the key of its record is kept. A different request under the same idempotency
// key is refused. Each entry removes the keys of the oldest entry in y once they are too old, so
// the number of keys does not grow without bound.
//
// # Actors
//
// Another wrapper, kindBehalf, contains who asks for a command: the ID and name of an API key, not
// its secret. It is outside of kindIdempotent, because a repetition changes nothing. The changes
// that the command makes are recorded with this actor. Changes without one are those of the nodes.
//
// # Changes
//
// Changes are kept for a week, but take a bounded part of the store. They belong to their maker: a
// key of an operator, the tokens of an application, or the nodes on account of an application.
// Each of these three classes has a limit in bytes, and so has each application. Beyond a limit,
// the entry that adds a change removes the oldest changes of the maker that has most, so a flood
// by one maker costs nobody else a change. The oldest record left of a maker says how many have
// left, and meta counts all.
//
// # Updates
//
// A command that changes an application, an endpoint, an event type or the settings contains the
// whole object and its Revision: the index of the entry that changed it last. If the object has
// another revision by then, the command is refused, and the caller reads the object again.
//
// # Removal
//
// Deleted endpoints leave sets of any length, and deleted applications logs of any length. A
// record under D or O says so, and how far their removal has come. The leader proposes commands
// for only this purpose until everything is gone: kindSweep, each of which removes a bounded part,
// endpoints before logs, in order of their IDs. On a busy node it does so for a small part of the
// time. Each goes on where the last one stopped, because Badger keeps deleted records until it
// compacts, and whoever looks for the first one left passes over all of them.
//
// # Retention
//
// A message leaves the log when its retention ends, delivered or not. Where the size of all
// records is limited, the leader asks for the oldest messages to leave earlier: those that all
// cursors have passed and that are in no set. Each application has a fair share of that limit (see
// shrink.go). Applications above their share lose messages first, down to a floor that the command
// names, and are the first whose new messages are refused. S and meta count the bytes of records,
// because Badger's own size shrinks only when it compacts; reclaim.go watches the difference. One
// command reads and writes about 4 MiB of chunks at most, and looks at 2,000 records. If its last
// message still has attempts then, the message is recorded under J, and later commands of this
// kind or kindSweep remove the attempts.
//
// Retention looks only at what it has not looked at before. The record under l says from where on a
// log is to be read: Badger keeps deleted records until it compacts, and messages that are kept for
// longer than others stay before those that leave. They leave by their lines under X, of which meta
// says up to when none are left. Both move on as messages leave, in the entry that removes them. A
// Shrinker also remembers, in the memory of the leader, up to where endpoints wait for all of a
// log, and starts over at its end.
//
// # Tallies
//
// Each attempt is counted three times by the entry that records it: for its endpoint, for the
// application, and altogether. The counts of the present five minutes of the log's clock are in
// the cursor and under F. When they are over, the next attempt of the same owner adds them to
// three records under N: of five minutes, an hour and a day. A record has only the counters that
// are not zero: outcomes, classes of status codes, and latencies in steps of a quarter of a power
// of two. No record of an attempt is ever read to draw a chart. Keys begin with the time, so what
// is kept long enough is deleted from the front, a bounded number of records by each retain
// command, also if nothing is sent to an endpoint any more. Where the size of all records is
// limited, so is that of the tallies of each period and scope. For each of these meta counts the
// bytes, and holds a floor: tallies from before it are gone, or going, and are not written again.
// The tallies of a deleted endpoint are added, a bounded number by each entry, to those of all
// deleted endpoints of its application, whose owner under N is the application. So the sums over
// endpoints and over applications are equal to the counts of all attempts, which the checker
// verifies. Those of a deleted application stay until their time is over.
//
// # Fingerprints and the checker
//
// A command that changes nothing makes every node compute a fingerprint of its whole state as of
// that entry: two nodes with the same fingerprint hold the same state. Check verifies everything
// that the code relies on, in a store that no node is using.
//
// # Versions
//
// Each command and each record begins with one byte, the version of its format. A node reads all
// versions up to its own and stops at a newer one.
//
// # Types
//
// A Writer proposes commands to the cluster, and a Leader those that the leader of a term decides.
// A Store applies what the cluster has agreed on, and commits it. A Reader is the part of a store
// that reads, from memory or from the last commit; what is to be delivered it reads through
// Deliveries, and the history through Attempts. Space measures the disk, and a Gate decides whether
// there is room for a command. A Cleaner and a Shrinker find what is to leave the store, and
// propose that.
//
// What Apply alone reads and writes is in pending: everything applied that is not durable yet. A
// view finds messages, attempts, cursors and lines of sets there and in the database alike, so
// there is one function for each; kinds.go lists all kinds of records, with the name, the size of
// the keys and the check of each.
//
// # Apply
//
// A command is applied by the type that owns its noun: applicationTable, endpointTable, taskTable
// and so on, in the file apply_*.go. Each is an entry, the changes that the commands of one Raft
// entry make together, with the methods for that noun.
//
// # Durability
//
// Badger runs in managed mode: the version of a record is the Raft index that wrote it. Apply
// stages entries in memory. A commit adds large values to the blob files and syncs these; then it
// writes everything staged, meta included, in one transaction and syncs it, while further entries
// are staged. What a crash leaves in the blob files between these two steps is cut off by the next
// start. If one transaction is too small, the commit uses
// several, all at one version, with meta in the last; split.go explains why a crash between two of
// them does no harm. So after any crash the store is exactly between two entries. Raft replays the
// rest, because its log had these entries on stable storage before they were applied. Commits
// happen every few milliseconds, when a read needs what is staged, and always before the Raft log
// is truncated.
//
// # Space
//
// A value in a blob file that no record has any more is waste, once no reader is left that began
// before its record was changed. A file that is nothing but waste is removed. If much of the files
// is waste, the values that are in use are written again, with the next commit, so that their file
// can go: blobs.go. After a start, all references are counted once to learn what is in use.
//
// That is about space. A purge, every 12 hours if anything was applied, is about what the bytes
// say: it has everything that was removed before leave the files, however little it is: purge.go.
// The file purged, beside the Badger folder, says when the last one began.
//
// # Goroutines and locks
//
// Open starts three goroutines: commitSoon commits what is staged, a reclaimer measures the data
// folder and gives space back, and a verifier reads all tables and blob files once. A request for a
// fingerprint starts one more, unless it is running. Close ends and awaits these four. A commit
// that Apply begins (commitAside) has a goroutine of its own; the next commit waits for its end,
// and so do RestoreSnapshot and Close. A stream of a snapshot has a goroutine of its own until the
// stream is closed; Close ends the stream.
//
// Locks are taken in this order: pending (what is staged and committed), swap (for reading while
// the database is in use, for writing while RestoreSnapshot or Close replaces or closes it), mu
// (the catalog), and then those of the small types. Of these only fingerprints.mu is held while
// another one, pins.mu, is taken. The reclaimer alone takes waste.count, before all others.
package wal
