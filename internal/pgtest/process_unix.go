//go:build unix

package pgtest

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// servant is the user that the server runs as when the tests run as root, which
// PostgreSQL refuses; nil otherwise.
func servant() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if errors.Join(uidErr, gidErr) == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

// attributes start a process as the server's user, and out of the reach of what
// a terminal sends to the tests.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: servant()}
}

// giveAway makes a folder the server's.
func giveAway(dir string) error {
	if who := servant(); who != nil {
		return os.Chown(dir, int(who.Uid), int(who.Gid))
	}
	return nil
}

// signalAll halts processes, or lets them go on. Those that ended are none.
func signalAll(pids []int, halt bool) {
	signal := syscall.SIGCONT
	if halt {
		signal = syscall.SIGSTOP
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, signal)
	}
}
