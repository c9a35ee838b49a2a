// Package httpapi is mcpo's face: routes, the walk of a call, and what errors
// look like from outside.
//
// The walk of a request: the generation that serves now is taken once; the key
// is checked before anything is read; the path names a server and a tool; the
// body is checked against the tool's own schema by package openapi; package
// upstream sends it for the caller; the result's bytes are written. Errors rise
// untouched to errors.go, the one file that knows their HTTP statuses.
//
// The package owns the documents that it builds from tool lists, once per
// list. It owns no server: those are lent with each [Generation].
package httpapi
