package app

import (
	"context"
	"fmt"
	"io"
	"strings"

	"mcpo/internal/audit"
	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/oauth"
	"mcpo/internal/store"
)

// LogoutUser removes what an account holds at the server with this name, or at
// all servers when name is empty, revokes its tokens, and writes what came of it
// for each. user is the account's id, or its name as Tokens shows it. It works
// beside a running mcpo, which notices within seconds. The error is an
// *ExitError when something could not be removed, or may still be valid because
// revoking it failed.
func LogoutUser(ctx context.Context, o Options, name, user string, w io.Writer) error {
	cfg, err := userServers(ctx, o, name)
	if err != nil {
		return err
	}
	l := newLogins(o, hereURL(o, cfg), false, nil)
	written, err := l.writtenDown()
	if err != nil {
		return err
	}
	defer written.Close()
	defer l.stored.close()
	kept, err := l.stored.at(cfg.Storage)
	if err != nil {
		return &ExitError{Code: 1, Err: err}
	}
	all, err := oauth.List(ctx, kept)
	if err != nil {
		return &ExitError{Code: 1, Err: err}
	}
	leaving := &leaver{logins: l, cfg: cfg, kept: kept, audit: written, user: user, w: w}
	for _, h := range all {
		if (name == "" || h.Server == name) && isUser(h.Caller, user) {
			leaving.from(ctx, h)
		}
	}
	return leaving.end(name)
}

// userServers reads the configuration. The error is for a server, if one is
// named, at which callers have no stored logins of their own.
func userServers(ctx context.Context, o Options, name string) (*config.Config, error) {
	if name == "" {
		return configuration(o)
	}
	cfg, s, err := loginServer(ctx, o, "logout", name)
	switch {
	case err != nil:
		return nil, err
	case !s.OAuth.MultiUser:
		return nil, failf(`%s has one login that all share ("multi_user": false); to remove it write: mcpo logout %[1]s --config %s`, name, o.ConfigPath)
	case s.OAuth.StorageType == "memory":
		return nil, failf(`%s keeps its logins in the memory of the running mcpo ("storage_type": "memory"); each of them disconnects at %s/connections, and all are gone when it is started again`,
			name, hereURL(o, cfg))
	}
	return cfg, nil
}

// isUser reports whether a caller is the account that an operator names: by its
// id, or as a table shows it.
func isUser(who caller.ID, user string) bool {
	return who.IsOne() && (who.String() == user || who.Name() == user)
}

// leaver takes logins of one account away.
type leaver struct {
	logins *logins
	cfg    *config.Config
	kept   oauth.Store
	audit  *audit.Log
	user   string
	w      io.Writer

	left   int
	failed error // the first; what could not be written included
}

func (l *leaver) say(format string, args ...any) {
	if _, err := fmt.Fprintf(l.w, format, args...); err != nil {
		l.fail(fmt.Errorf("writing what was done: %w", err))
	}
}

func (l *leaver) fail(err error) {
	if l.failed == nil {
		l.failed = err
	}
}

// from takes one login away.
func (l *leaver) from(ctx context.Context, h oauth.Held) {
	l.left++
	for _, s := range l.cfg.Servers {
		if s.Name == h.Server && s.OAuth != nil {
			l.revoke(ctx, s, h.Caller)
			return
		}
	}
	l.remove(ctx, h)
}

// revoke is for a login at a server of the configuration.
func (l *leaver) revoke(ctx context.Context, s config.Server, who caller.ID) {
	block := *s.OAuth
	block.StorageType = "file" // where the login was found, whatever is kept there now
	s.OAuth = &block
	kept, err := l.logins.authorizer(s, l.cfg.Storage, nil, nil)
	if err == nil {
		defer kept.Close()
		var had bool
		if had, err = kept.Logout(ctx, who); err == nil || had {
			var said string
			if said, err = loggedOut(s.Name, had, err); err == nil {
				l.say("%s: %s", cell(who.String()), said)
				return
			}
		}
	}
	l.say("%s: %s\n", cell(who.String()), cell(err.Error()))
	l.fail(failf("not all tokens of %s were revoked", l.user))
}

// remove is for a login that the configuration has no use for, so that nobody
// knows how to revoke it.
func (l *leaver) remove(ctx context.Context, h oauth.Held) {
	if err := l.kept.Delete(ctx, store.Key{Kind: store.Grants, Server: h.Server, Caller: h.Caller}); err != nil {
		l.say("%s: removing the login at %s: %s\n", cell(h.Caller.String()), cell(h.Server), cell(err.Error()))
		l.fail(failf("not all logins of %s were removed", l.user))
		return
	}
	l.audit.Write(audit.Entry{Event: audit.Disconnect, Caller: h.Caller.String(), Server: h.Server, Outcome: "not_revoked"})
	l.say("%s: Logged out of %s, which has no logins in the configuration. The tokens were removed here, and may still be valid at %s.\n",
		cell(h.Caller.String()), cell(h.Server), cell(h.Status.Issuer))
}

// end says what else there is to know.
func (l *leaver) end(name string) error {
	switch {
	case l.left == 0 && name != "":
		l.say("%s is not logged in at %s.\n", cell(l.user), cell(name))
	case l.left == 0:
		l.say("%s is not logged in anywhere.\n", cell(l.user))
	}
	var forgetful []string
	for _, s := range l.cfg.Servers {
		if s.OAuth != nil && s.OAuth.MultiUser && s.OAuth.StorageType == "memory" {
			forgetful = append(forgetful, s.Name)
		}
	}
	if name == "" && len(forgetful) > 0 {
		l.say("Kept in the memory of a running mcpo, and not removed here: logins at %s. They are gone when it is started again.\n", strings.Join(forgetful, ", "))
	}
	return l.failed
}
