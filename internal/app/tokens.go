package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/oauth"
)

// Tokens writes a table of the logins that the configuration's store
// holds, with no token in it: those of all callers, or of one account where user
// is its id, or its name as the table shows it.
func Tokens(ctx context.Context, o Options, user string, w io.Writer) error {
	cfg, err := configuration(o)
	if err != nil {
		return err
	}
	var stored, forgetful []string
	for _, s := range cfg.Servers {
		switch {
		case s.OAuth == nil:
		case s.OAuth.StorageType == "memory":
			forgetful = append(forgetful, s.Name)
		default:
			stored = append(stored, s.Name)
		}
	}
	if len(stored)+len(forgetful) == 0 {
		_, err := fmt.Fprintf(w, "No server in %s has an oauth block, so there are no logins.\n", o.ConfigPath)
		return err
	}
	if len(stored) > 0 {
		if err := writeStored(ctx, cfg, o, user, w); err != nil {
			return err
		}
	}
	if len(forgetful) > 0 {
		_, err = fmt.Fprintf(w, "Kept in the memory of a running mcpo, and not listed here: %s. See %s/connections.\n", strings.Join(forgetful, ", "), hereURL(o, cfg))
	}
	return err
}

// writeStored writes what the store holds.
func writeStored(ctx context.Context, cfg *config.Config, o Options, user string, w io.Writer) error {
	kept, err := openStorage(o, cfg.Storage)
	if err != nil {
		return &ExitError{Code: 1, Err: err}
	}
	defer kept.close()
	all, err := oauth.List(ctx, kept)
	if err != nil {
		return &ExitError{Code: 1, Err: err}
	}
	if user != "" {
		all = slices.DeleteFunc(all, func(h oauth.Held) bool { return !isUser(h.Caller, user) })
		if len(all) == 0 {
			_, err := fmt.Fprintf(w, "%s is not logged in anywhere.\n", cell(user))
			return err
		}
	}
	if len(all) == 0 {
		_, err := fmt.Fprintf(w, "Nobody is logged in. To log in: mcpo login SERVER --config %s\n", o.ConfigPath)
		return err
	}
	now := time.Now()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tCALLER\tSTATE\tACCESS TOKEN UNTIL\tSCOPES\tISSUER")
	for _, h := range all {
		s := h.Status
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", cell(h.Server), cell(h.Caller.String()), stateOf(s, now), until(s), cell(strings.Join(s.Scopes, " ")), cell(s.Issuer))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return writeUnused(cfg, all, w)
}

// stateOf says in a word what a login is good for.
func stateOf(s oauth.Status, now time.Time) string {
	switch {
	case s.ExpiresAt.IsZero(), now.Before(s.ExpiresAt):
		return "valid"
	case s.Renewable:
		return "renewable"
	}
	return "expired"
}

// until is when the access token runs out; a renewable one is renewed before.
func until(s oauth.Status) string {
	if s.ExpiresAt.IsZero() {
		return "not told"
	}
	return s.ExpiresAt.Local().Format("2006-01-02 15:04:05 MST")
}

// cell is text for a table, which may be a stranger's; "-" stands for none.
func cell(text string) string {
	if text = strings.TrimSpace(OneLine(text)); text == "" {
		return "-"
	}
	return text
}

// writeUnused names the logins that the configuration has no use for.
func writeUnused(cfg *config.Config, all []oauth.Held, w io.Writer) error {
	servers := map[string]config.Server{}
	for _, s := range cfg.Servers {
		servers[s.Name] = s
	}
	for _, h := range all {
		s, there := servers[h.Server]
		why := ""
		switch {
		case !there:
			why = "the configuration has no such server"
		case s.OAuth == nil:
			why = "the server has no oauth block"
		case s.OAuth.StorageType == "memory":
			why = `the server has "storage_type": "memory"`
		case !h.IsFor(s.URL):
			why = "it is for " + cell(h.URL) + ", and the server's url is another"
		default:
			continue
		}
		if _, err := fmt.Fprintf(w, "Not in use: the login of %s at %s; %s.\n", cell(h.Caller.String()), cell(h.Server), why); err != nil {
			return err
		}
	}
	return nil
}
