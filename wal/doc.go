// Package wal keeps what the cluster has agreed on: the state machine that turns replicated commands into Badger records,
// and the reads that the API and the scheduler need.
//
// # Keys
//
// An ID is 20 bytes (webhook.ID); an "entry" is its first 13, time and Raft index, the same for all that one Raft entry
// made. Numbers are big-endian, so byte order is the order of the log.
//
//	!                          meta        index and term applied, clock, bytes of all other records, up to when messages have left, Raft configuration
//	A app                      JSON        application
//	E app endpoint             JSON        endpoint
//	T name                     JSON        event type
//	U app event id             ID          the message of that application that has this event id
//	L app entry                chunk       the messages that one Raft entry added to one application's log
//	C endpoint                 cursor      the endpoint's place in its log, and what is settled beyond it
//	R endpoint due message     numbers     retry set: attempts made, those that count, ordering key; due is 8 bytes of milliseconds
//	W message endpoint         due         where its line in R is; 8 bytes of milliseconds
//	K endpoint key message     -           held set: messages behind another of their ordering key, of which key is a hash, 8 bytes
//	M endpoint message         manual      manual set: messages that a person or a task wants sent now
//	B task                     JSON        replay: which messages an endpoint is sent again, and how far that is
//	N endpoint hour            numbers     attempts in an hour that is over: succeeded, failed, canceled; hour is 8 bytes
//	X due app message          -           messages that say themselves how long they are kept; due is 8 bytes of milliseconds
//	V entry                    JSON        changes of state that one Raft entry made, for a week
//	H endpoint entry           chunk       history: the attempts that one Raft entry recorded for one endpoint
//	I message attempt          ID          index of the history: the endpoint of each attempt of a message
//	D endpoint                 -           an endpoint that is gone but whose sets are not yet emptied
//	O app                      -           an application that is gone but whose endpoints and log are not yet
//	J message                  ID          the application of a message that has left the log but not all of whose attempts are gone
//	S app                      number      the bytes of the application's records under L and of those under H of its endpoints, if there are any
//	Q index                    requests    request ids of one Raft entry with their replies, for requestWindow entries
//	P index request            -           a request in Q that was applied as a repetition: its first try may yet come
//	G key                      JSON        API key, its token as a hash
//	Y hash                     answer      the entry that met an idempotency key first, what was asked for, and the reply
//	y entry                    keys        the hashes in Y that this entry has met first
//
// A chunk holds all that one entry made for one owner: at hundreds of events an entry this spares Badger most of its cost
// per key. The place that ends an ID finds the record within its chunk.
//
// A value above 31 KiB is stored in pieces, each a record of Badger's behind the first: see pieces.go. Badger keeps values
// from 1 MiB on in files of their own, whose space it hardly ever gives back.
//
// # Requests
//
// A node that does not learn what became of a request sends it again under the same id, and says since which entry an earlier
// try may stand in the log. The state machine looks for it in Q from there on and gives the same reply; first tries look
// for nothing, which is what most are. Now and then a repetition overtakes its first try; then it is applied and noted under
// P, which is kept in memory too, and while there are such notes first tries look there. What is older than requestWindow
// entries is refused as a repetition, and not recognized as a first try. Of a reply above 256 bytes Q has only the key of the
// record that it can be read from again; a repetition is answered with the record as it is by then.
//
// # Admission
//
// A command is taken apart by decodeCommand alone. Admit asks it, on the leader and before the command is in the log, so what is in
// the log can be applied; what is of an unknown kind or version, cut, beyond a limit or impossible is refused there. An
// unknown kind that is in the log all the same comes from a later version of the program, and ends the node. decode.go lists how
// much a command of each kind may write; where that is much more than its own bytes, Cost says so, and fewer go into an entry.
//
// # Idempotency keys
//
// A command may come wrapped in another, kindIdempotent, which names the idempotency key of the HTTP request that it is part of, as
// a hash of 16 bytes, and what the request asks for, another hash. Of the commands under the same key the first that is not
// refused takes effect; its reply is kept by that very entry, under Y, and is the reply to all others for IdempotencyWindow,
// whatever becomes of the thing; one that asks for something else is refused. Each entry forgets
// those of the oldest entry in y, once they are too old, so as many go as come.
//
// # Changes of nouns
//
// An application, an endpoint or an event type is changed by a command that holds the whole of it and the Revision that it was
// made from: the index of the entry that made the last change. If that is another by now the command is refused, and its maker
// reads anew. Endpoints that are removed leave sets of any length, and applications a log of any length: a note under D or O
// says so, and each further entry deletes a bounded part, endpoints before logs, in order of their IDs. The leader proposes
// entries that do nothing else until all is gone.
//
// # Retention
//
// A message leaves the log when its time is over, wanted or not. Where the size of all records is limited, the leader asks for the oldest to
// leave before that: those that all cursors have passed and that stand in no set.
// Each application has a fair share of that limit, see shrink.go: those that hold more lose their messages first, down to a floor
// that the command names, and are refused new ones first. S counts what they hold, and meta the bytes of all records, rather than
// asking Badger, which frees disk space only when it compacts; what the folder takes beyond that is watched, see reclaim.go. One command reads and writes about
// 4 MiB of chunks at most, and looks at 2,000 records; attempts that are left of its last message are noted under J and go with later
// commands and entries.
//
// # Fingerprints and the checker
//
// A command that changes nothing makes every node sum up its whole state as of that entry: two nodes that agree on it hold the
// same state. Check verifies, of a store that no node uses, all that the code above it relies on.
//
// # Versions
//
// Each command and each record begins with the version of its format, a byte. A node reads all versions up to its own
// and stops at a newer one.
//
// # Durability
//
// Badger runs in managed mode: the version of a record is the Raft index that wrote it. Apply stages entries in memory; a commit makes
// one transaction of all that is staged, meta included, and syncs it, while further entries are staged. What is too much for one
// transaction is written in several, all at one version, with meta in the last: split.go says why a crash between two of
// them does no harm. So after any crash the store is exactly between two entries, and Raft, whose log had them on
// stable storage before they were applied, replays the rest. Commits come every few milliseconds, or when a read
// wants what is staged, and always before the Raft log is cut.
package wal
