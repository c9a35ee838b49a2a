//go:build unix && !linux

package wire

import "syscall"

// ownGroup puts the child into a process group of its own, so that it and its
// descendants can be ended together. When mcpo itself is killed, they see the
// end of their standard input.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
