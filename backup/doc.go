// Package backup stores backups of a cluster outside of it: in object storage that speaks the
// protocol of S3, or in a folder. wal makes them and reads them; this package encrypts them, says
// which ones there are, and removes old ones.
//
// # What is stored
//
// A backup is an object with a manifest beside it, in a folder named after its cluster; name.go
// has the form of the names. An object appears when it is written to its end, and the manifest is
// written after it. Objects without a manifest, and manifests without an object, are not backups.
//
// So the listing says all that a schedule must know: when the last backup was made, what is left
// of one that was interrupted, and which ones are old. A new leader goes on from there, and no
// state is replicated. Everything that is removed has a name that this package has made, in the
// folder of the cluster that removes it.
//
// # Order
//
// Two leaders may be active for a short time: one of them has lost its term and does not know.
// Each may remove what the other one is writing. That backup then fails and is made again; none
// that is complete is ever damaged, because names are unique and objects are never changed.
package backup
