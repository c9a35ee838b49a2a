package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/cli/browser"
	"golang.org/x/term"

	"mcpo/internal/app"
)

// terminal is the person who typed the command line: there is one when mcpo was
// started in a terminal. A browser is opened there, and elsewhere where BROWSER
// asks for one.
func terminal(env lookup) app.Terminal {
	t := app.Terminal{Out: os.Stderr}
	interactive := term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
	if interactive {
		t.In = os.Stdin
	}
	programs, _ := env("BROWSER")
	switch {
	case programs != "":
		t.Browse = func(url string) error { return browseWith(programs, url) }
	case interactive:
		browser.Stdout, browser.Stderr = io.Discard, io.Discard
		t.Browse = browser.OpenURL
	}
	return t
}

// browseWith opens a page with the first program of a list that can be started,
// as BROWSER names them: between colons (between semicolons on Windows), with
// words after a program, of which %s stands for the page.
func browseWith(programs, url string) error {
	failed := errors.New("BROWSER names no program")
	for program := range strings.SplitSeq(programs, string(os.PathListSeparator)) {
		words := strings.Fields(program)
		if len(words) == 0 {
			continue
		}
		named := false
		for i, word := range words {
			if i > 0 && strings.Contains(word, "%s") {
				words[i], named = strings.ReplaceAll(word, "%s", url), true
			}
		}
		if !named {
			words = append(words, url)
		}
		cmd := exec.Command(words[0], words[1:]...)
		if failed = cmd.Start(); failed == nil {
			go func() { _ = cmd.Wait() }()
			return nil
		}
	}
	return failed
}
