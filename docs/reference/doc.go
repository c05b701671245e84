// Command reference writes the pages of the reference: commands, settings, metrics and the API. It
// makes them of the commands themselves, the settings and config.example.hcl, the metrics of a
// node, and the OpenAPI document, so a change of these is made in one place. A test compares.
//
//	go generate ./docs/reference
package main

//go:generate go run .
