//go:build unix && !linux

package wire

import (
	"os"
	"syscall"
)

// ownGroup puts the child into a process group of its own, so that it and its
// descendants can be ended together. When mcpo itself is killed, they see the
// end of their standard input.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// widenPipe does nothing: pipes have one size here.
func widenPipe(*os.File) {}
