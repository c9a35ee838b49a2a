//go:build unix

package wire

import (
	"os"
	"syscall"
)

// terminateGroup asks the process and all its descendants that stayed in its
// group to end.
func terminateGroup(p *os.Process) { signalGroup(p, syscall.SIGTERM) }

// killGroup ends them at once. It is used after the leader was reaped, too:
// the group keeps the leader's id reserved while it has a member, and without
// members the signal meets nobody.
func killGroup(p *os.Process) { signalGroup(p, syscall.SIGKILL) }

func signalGroup(p *os.Process, sig syscall.Signal) {
	_ = syscall.Kill(-p.Pid, sig) // ESRCH: all are gone, which is what we want
}
