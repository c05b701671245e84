//go:build race

package httpapi

// itemsLimit is how many bytes a body of a megabyte may take to be read. The race detector adds to
// it.
const itemsLimit = 48 << 20
