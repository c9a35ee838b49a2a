package main

import (
	"context"
	"fmt"
	"io"
	"path"

	"github.com/spf13/cobra"

	"mcpo/internal/app"
)

// lookup finds an environment variable, as os.LookupEnv does.
type lookup func(name string) (string, bool)

// program is one invocation of mcpo and the world it sees.
type program struct {
	env            lookup
	stdin          io.Reader
	stdout, stderr io.Writer
	serve          func(context.Context, app.Options) error
	check          func(context.Context, app.Options, io.Writer) error
	logins         loginCommands
	stores         storeCommands
	person         func(lookup) app.Terminal
}

// run does what args, without the name of the program, ask for.
func (p *program) run(ctx context.Context, args []string) error {
	root := p.commands()
	// A nil slice would make cobra take the arguments of the process.
	root.SetArgs(append([]string{}, args...))
	return root.ExecuteContext(ctx)
}

// commands builds the tree of commands. The same flags belong to serving, to
// checking and to logins, so that a line that serves becomes another by one word.
func (p *program) commands() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{
		Use:           "mcpo",
		Short:         "Serve MCP servers as OpenAPI",
		Args:          nothingBeforeDash,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, args []string) error { return p.runServe(cmd, s, args) },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(flagError)
	check := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration, connect to every server, print what was found",
		Args:  nothingBeforeDash,
		RunE:  func(cmd *cobra.Command, args []string) error { return p.runCheck(cmd, s, args) },
	}
	s.addTo(root)
	s.addTo(check)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd, s) })
	// What follows the first word that is no flag is not for mcpo to understand:
	// it is most likely a command whose -- was forgotten.
	root.Flags().SetInterspersed(false)
	root.AddCommand(check, versionCommand(), completionCommand())
	p.addLoginCommands(root, s)
	p.addStoreCommands(root, s)
	root.SetHelpCommand(helpCommand(root))
	return root
}

// runServe is mcpo without a subcommand.
func (p *program) runServe(cmd *cobra.Command, s *settings, command []string) error {
	if err := fromEnvironment(cmd.Flags(), p.env); err != nil {
		return err
	}
	switch {
	case s.showCompletion:
		return showCompletion(cmd.Root(), p.shell(), p.stdout)
	case s.installCompletion:
		return explainCompletion(p.shell(), p.stdout)
	case s.configPath == "" && len(command) == 0:
		// Said on stdout and with this status since the first mcpo.
		fmt.Fprintln(p.stdout, "Usage: mcpo --host 0.0.0.0 --port 8000 -- your_mcp_command")
		return &app.ExitError{Code: 1}
	}
	o, err := s.options(command, p.env)
	if err != nil {
		return err
	}
	log := newLogWriter(p.stderr)
	defer log.Close()
	o.Log = newLogger(log, s.logLevel, s.logFormat)
	o.Terminal = p.person(p.env)
	return p.serve(cmd.Context(), o)
}

// runCheck is mcpo check.
func (p *program) runCheck(cmd *cobra.Command, s *settings, command []string) error {
	if err := fromEnvironment(cmd.Flags(), p.env); err != nil {
		return err
	}
	if s.configPath == "" && len(command) == 0 {
		return usagef("nothing to check; write: mcpo check --config FILE")
	}
	o, err := s.options(command, p.env)
	if err != nil {
		return err
	}
	o.Log = newLogger(p.stderr, s.logLevel, s.logFormat)
	return p.check(cmd.Context(), o, p.stdout)
}

// shell is the name of the user's shell, empty when unknown.
func (p *program) shell() string {
	shell, _ := p.env("SHELL")
	if shell == "" {
		return ""
	}
	return path.Base(shell)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of mcpo",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return err
		},
	}
}

func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain mcpo or one of its commands",
		RunE: func(_ *cobra.Command, args []string) error {
			topic, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("no help on %s; write: mcpo help", printable(args[0]))
			}
			return topic.Help()
		},
	}
}
