// Package httpapi is the HTTP skin: the API in the Svix dialect, health and metrics. Any node answers any request: what
// changes something goes through wal.Writer, and so to the leader; what reads first asks the leader how far the log is
// and then answers from this node's own store, so that a client sees what it wrote, whichever node it asks.
//
// A handler returns an answer or an error; answer.go is the only place that turns either into HTTP.
package httpapi
