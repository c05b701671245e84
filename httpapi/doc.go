// Package httpapi serves the API in the Svix dialect, health and metrics. Every node serves every
// request: a change goes through wal.Writer to the leader; a read first asks the leader for the end
// of the log, waits for this node's store to reach it, and then reads that store. So a client sees
// what it wrote, whichever node it asks.
//
// routes.go is the table of operations. Each has a handler: a function of a request (request.go),
// which knows the caller, the path, the query, the body and the context, that returns a response or
// an error. Handlers are in the file of their resource. response.go turns what they return into
// HTTP.
//
// The way of a request:
//
//   - The gate of an address accepts the connection, within the limit of file descriptors. The API
//     has one address, and the portal and metrics have their own if the configuration says so; each
//     address has its own routes, and all share one budget of connections.
//   - cors says which pages may read the response, and answers preflights.
//   - intake checks the header, before the body is read.
//   - Server.authorized finds the caller, checks the role and the capability, limits the rate, lets
//     intake read the body within the shares of memory, and waits for the turn of a customer.
//   - request.performOnce answers repetitions of an idempotency key.
//   - The handler runs, and responder.write sends its response.
//
// One goroutine records the last use of API keys, from Serve to its end. A stream of events has one
// that notices when the client goes; the stream waits for it. No lock of this package is taken
// while another one of it is held.
package httpapi
