// Package upstream keeps the configured servers alive.
//
// Each [Server] lives on its own: it connects, lists its tools, is called, is
// lost, and comes back, and nothing that happens to it reaches another. The
// walk of a call: the caller's connection is handed out, waited for if it is
// just being opened; the tool's arguments go to the server as the bytes they
// are; the reply comes back as the bytes it was. A call that certainly did not
// run is sent once more on a new connection, one that may have run never is.
//
// The package owns connections, tool lists and the time between attempts. It
// gives out immutable snapshots, so whoever holds a [ToolList] may keep it.
package upstream
