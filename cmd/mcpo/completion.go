package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// completionShells lists the shells for which there is a completion script.
func completionShells() []string { return []string{"bash", "zsh", "fish", "powershell"} }

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print the completion script for bash, zsh, fish or powershell",
		ValidArgs: completionShells(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("one shell is needed; write: mcpo completion %s", strings.Join(completionShells(), "|"))
			}
			return showCompletion(cmd.Root(), args[0], cmd.OutOrStdout())
		},
	}
}

// showCompletion writes the completion script for shell.
func showCompletion(root *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	case "powershell", "pwsh":
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return unknownShell(shell)
}

// explainCompletion writes how to install completion for shell. Files that
// belong to the user are left to the user.
func explainCompletion(shell string, w io.Writer) error {
	line := ""
	switch shell {
	case "bash":
		line = "add to ~/.bashrc, with the package bash-completion installed:  source <(mcpo completion bash)"
	case "zsh":
		line = "add to ~/.zshrc, behind compinit:  source <(mcpo completion zsh)"
	case "fish":
		line = "run once:  mcpo completion fish > ~/.config/fish/completions/mcpo.fish"
	case "powershell", "pwsh":
		line = "add to $PROFILE:  mcpo completion powershell | Out-String | Invoke-Expression"
	default:
		return unknownShell(shell)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

func unknownShell(shell string) error {
	shells := strings.Join(completionShells(), "|")
	if shell == "" {
		return usagef("$SHELL does not name your shell; write: mcpo completion %s", shells)
	}
	return usagef("no completion for %s; write: mcpo completion %s", printable(shell), shells)
}

// completeValues offers the values of flags that have few.
func completeValues(cmd *cobra.Command) {
	for name, values := range map[string][]string{
		"type":       {"stdio", "sse", "streamable-http"},
		"log-level":  {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"},
		"log-format": {"text", "json"},
	} {
		// It fails for unknown flags and for a second registration only.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	_ = cmd.MarkFlagFilename("config", "json", "jsonc")
}
