package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mcpo/internal/app"
	"mcpo/internal/config"
)

// usagef is a command line that was not understood: exit 2, and one line that
// says what to write instead.
func usagef(format string, args ...any) error {
	return &app.ExitError{Code: 2, Err: fmt.Errorf(format, args...)}
}

// failf is a command line that was understood but could not be followed.
func failf(format string, args ...any) error {
	return &app.ExitError{Code: 1, Err: fmt.Errorf(format, args...)}
}

// flagError says what to write in place of a flag that pflag refused.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(cmd, unknown)
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return missingValue(missing.GetFlag())
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("--%s: %w", invalid.GetFlag().Name, errors.Unwrap(invalid))
	}
	if syntax, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		return usagef("%s is not a flag; write: --NAME=VALUE", printable(syntax.GetSpecifiedFlag()))
	}
	return usagef("%w", err)
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		return usagef("no flag %s; all are listed by: %s --help", printable("-"+unknown.GetSpecifiedName()), cmd.CommandPath())
	}
	name := unknown.GetSpecifiedName()
	if positive, ok := strings.CutPrefix(name, "no-"); ok {
		if f := cmd.Flags().Lookup(positive); f != nil && f.NoOptDefVal != "" {
			return usagef("no flag --%s; write: --%s=false", printable(name), positive)
		}
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := nearest(name, append(known, "server-type")); near != "" {
		return usagef("no flag --%s; write: --%s", printable(name), near)
	}
	return usagef("no flag --%s; all are listed by: %s --help", printable(name), cmd.CommandPath())
}

func missingValue(f *pflag.Flag) error {
	switch f.Name {
	case "host":
		return usagef("-h and --host need an address; write: --host ADDRESS, or for help: mcpo --help")
	case "version":
		return usagef("-v and --version set the version of the served document; write: --version TEXT, or for mcpo's own: mcpo version")
	}
	return usagef("--%s needs a value; write: --%[1]s %s", f.Name, f.Value.Type())
}

// nothingBeforeDash refuses words that stand where only flags may stand.
func nothingBeforeDash(cmd *cobra.Command, args []string) error {
	words := args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		words = args[:dash]
	}
	if len(words) == 0 {
		return nil
	}
	line := cmd.CommandPath()
	if cmd.Flags().NFlag() > 0 {
		line += " [flags]"
	}
	first := printable(words[0])
	switch near := nearest(words[0], commandNames(cmd)); {
	case near != "":
		return usagef("no command %s; write: mcpo %s", first, near)
	case len(words) == 1 && strings.HasSuffix(words[0], ".json"):
		return usagef("a configuration file needs its flag; write: %s --config %s", line, first)
	case strings.HasPrefix(words[0], "http://") || strings.HasPrefix(words[0], "https://"):
		return usagef("a URL follows --; write: %s --type streamable-http -- %s", line, first)
	case len(words) == 1:
		return usagef("a command follows --; write: %s -- %s", line, first)
	case len(words) == 2:
		return usagef("a command follows --; write: %s -- %s %s", line, first, printable(words[1]))
	}
	// The rest may hold secrets, and whoever wrote it knows it.
	return usagef("a command follows --; write: %s -- %s %s ...", line, first, printable(words[1]))
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usagef("%s takes no arguments; write: %[1]s", cmd.CommandPath())
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return names
}

// printable is text as it can be shown in one line.
func printable(text string) string {
	if quoted := strconv.Quote(text); quoted[1:len(quoted)-1] != text || strings.ContainsAny(text, " ") || text == "" {
		return quoted
	}
	return text
}

// nearest is the candidate that most likely was meant by word, empty when none
// is near. No name of ours comes near to a word of more than 64 bytes.
func nearest(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	best, bestDistance := "", min(2, len(word)/2)+1
	for _, c := range candidates {
		if d := config.EditDistance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}
