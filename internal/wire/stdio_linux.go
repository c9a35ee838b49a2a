package wire

import (
	"os"
	"syscall"
)

// ownGroup puts the child into a process group of its own, so that it and its
// descendants can be ended together, and lets the kernel kill it when mcpo
// itself is killed. (The parent-death signal is tied to the thread that forked;
// the Go runtime ends threads only when a goroutine locked to one returns,
// which nothing here does.)
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// pipeSize is what a pipe is asked to hold, so that a long reply takes fewer
// turns of writing and reading than with the usual 64 KiB.
const pipeSize = 256 << 10

// widenPipe makes a pipe larger. Where the system does not allow it, the pipe
// works as it is.
func widenPipe(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETPIPE_SZ, pipeSize)
	})
}
