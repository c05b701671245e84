// Package pages holds the web pages: the portal for customers and the console for operators. Both
// use nothing but the public API, so whatever a page can do, curl can.
//
// The sources are in src: TypeScript and Preact, in one language catalogue per language. What
// browsers load is in dist, committed under stable names, so that building Hookwheel needs Go
// alone. After a change of the sources, make dist again:
//
//	go generate ./httpapi/pages
//
// third_party has the libraries that are bundled, as published.
package pages

//go:generate go run ./build
