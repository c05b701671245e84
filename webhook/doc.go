// Package webhook is the vocabulary that all other packages share: applications, endpoints,
// messages, attempts, and the rules about them (filter, retry, signature). It imports no other
// package of this module and has no side effects: every rule is a function of its arguments,
// without clock or randomness, because the leader that plans and the state machine that records
// must reach the same verdict.
package webhook
