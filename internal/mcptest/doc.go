// Package mcptest holds real MCP servers for tests, made with the official SDK.
//
// One set of tools ([NewServer]) is reached in three ways: as a child process
// that speaks on its standard streams ([BuildStdio] builds the program, whose
// flags make it misbehave), over streamable HTTP ([StartHTTP]), and over the
// older SSE transport ([StartSSE]). Nothing is faked: tests talk to them over
// pipes and loopback sockets as they would to a stranger's server.
//
// The package owns the servers that it starts for as long as the test runs. It
// is imported by tests and examples only.
package mcptest
