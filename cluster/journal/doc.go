// Package journal keeps entries of bytes in append-only files: the log of a node. An entry has an
// index and a content. Entries are appended in batches, with one write and one fdatasync each, are
// read in any order, and are removed at either end.
//
// # Files
//
// The journal is a sequence of segments, files such as 000000000012.segment with numbers without a
// gap. A segment is filled with zeros before it is used, so that a write changes neither its size
// nor its blocks. When all of its entries have been removed, it becomes a spare file (*.spare),
// and is the next segment later, without being filled again. The segment after the current one is
// prepared from the first change on. A *.tmp file is one that is being filled.
//
// So a file holds what was written to it in earlier uses, too. Renew ends that: it removes the
// spare files, goes on in a new file, and has those that are in use removed when their entries are,
// not used again.
//
// # Format
//
// Integers are big-endian, checksums are CRC-32C. A segment consists of pages of 4096 bytes. The
// first one is its header:
//
//	"HWJOURNL" | version 4 | number 8 | salt 8 | size of the file 8 | checksum 4 of what is before
//
// The salt is random, and new in each use of the file. Batches follow, each from the beginning of
// a page on, and padded with zeros to the end of a page:
//
//	batch   salt 8 | sequence 8 | oldest 8 | argument 8 | length 8 | kind 4 | number of records 4 |
//	        checksum 4 of what is before | records
//	record  index 8 | tag 4 | length 4 |
//	        checksum 4 of salt, index, tag, length and content | content
//
// The sequence rises by one from batch to batch, also across segments. oldest is the number of the
// oldest segment that is needed after the batch. The tag is the lower half of the sequence. The
// kinds are
//
//	1  entries      appends its records
//	2  drop before  removes the entries with an index below the argument
//	3  drop from    removes the entries with the argument as index, or a later one
//	4  mark         nothing; see below
//	5  seal         the next segment follows; it is the last batch
//
// The last page of a segment is kept free for the seal.
//
// The file synced has two pages, which are written in turn. Each says which batch was on stable
// storage when it was written, in which segment, and where the batch ended:
//
//	"HWSYNCED" | version 4 | sequence 8 | segment 8 | end 8 | checksum 4 of what is before
//
// The file renewed, if it is there, says of the last Renew in which segment it went on, which entry
// was the last one before that, and when it was, in milliseconds since 1970:
//
//	"HWRENEWD" | version 4 | segment 8 | entry 8 | time 8 | checksum 4 of what is before
//
// # What is believed
//
// A batch is written after the one before it was synced, and no page that was synced is written
// with other contents until the file is used again. So a crash can spoil the last batch only,
// whatever the disk does with the sectors of a write that was interrupted. Open cuts a last batch
// that is not complete; it was never acknowledged. If a later batch is there, or a mark, a seal or
// the beginning of the next segment shows that there was one, the batch was complete once: the
// file is damaged, and Open refuses it with its name and the place. It does so also if a segment
// is missing, at either end or in between, or is too short. Read verifies the checksum of each
// record.
//
// Nothing that is left in a file from an earlier use, or from a batch that was cut, is taken for
// something new. The former has another salt; the latter an earlier sequence, since Open appends a
// mark. Nobody who only chooses contents can imitate a batch, as they can't know the salt.
//
// A mark tells a later Open that the batch before it was complete. Without one, damage to the last
// batch would be taken for a write that a crash interrupted. Close appends a mark, and Mark does
// when nothing else is written for a while.
//
// Damage that hits all batches from some point on, marks included, looks like the end of the
// journal. Note, Mark and Close write to the file synced which batch was on stable storage, and
// Open refuses a journal that ends before that one. This takes no sync for a batch: Note is called
// every two seconds or so. What remains undetected is such damage to what was written since the
// last Note alone. The file is made before the first segment, so it is damage, too, if it is
// missing.
//
// # Crashes
//
// The process may end, or the power may fail, at any of these points:
//
//	filling a new file           Open removes the *.tmp file.
//	writing a spare's header     It still is a spare file.
//	renaming it to the segment   The segment before it is not sealed: Open makes a spare file of it.
//	writing a batch              Open cuts it, or finds it complete.
//	before syncing it            Open writes it again, and syncs it before anybody relies on it. It
//	                             may be in the memory of the operating system only, also after a
//	                             sync that failed.
//	writing a seal               As with any batch; the segment after it has no batch yet.
//	after it                     Open goes on in the next segment.
//	writing a removal            Open finds all that it removes, or nothing.
//	renaming what is free        The last batch names the oldest segment that is needed; Open gives
//	                             back older ones. Each name is durable before the next is changed,
//	                             from the oldest on, so there is no gap.
//	removing a spare file        Open finds it again, or not.
//	during Renew                 As above: it seals, prepares, and removes spare files. Open takes
//	                             all files for new ones, until the next Renew.
//	after Renew                  The file renewed says when that was, and which segments came
//	                             before it: they are removed later, not used again.
//	writing that file            It is the old one, or the new one.
//	making the file synced       Open removes the *.tmp file; there is no segment yet.
//	writing it                   Its other page is older, and true.
//	during Open                  It writes what is there already, or a mark.
//
// # Errors
//
// After a write or a sync has failed, the contents of the disk are unknown, and another sync may
// succeed without having written anything. So the Journal fails for good: each later change
// returns the same error. A disk that is full while the next segment is prepared is no such case;
// it fails when the segment is needed and still can't be made. An error of the disk while Open
// reads is returned as it is, and never taken for the end of the journal.
//
// # Memory
//
// The index takes 24 bytes for each entry, twice that while it grows. Open builds it by reading
// all segments, and needs a buffer of 64 KiB besides: for 1 GiB in 930,000 entries of 1 KiB it
// takes 80 MiB, and 2 s if the files are in memory. A batch is copied once, into a buffer that is
// kept if it is not larger than 4 MiB.
//
// # Goroutines and locks
//
// One goroutine at a time prepares the next segment; Close waits for it. writing is held during
// each change, mu while index and segments change and while a file is read, so that no file is
// used again under a reader. Below these is pool.mu. Nothing keeps other processes away: the
// caller does.
package journal
