// Package oauth is the OAuth 2.1 client for servers that want one: it finds
// their authorization server, registers mcpo there, sends a person to log in,
// and keeps the grant that comes back.
//
// The walk of a login. [Authorizer.Begin] discovers where to go (discover.go,
// challenge.go, resource.go, metadata.go), takes or makes a registration
// (register.go), saves the login under its state, and gives the URL for the
// browser (login.go), which comes back to mcpo's pages or to the loopback port
// (loopback.go, waiting.go). [Authorizer.Finish] takes the login back by the
// state, once, checks who answers, exchanges the code (token.go) and saves the
// grant.
//
// The walk of a request. [Authorizer.RoundTripper] asks for the caller's access
// token (transport.go, grant.go): a memory read, unless a renewal is due. That is
// made once for all who wait, under the store's lock and in a context that no
// request can cancel; what it brings is saved before it is used (renew.go).
//
// All that strangers name is looked at first: URLs as they are read (address.go),
// addresses as they are dialled (network.go), answers within bounds (object.go).
//
// Each caller has one grant for each server. A single user is nothing special:
// there is just one caller.
package oauth
