package wire

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// ownGroup keeps a Ctrl-C in mcpo's console from reaching the child first.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// terminateGroup and killGroup end the process with its descendants. Windows
// has no request to end that console programs would hear.
func terminateGroup(p *os.Process) { killGroup(p) }

func killGroup(p *os.Process) {
	_ = exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(p.Pid)).Run()
}

// widenPipe does nothing: pipes have one size here.
func widenPipe(*os.File) {}
