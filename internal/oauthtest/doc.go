// Package oauthtest holds a real OAuth authorization server and the MCP server
// that it protects, for tests and for a demonstration.
//
// The walk of a login, as a stranger's server would have it:
//
//	MCP without a token ──401──▶ resource metadata ──▶ authorization server metadata
//	      ▲                                                     │
//	      │                                             register (RFC 7591)
//	   Bearer                                                   │
//	      │                                     authorize ▶ login ▶ consent   (Browse plays the person)
//	      └──────── token (code, PKCE) ◀── redirect URI ◀───────┘
//	                token (refresh, rotating) … revoke
//
// Nothing is faked: all of it goes over loopback sockets. With the zero
// [Options] the server is a strict and good one; every switch of Options makes
// it odd or hostile in one way that was seen at servers in the world. What is
// asked of it is counted ([Server.Requests]), can be looked at
// ([Server.LastForm]) and can be stopped midway ([Server.Hold]).
//
// All records live in memory and belong to the Server; one mutex guards them.
// The package is imported by tests and examples only.
package oauthtest
