// Package webhook is the vocabulary that all other packages share: applications, endpoints,
// messages, attempts, and the rules about them (filter, retry, signature). It imports nothing of
// ours and does nothing but compute: every rule is a function of its arguments, with no clock and
// no randomness, because the leader that plans and the state machine that records must reach the
// same verdict.
package webhook
