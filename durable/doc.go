// Package durable writes files that survive a crash: when a function returns without an error, what
// it did is on stable storage, the entry in the folder included.
//
// Nothing runs here and nothing is locked. Two writers of the same file must be kept apart by their
// caller.
//
// # Order
//
// A file is replaced in four steps: write the new contents to a temporary file beside it, sync that
// file, rename it over the old one, sync the folder. After a crash between any two of them the file
// has either its old contents or the new ones; a temporary file that is left over is overwritten by
// the next try.
//
// A failed fsync says that the data may be lost, and a second one would not say so again. Callers
// therefore never repeat it: they report the error, and the node ends.
package durable
