package oauth

import (
	"slices"
	"strings"

	"mcpo/internal/caller"
)

// stepUpMax is how often in a row a caller is sent to log in for scopes that
// the server then asks for again.
const stepUpMax = 3

// Bounds of what a stranger's list of scopes is read for.
const (
	scopesMax = 100
	scopeMax  = 200 // bytes of one
)

// limited leaves out what goes beyond the bounds.
func limited(scopes []string) (within []string) {
	for _, s := range scopes {
		if len(within) < scopesMax && len(s) <= scopeMax {
			within = append(within, s)
		}
	}
	return within
}

// want is what a server said that a caller's grant lacks (RFC 6750 §3.1,
// insufficient_scope).
type want struct {
	scopes []string
	logins int // that were made for them
}

// scopesFor are the scopes to ask for: the configuration's if it has any, else
// what the server's challenge says, else what its metadata lists, else none.
// What a caller was refused for comes on top of what the grant has.
func (a *Authorizer) scopesFor(d *Discovered, who caller.ID) []string {
	var scopes []string
	switch {
	case a.cfg.Scopes != nil:
		scopes = a.cfg.Scopes
	case len(d.Challenge.Scopes) > 0:
		scopes = d.Challenge.Scopes
	case d.Resource != nil && len(d.Resource.Scopes) > 0:
		scopes = d.Resource.Scopes
	case a.cfg.ClientMetadata != nil && d.Metadata.From == "":
		scopes = strings.Fields(a.cfg.ClientMetadata.Scope)
	}
	a.mu.Lock()
	if w := a.wants[who]; w != nil {
		scopes = union(scopes, w.scopes)
	}
	a.mu.Unlock()
	if a.cfg.Scopes == nil && slices.Contains(d.Metadata.Scopes, "offline_access") {
		scopes = union(scopes, []string{"offline_access"}) // without it some give no refresh token
	}
	return scopes
}

// union is a with what b has besides, in order. Where that is too much, what is
// last in a makes room: b is what is wanted now.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for i := len(a) - 1; i >= 0 && len(all) > scopesMax; i-- {
		if !slices.Contains(b, all[i]) {
			all = slices.Delete(all, i, i+1)
		}
	}
	return all
}

// notEnough remembers that the caller's grant lacks scopes. A grant that has all
// that was wanted before, where something else is wanted now, is a new matter.
func (a *Authorizer) notEnough(who caller.ID, scopes []string, g *grant) {
	scopes = limited(scopes)
	a.mu.Lock()
	defer a.mu.Unlock()
	has := limited(g.Scopes)
	w := a.wants[who]
	if w == nil || includes(has, w.scopes) && !includes(w.scopes, scopes) {
		w = &want{}
		a.wants[who] = w
	}
	w.scopes = union(union(has, w.scopes), scopes)
}

// wantedBy is what the caller needs besides what was asked for at first. It is
// called with mu held.
func (a *Authorizer) wantedBy(who caller.ID) []string {
	if w := a.wants[who]; w != nil {
		return w.scopes
	}
	return nil
}

// alsoWants remembers what another process was refused for want of.
func (a *Authorizer) alsoWants(who caller.ID, scopes []string) {
	if len(scopes) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.wants[who]
	if w == nil {
		w = &want{}
		a.wants[who] = w
	}
	w.scopes = union(w.scopes, limited(scopes))
}

// includes reports whether all has every one of some.
func includes(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// tried counts a login that was made for what a caller's grant lacked. It is
// called with mu held.
func (a *Authorizer) tried(who caller.ID) {
	if w := a.wants[who]; w != nil {
		w.logins++
	}
}

// MoreScopes reports whether a new login can give the caller what the server
// last refused for want of scopes. It is false after a few logins in a row that
// did not.
func (a *Authorizer) MoreScopes(who caller.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.wants[who]
	return w != nil && w.logins < stepUpMax
}
