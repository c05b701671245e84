//go:build !race

package httpapi

// itemsLimit is how many bytes a body of a megabyte may take to be read.
const itemsLimit = 24 << 20
