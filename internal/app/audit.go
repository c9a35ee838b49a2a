package app

import (
	"errors"

	"mcpo/internal/audit"
	"mcpo/internal/oauth"
)

// happened is told what became of a caller's login.
func (a *app) happened(h oauth.Happening) {
	writeDown(a.audit, h)
	a.measureLogin(h)
	if h.Event == oauth.LoggedIn && h.Err == nil {
		a.handler.Connected(h.Server, h.Caller)
	}
}

// writtenDown opens the audit log for what becomes of logins while a command
// runs. The error is an *ExitError.
func (l *logins) writtenDown() (*audit.Log, error) {
	written, err := audit.Open(l.opts.AuditLog, l.opts.Log)
	if err != nil {
		return nil, failf("%w (--audit-log names it)", err)
	}
	l.happened = func(h oauth.Happening) { writeDown(written, h) }
	return written, nil
}

// writeDown puts what became of a login into the audit log. That it was renewed
// is no news of anybody's doing.
func writeDown(l *audit.Log, h oauth.Happening) {
	if h.Event == oauth.Refreshed {
		return
	}
	l.Write(audit.Entry{Event: audit.Event(h.Event), Caller: h.Caller.String(), Server: h.Server, Outcome: outcomeOf(h)})
}

// outcomeOf is a word for what became of a login. What a stranger wrote stays
// out of it.
func outcomeOf(h oauth.Happening) string {
	var denied *oauth.DeniedError
	var alive *oauth.NotRevokedError
	switch {
	case h.Event == oauth.RefreshRefused:
		return "refused"
	case h.Event == oauth.LoggedOut && errors.As(h.Err, &alive):
		return "not_revoked"
	case h.Event == oauth.LoggedOut && h.Err == nil:
		return "revoked"
	case h.Err == nil:
		return "ok"
	case errors.As(h.Err, &denied) && denied.Code == "access_denied":
		return "denied"
	case errors.Is(h.Err, oauth.ErrOtherBrowser):
		return "other_browser"
	case errors.Is(h.Err, oauth.ErrIssuer):
		return "other_issuer"
	}
	return "failed"
}
