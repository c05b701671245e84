// Package migrate copies applications, event types and endpoints from another webhook service to a
// Hookwheel node, through the public APIs of both.
//
// A Source reads the other service. Run compares each object with what the node has, creates what
// is missing, and records the result in a Report. It keeps no state of its own: an import that was
// cut off is run again, and finds what it has copied by its uid. Nothing is ever deleted.
//
// What the other service says is not trusted: responses are limited in size and number, and an
// object that can't be understood is skipped, with the reason in the report.
package migrate
