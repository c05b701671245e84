// Package reference holds the OpenAPI document of the API, and the reference page that is written
// from it. openapi.yaml is the source of both: Document returns it as JSON, Page as HTML.
package reference
