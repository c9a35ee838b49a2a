package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// buildVersion is the version of mcpo: the tag that it was built from, or as
// much as the build knows of its commit, or "devel".
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// versionLine is what mcpo version prints.
func versionLine() string {
	return fmt.Sprintf("mcpo %s (%s %s/%s)", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
