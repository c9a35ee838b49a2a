package oauth

import "mcpo/internal/caller"

// Event is a kind of [Happening].
type Event string

// The events.
const (
	// LoggedIn is the end of a login, well or not.
	LoggedIn Event = "login"
	// Refreshed is an access token that was renewed, or with an error one that
	// could not be renewed for now: the login is kept.
	Refreshed Event = "refresh"
	// RefreshRefused is an authorization server that renews a login no more.
	RefreshRefused Event = "refresh_refused"
	// LoggedOut is a login that was given up here. Its error is a
	// *[NotRevokedError] when it may still be valid there.
	LoggedOut Event = "disconnect"
)

// Happening is something that became of a caller's login. It has no token.
type Happening struct {
	Event  Event
	Server string
	Caller caller.ID
	// Err is why a login or a refresh failed or was refused, or what is left of a
	// login that was given up; else nil.
	Err error
}

func (a *Authorizer) happened(e Event, who caller.ID, err error) {
	if a.onHappen != nil {
		a.onHappen(Happening{Event: e, Server: a.name, Caller: who, Err: err})
	}
}
