package internal_test

import (
	"go/ast"
	"go/parser"
	"slices"
	"testing"
)

// TestProgramsAreStartedByFew holds that code which starts a program is where the
// configuration's programs are started, and where the person at the terminal is
// shown a browser, and nowhere that a request reaches otherwise (threats 28).
func TestProgramsAreStartedByFew(t *testing.T) {
	starters := []string{"exec.Command", "exec.CommandContext", "os.StartProcess", "syscall.StartProcess", "syscall.ForkExec", "syscall.Exec",
		"unix.Exec", "browser.OpenURL", "browser.OpenFile", "browser.OpenReader"}
	allowed := []string{"internal/wire/stdio.go", "internal/wire/stdio_windows.go", "cmd/mcpo/terminal.go"}
	found := map[string]bool{}
	for _, f := range sources(t, parser.SkipObjectResolution) {
		if isOutside(f.pkg) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if what, ok := n.(*ast.SelectorExpr); ok && slices.Contains(starters, nameOf(what)) {
				if found[f.path] = true; !slices.Contains(allowed, f.path) {
					t.Errorf("%s: %s is not to be used here", f.position(n), nameOf(what))
				}
			}
			return true
		})
	}
	if len(found) != len(allowed) {
		t.Errorf("programs are started in %v, want all of %v", found, allowed)
	}
}
