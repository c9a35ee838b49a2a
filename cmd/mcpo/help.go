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

// usages are the command lines of the commands that take all flags, and what
// else is to be said of them.
func usages(command string) (lines, more string) {
	switch command {
	case "check":
		return "  mcpo check [flags] --config FILE\n  mcpo check [flags] -- COMMAND [ARGS...]\n", ""
	case "login":
		return "  mcpo login [flags] SERVER --config FILE\n", `
It works beside a running mcpo that keeps its logins in the same folder. Where callers have logins
of their own ("multi_user": true), this one is for who is at this machine; all others connect
through the links that they are shown.
`
	case "logout":
		return "  mcpo logout [flags] SERVER --config FILE\n  mcpo logout [flags] SERVER --user ID --config FILE\n  mcpo logout [flags] --user ID --config FILE\n", `
Where callers have logins of their own ("multi_user": true), this is about the login of who is at
this machine, or with --user about that of an account of Open WebUI, by its id: at one server, or
at all of them when none is named. Whoever can still call can also connect again, so that somebody
who leaves is removed from Open WebUI first.
`
	case "tokens":
		return "  mcpo tokens [flags] --config FILE\n  mcpo tokens [flags] --user ID --config FILE\n", `
With --user only the logins of that account are listed, by its id. A state is valid while the access token is good, renewable when the next call gets a new one, and
expired when a new login is needed.
`
	case "migrate":
		return "  mcpo store migrate [flags] --config FILE --from file --to postgres\n  mcpo store migrate [flags] --config FILE --from postgres --to file\n", `
The storage block of the configuration names both: path, dsn and encryption_key. Stop mcpo first.
Grants, registrations and catalogues of tools are copied; the source stays as it was. What is newer
in the target is kept, unless --overwrite is given, so that the command may be given again.
`
	case "keys":
		return "  mcpo store keys [flags] --config FILE\n", `
It counts the records of the store in use, and shows none. Keys with which no record is sealed can
be taken out of encryption_key, but for the first.
`
	case "store":
		return "  mcpo store migrate [flags] --config FILE --from file --to postgres\n  mcpo store keys [flags] --config FILE\n", ""
	case "doctor":
		return "  mcpo doctor [flags] URL\n  mcpo doctor [flags] SERVER --config FILE\n", `
It asks the server and its authorization server for what they publish. It logs nobody in, and
registers nothing. The exit status is 0 when a login can work, and 1 when not.
`
	}
	return "", ""
}

func writeCommandHelp(w io.Writer, cmd *cobra.Command, s *settings) {
	lines, more := usages(cmd.Name())
	switch {
	case lines != "":
		fmt.Fprintf(w, "%s.\n\nUsage:\n%s%s", cmd.Short, lines, more)
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
