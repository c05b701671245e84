// Package delivery makes the attempts: workers take deliveries from the scheduler, sign them, POST
// them and report the outcomes. A recorder writes the outcomes into the replicated log, many in one
// entry, and informs the scheduler.
//
// An attempt whose outcome was not recorded is made again by the next leader, with the same
// webhook-id.
package delivery
