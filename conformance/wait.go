package conformance

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitPidfd reaps the process that the pidfd refers to, if it is a child of this one.
func waitPidfd(fd int, info *unix.Siginfo) error {
	return unix.Waitid(unix.P_PIDFD, fd, info, unix.WEXITED|unix.WNOHANG, nil)
}

// exitStatus decodes a SIGCHLD siginfo: si_status is the third field of the
// union, after pid and uid (sigaction(2)); the union starts at offset 16 on 64-bit machines.
func exitStatus(info *unix.Siginfo) *ExitStatus {
	status := int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 24)))
	const exited = 1 // CLD_EXITED
	if info.Code == exited {
		return &ExitStatus{Known: true, Code: status}
	}
	return &ExitStatus{Known: true, Code: -1, Signal: status}
}
