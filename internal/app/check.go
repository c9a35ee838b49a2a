package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"mcpo/internal/upstream"
)

// Check reads the configuration, connects to every server once, and writes a
// table of what it found. The error is an *ExitError when any server failed.
func Check(ctx context.Context, o Options, w io.Writer) error {
	cfg, err := configuration(o)
	if err != nil {
		return err
	}
	o.Log = slog.New(slog.DiscardHandler) // the table has the reasons; mcpo's further tries are not asked for
	a := &app{opts: o}
	for _, c := range cfg.Servers {
		s := upstream.New(c, a.upstreamOptions(), nil)
		s.Start()
		a.servers = append(a.servers, s)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), o.ShutdownTimeout)
		defer cancel()
		closeServers(ctx, a.servers)
	}()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tTRANSPORT\tSTATE\tTOOLS\tPROTOCOL\tREASON")
	failed := 0
	for _, s := range a.servers {
		select {
		case <-s.Tried():
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), table.Flush())
		}
		status := s.Status(shared)
		reason := ""
		if status.State != upstream.StateConnected {
			failed++
			if status.Err != nil {
				reason = OneLine(status.Err.Error())
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", s.Name(), status.Transport, status.State, status.Tools, status.Info.Protocol, reason)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	if failed > 0 {
		return &ExitError{Code: 1, Err: fmt.Errorf("%d of %d servers failed", failed, len(a.servers))}
	}
	return nil
}
