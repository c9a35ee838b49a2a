// Package openapi translates between MCP tools and OpenAPI operations. All of
// it is pure: bytes in, bytes out.
//
// Three walks go through it. Tools become a [Document]: each input schema is
// made readable for clients that know less of JSON Schema than its author did,
// with every keyword kept. A request's body becomes a tool's arguments: it is
// checked against the tool's own schema and passed on as the bytes it is, or
// repaired where that makes it valid. A result becomes a response's body.
//
// JSON is held as a tree of nodes that keep the order of members and the bytes
// of scalars (node.go), so nothing that is only passed on is ever changed.
package openapi
