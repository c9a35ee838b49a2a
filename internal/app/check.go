package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"mcpo/internal/config"
	"mcpo/internal/upstream"
)

// authOf says in a word how mcpo gets in at a server.
func authOf(s config.Server) string {
	switch {
	case s.OAuth == nil && s.Headers["Authorization"] != "":
		return "header"
	case s.OAuth == nil:
		return "none"
	case s.OAuth.MultiUser:
		return "login of each"
	}
	return "one login"
}

// Check reads the configuration, connects to every server once, and writes a
// table of what it found. The error is an *ExitError when any server failed.
func Check(ctx context.Context, o Options, w io.Writer) error {
	cfg, err := configuration(o)
	if err != nil {
		return err
	}
	o.Log = slog.New(slog.DiscardHandler) // the table has the reasons; mcpo's further tries are not asked for
	a := &app{opts: o, logins: newLogins(o, "", false, nil)}
	defer a.logins.stored.close()
	defer a.beside.Wait()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), o.ShutdownTimeout)
		defer cancel()
		closeServers(ctx, a.servers)
	}()
	for _, c := range cfg.Servers {
		s, err := a.serve(c, cfg.Storage)
		if err != nil {
			return err
		}
		s.Server.Start()
		a.servers = append(a.servers, s)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tTRANSPORT\tAUTH\tSTATE\tTOOLS\tPROTOCOL\tREASON")
	failed := 0
	for _, served := range a.servers {
		s := served.Server
		select {
		case <-s.Tried():
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), table.Flush())
		}
		status := s.Status(firstCaller(s.Config()))
		reason := ""
		if status.State != upstream.StateConnected && status.Err != nil {
			reason = OneLine(status.Err.Error())
		}
		if status.State != upstream.StateConnected && status.State != upstream.StateLoginRequired {
			failed++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", s.Name(), status.Transport, authOf(s.Config()), status.State, status.Tools, status.Info.Protocol, reason)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	if p := a.logins.stored.shared(); p != nil {
		if err := p.Health(); err != nil {
			return &ExitError{Code: 1, Err: fmt.Errorf("the database of storage.dsn: %w", err)}
		}
	}
	if failed > 0 {
		return &ExitError{Code: 1, Err: fmt.Errorf("%d of %d servers failed", failed, len(a.servers))}
	}
	return nil
}
