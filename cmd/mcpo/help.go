package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// writeHelp explains cmd. Flags are grouped as they are declared.
func writeHelp(w io.Writer, cmd *cobra.Command, s *settings) {
	if cmd.HasParent() {
		writeCommandHelp(w, cmd, s)
		return
	}
	fmt.Fprint(w, `mcpo serves MCP servers as OpenAPI.

Usage:
  mcpo [flags] -- COMMAND [ARGS...]                one server, started by mcpo
  mcpo [flags] --type streamable-http -- URL       one server at a URL
  mcpo [flags] --config FILE                       the servers of a configuration

Commands:
`)
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(w, "  %-12s %s\n", sub.Name(), sub.Short)
		}
	}
	writeFlags(w, s)
	fmt.Fprint(w, `
Environment:
  MCPO_<FLAG> stands for every flag that is not given, MCPO_API_KEY for --api-key; flags that may
  be repeated are lists with commas. LOG_LEVEL and CONNECTION_TIMEOUT (seconds) are read too.
`)
}

func writeCommandHelp(w io.Writer, cmd *cobra.Command, s *settings) {
	switch cmd.Name() {
	case "check":
		fmt.Fprintf(w, "%s.\n\nUsage:\n  mcpo check [flags] --config FILE\n  mcpo check [flags] -- COMMAND [ARGS...]\n", cmd.Short)
		writeFlags(w, s)
	default:
		fmt.Fprintf(w, "%s.\n\nUsage:\n  mcpo %s\n", cmd.Short, cmd.Use)
	}
}

func writeFlags(w io.Writer, s *settings) {
	for _, g := range s.groups {
		fmt.Fprintf(w, "\n%s:\n", g.title)
		g.flags.VisitAll(func(f *pflag.Flag) { writeFlag(w, f) })
	}
}

// writeFlag explains one flag in one line.
func writeFlag(w io.Writer, f *pflag.Flag) {
	spelling := "    --" + f.Name
	if f.Shorthand != "" {
		spelling = "-" + f.Shorthand + ", --" + f.Name
	}
	if f.NoOptDefVal == "" {
		spelling += " " + f.Value.Type()
	}
	usage := f.Usage
	if f.DefValue != "" && f.DefValue != "false" {
		usage += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(w, "  %-32s  %s\n", spelling, usage)
}
