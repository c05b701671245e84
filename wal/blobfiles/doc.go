// Package blobfiles keeps the large values of a store in files of their own, beside Badger, which
// then holds only references to them. So Badger, which writes each value several times while it
// compacts, has little to write. (WiscKey, FAST 2016, describes the idea; the blob files of RocksDB
// are the same.)
//
// # Files
//
// The folder holds files NNNNNNNN.blob, numbered from 1, to the newest of which values are
// appended. A file is a list of values with their keys:
//
//	CRC-32C of all that follows 4 | length of key 2 | length of value 4 | key | value
//
// Numbers are big-endian. Nothing is changed in place. A file is removed when none of its values is
// referred to any more.
//
// # Durability
//
// Whoever adds values calls Sync before it writes references to them anywhere, and keeps the End
// that Sync returns together with these references. After a crash, Open cuts off what is behind the
// last End that was kept. So each file consists of whole values, and anything else is damage.
//
// # Goroutines and locks
//
// Nothing runs here. One goroutine at a time may call Add and Sync; all other methods may be called
// from any. A mutex guards the list of files and their counts. It is not held while files are read,
// written or synced.
package blobfiles
