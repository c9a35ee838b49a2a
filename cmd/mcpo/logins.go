package main

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"mcpo/internal/app"
	"mcpo/internal/config"
)

// loginCommands are what mcpo does about logins, each given the server, or the
// URL, that its command line names.
type loginCommands struct {
	login, logout, doctor func(ctx context.Context, o app.Options, target string, w io.Writer) error
	// logoutUser is given no server for all of them, and tokens no user for all.
	logoutUser func(ctx context.Context, o app.Options, target, user string, w io.Writer) error
	tokens     func(ctx context.Context, o app.Options, user string, w io.Writer) error
}

// addLoginCommands gives root the commands about logins.
func (p *program) addLoginCommands(root *cobra.Command, s *settings) {
	add := func(use, short string, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
		cmd := &cobra.Command{Use: use, Short: short, RunE: run, ValidArgsFunction: cobra.NoFileCompletions}
		s.addTo(cmd)
		root.AddCommand(cmd)
		return cmd
	}
	add("login SERVER", "Log in at a server of the configuration, in the browser", func(cmd *cobra.Command, args []string) error {
		return p.runLogin(cmd, s, args, p.logins.login)
	})
	logout := add("logout SERVER", "Log out of a server of the configuration, and revoke its tokens", func(cmd *cobra.Command, args []string) error {
		return p.runLogin(cmd, s, args, p.logoutOf(s))
	})
	tokens := add("tokens", "List the logins that are kept, without their tokens", func(cmd *cobra.Command, args []string) error {
		return p.runTokens(cmd, s, args)
	})
	for _, cmd := range []*cobra.Command{logout, tokens} {
		cmd.Flags().Var(value(&s.user, "ID", "", parseUser), "user", "account of Open WebUI, by its id")
	}
	add("doctor URL|SERVER", "Find out what a server's login needs, and what to write into the configuration", func(cmd *cobra.Command, args []string) error {
		return p.runDoctor(cmd, s, args)
	})
}

// logoutOf is what mcpo logout does: for an account if one is named, else for who
// is at this machine.
func (p *program) logoutOf(s *settings) func(context.Context, app.Options, string, io.Writer) error {
	return func(ctx context.Context, o app.Options, target string, w io.Writer) error {
		if s.user != "" {
			return p.logins.logoutUser(ctx, o, target, s.user, w)
		}
		return p.logins.logout(ctx, o, target, w)
	}
}

// runLogin is mcpo login and mcpo logout.
func (p *program) runLogin(cmd *cobra.Command, s *settings, args []string, run func(context.Context, app.Options, string, io.Writer) error) error {
	if err := fromEnvironment(cmd.Flags(), p.env); err != nil {
		return err
	}
	line := cmd.CommandPath() + " SERVER --config FILE"
	switch {
	case cmd.ArgsLenAtDash() >= 0:
		return usagef("nothing follows -- here, as only servers of a configuration have logins; write: %s", line)
	case len(args) > 1:
		return usagef("one server at a time; write: %s", line)
	case len(args) == 1 && strings.HasSuffix(args[0], ".json") && s.configPath == "":
		return usagef("a configuration file needs its flag; write: %s SERVER --config %s", cmd.CommandPath(), printable(args[0]))
	case s.configPath == "":
		return usagef("%s needs a configuration; write: %s", cmd.Name(), line)
	}
	o, err := p.loginOptions(s, nil)
	if err != nil {
		return err
	}
	name := ""
	if len(args) == 1 {
		name = args[0]
	}
	return run(cmd.Context(), o, name, p.stdout)
}

// runTokens is mcpo tokens.
func (p *program) runTokens(cmd *cobra.Command, s *settings, args []string) error {
	if err := fromEnvironment(cmd.Flags(), p.env); err != nil {
		return err
	}
	if len(args) > 0 || cmd.ArgsLenAtDash() >= 0 || s.configPath == "" {
		return usagef("tokens needs a configuration and no more; write: mcpo tokens --config FILE")
	}
	o, err := p.loginOptions(s, nil)
	if err != nil {
		return err
	}
	return p.logins.tokens(cmd.Context(), o, s.user, p.stdout)
}

// runDoctor is mcpo doctor. A URL needs no configuration, even if there is one.
func (p *program) runDoctor(cmd *cobra.Command, s *settings, args []string) error {
	if err := fromEnvironment(cmd.Flags(), p.env); err != nil {
		return err
	}
	if len(args) != 1 && (s.configPath == "" || len(args) > 1) {
		return usagef("one server is needed; write: mcpo doctor URL, or: mcpo doctor SERVER --config FILE")
	}
	target := ""
	if len(args) == 1 {
		target = args[0]
	}
	var command []string
	u, err := url.Parse(target)
	switch {
	case err == nil && isWeb(u):
		s.configPath, command = "", []string{target}
		if s.serverType == config.Stdio {
			s.serverType = config.Auto
		}
	case s.configPath == "":
		return usagef("%s is no such URL; write: mcpo doctor https://HOST/PATH, or: mcpo doctor SERVER --config FILE", printable(target))
	}
	o, err := p.loginOptions(s, command)
	if err != nil {
		return err
	}
	return p.logins.doctor(cmd.Context(), o, target, p.stdout)
}

// loginOptions are the options of a command about logins. Its own words are what
// is to be read, so that only warnings are logged unless the flag says more; and
// whoever types it is there, if only at the other end of a pipe.
func (p *program) loginOptions(s *settings, command []string) (app.Options, error) {
	o, err := s.options(command, p.env)
	if err != nil {
		return o, err
	}
	level := s.logLevel
	if level == slog.LevelInfo {
		level = slog.LevelWarn
	}
	o.Log = newLogger(p.stderr, level, s.logFormat)
	o.Terminal = p.person(p.env)
	if o.Terminal.In == nil {
		o.Terminal.In = p.stdin
	}
	return o, nil
}
