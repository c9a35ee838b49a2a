// Command mcpo serves MCP servers as OpenAPI.
//
// The walk of a command line: the words and the environment become settings
// (flags.go, environ.go), settings are checked and become app.Options
// (options.go), signals become a context and a reload channel, and the error
// that app.Run returns becomes one message and an exit status: 0 when all went
// well, 1 when the configuration or a server did not, 2 when the command line
// was not understood.
//
// The package owns how mcpo is spoken to from a shell, and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"mcpo/internal/app"
)

// gcPercent lets the heap grow to four times what lives in it. That is little,
// and each call leaves some kilobytes of garbage.
const gcPercent = 300

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// The first signal ends ctx, which is the orderly way out. From then on
	// nobody listens any more, so that a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)

	p := &program{
		env:    os.LookupEnv,
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		serve:  serveUntilSignalled,
		check:  app.Check,
		logins: loginCommands{login: app.Login, logout: app.Logout, logoutUser: app.LogoutUser, tokens: app.Tokens, doctor: app.Doctor},
		stores: storeCommands{migrate: app.MigrateStore, keys: app.StoreKeys},
		person: terminal,
	}
	os.Exit(exitStatus(p.run(ctx, os.Args[1:]), os.Stderr))
}

// serveUntilSignalled runs the application. SIGHUP reloads the configuration
// file and opens the audit log anew; where there is neither it keeps its usual
// meaning, so that a single server still ends with the terminal it was started in.
func serveUntilSignalled(ctx context.Context, o app.Options) error {
	if o.ConfigPath != "" || o.AuditLog != "" {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		o.Reload = hangups(ctx)
		return app.Run(ctx, o)
	}
	return app.Run(ctx, o)
}

// hangups gives one value for every SIGHUP until ctx ends; those that arrive
// while one is still waiting to be taken are one with it.
func hangups(ctx context.Context) <-chan struct{} {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	reload := make(chan struct{})
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case <-ctx.Done():
				return
			case reload <- struct{}{}:
			}
		}
	}()
	return reload
}

// exitStatus tells what err says, if anything, line by line, and gives the
// status to exit with.
func exitStatus(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	code := 1
	if exit, ok := errors.AsType[*app.ExitError](err); ok {
		if code = exit.Code; exit.Err == nil {
			return code
		}
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "mcpo: %s\n", app.OneLine(strings.TrimRight(line, "\n")))
	}
	return code
}
