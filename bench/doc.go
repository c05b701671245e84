// Package bench measures a running Hookwheel from outside: a load generator, a sink
// that counts what is delivered to it, and a report of rates, latencies, losses and duplicates. It
// speaks HTTP only and knows nothing of what is inside a node.
//
//	generator ── POST /api/v1/app/{app}/msg ──► node(s) ── POST /{endpoint} ──► sink
//	     └───────────────────── POST /{bare endpoint} (Bare) ────────────────────▲
//
// Generator and sink live in one process, and so share one clock: each payload carries the number
// of its event and the time of its POST, and the sink reads both at fixed places. Every event is
// sent once; one that is answered with anything but 202 is counted as failed and not tried again.
//
// The bare loop is the same generator posting the same payloads straight to the same sink: what
// this machine could do if the node cost nothing. Rates divided by it can be compared between
// machines.
package bench
