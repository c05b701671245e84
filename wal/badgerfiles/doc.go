// Package badgerfiles knows the files that Badger keeps in its folder: how to choose the folder,
// lock it, check what is in it before a start, and measure it. It knows nothing of what the store
// puts there.
//
// # Folders
//
// The store's folder holds one Badger folder, db-N, and the file CURRENT, which contains its name
// and a CRC-32C of the name. A state from another node is loaded into db-N+1; it counts from the
// moment when a new CURRENT is renamed over the old one.
//
// # Damage
//
// Badger trusts its files. Given a damaged one, it may silently open a store that lacks records or
// an older state, and then remove the files that it has no use for. Or it panics in a goroutine of
// its own. So a start checks the files first (Check):
//
//   - MANIFEST, which names the tables, and the .mem files, which hold what no table has yet,
//     completely;
//   - of each table only the end, which a start reads anyway. The blocks are verified once the
//     store is open (VerifyTable), because a start must not take longer the more data there is. If
//     a block is damaged, the store closes and is marked as damaged (Mark): a compaction may have
//     read the table meanwhile and dropped what it could not read.
//
// # Order
//
// First Current, which removes other folders under the lock of the current one. Before Badger opens
// a folder: Lock, RemoveEmpty, Check, unlock. Badger then takes the same lock
// itself, so another process can come between but never works on the folder at the same time.
//
// # Goroutines and locks
//
// Check reads the ends of several tables concurrently and waits for all of them. Nothing else runs
// here. The only lock is flock on the folder, which Lock takes and its caller releases.
package badgerfiles
