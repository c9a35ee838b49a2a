// Package oauth is the OAuth 2.1 client for servers that want one: it finds
// their authorization server, registers mcpo there, sends a person to log in,
// and keeps the grant that comes back.
//
// The walk of a login. [Authorizer.Begin] discovers where to go (challenge.go,
// resource.go, metadata.go), takes or makes a registration (register.go), saves
// the login under its state, and gives the URL for the browser (authorize.go).
// [Authorizer.Finish] takes the login back by the state, once, checks who
// answers (callback.go), exchanges the code (token.go) and saves the grant.
//
// The walk of a request. [Authorizer.RoundTripper] asks for the caller's access
// token (grant.go): a memory read, unless a refresh is due. A refresh is made
// once for all who wait, under the store's lock and in a context that no request
// can cancel; what it brings is saved before it is used.
//
// Each caller has one grant for each server. A single user is nothing special:
// there is just one caller.
package oauth
