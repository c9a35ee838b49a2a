package wire

import "syscall"

// ownGroup puts the child into a process group of its own, so that it and its
// descendants can be ended together, and lets the kernel kill it when mcpo
// itself is killed. (The parent-death signal is tied to the thread that forked;
// the Go runtime ends threads only when a goroutine locked to one returns,
// which nothing here does.)
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
