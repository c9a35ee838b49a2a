package main

import (
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// connectionTimeout reads CONNECTION_TIMEOUT, which has no flag. 0 means that
// it is not set.
func connectionTimeout(env lookup) (time.Duration, error) {
	const name = "CONNECTION_TIMEOUT"
	text, _ := env(name)
	if text == "" {
		return 0, nil
	}
	d, err := parsePositiveDuration(text)
	if err != nil {
		return 0, usagef("%s: %w", name, err)
	}
	return d, nil
}

// fromEnvironment sets every flag that was not given from the variable that
// stands for it. An empty variable is one that is not set.
func fromEnvironment(flags *pflag.FlagSet, env lookup) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || failed != nil {
			return
		}
		for _, name := range variables(f.Name) {
			text, _ := env(name)
			if text == "" || isServiceLink(f.Name, text) {
				continue
			}
			if err := setFlag(f, text); err != nil {
				failed = usagef("%s: %w", name, err)
			}
			return
		}
	})
	return failed
}

// setFlag gives f the value text; what can be repeated as a flag is a list with
// commas in a variable.
func setFlag(f *pflag.Flag, text string) error {
	if f.Name != "env" {
		return f.Value.Set(text)
	}
	for pair := range strings.SplitSeq(text, ",") {
		if err := f.Value.Set(strings.TrimSpace(pair)); err != nil {
			return err
		}
	}
	return nil
}

// variables names the environment variables that stand for a flag; the first
// one that is set wins.
func variables(flag string) []string {
	name := "MCPO_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	switch flag {
	case "help", "install-completion", "show-completion":
		return nil
	case "user": // nothing that is just there may choose whose login is removed
		return nil
	case "type":
		return []string{name, "MCPO_SERVER_TYPE"}
	case "log-level":
		return []string{name, "LOG_LEVEL"}
	}
	return []string{name}
}

// isServiceLink tells a port that is meant for mcpo from the variable that
// Kubernetes puts into every pod of a namespace with a service called mcpo:
// MCPO_PORT=tcp://10.0.0.1:80.
func isServiceLink(flag, text string) bool {
	return flag == "port" && strings.Contains(text, "://")
}
