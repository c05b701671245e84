// Package delivery makes the attempts: workers take what the scheduler hands out, sign it, POST it,
// and say what came of it; a recorder has the outcomes written into the replicated log, many at a
// time, and tells the scheduler.
//
// An attempt whose outcome was not recorded is made again by the next leader, with the same
// webhook-id.
package delivery
