// Package kernel is the runtime's one door to system calls that the standard library does not offer. Its functions take
// and give plain values and the kernel's own errnos; what they mean is the callers' business.
package kernel

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// PidfdOpen refers to a process by a descriptor, so that its pid can be given away without harm (pidfd_open(2)).
func PidfdOpen(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

// PidfdSendSignal signals exactly the process that the descriptor refers to.
func PidfdSendSignal(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

// PidfdGetfd takes a copy of another process's descriptor; it closes on exec (pidfd_getfd(2)).
func PidfdGetfd(pidfd, fd int) (int, error) { return unix.PidfdGetfd(pidfd, fd, 0) }

// PidfdWait waits until the process has ended, or for a number of milliseconds; negative means for ever.
func PidfdWait(pidfd, milliseconds int) (ended bool, err error) {
	return poll(pidfd, milliseconds)
}

func poll(fd, milliseconds int) (bool, error) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, milliseconds)
		if err != unix.EINTR {
			return n > 0, err
		}
	}
}

// PollEither waits until one of two descriptors is readable, and says whether the first is.
func PollEither(first, second int) (bool, error) {
	p := []unix.PollFd{{Fd: int32(first), Events: unix.POLLIN}, {Fd: int32(second), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(p, -1); err != unix.EINTR {
			return p[0].Revents != 0, err
		}
	}
}

// Readable says whether a read would find something at once.
func Readable(fd int) (bool, error) { return poll(fd, 0) }

// Prlimit sets a resource limit of a process (prlimit(2)).
func Prlimit(pid, resource int, soft, hard uint64) error {
	return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: soft, Max: hard}, nil)
}

// Rlimit reads the caller's own limit.
func Rlimit(resource int) (soft, hard uint64, err error) {
	var r unix.Rlimit
	err = unix.Prlimit(0, resource, nil, &r)
	return r.Cur, r.Max, err
}

// Capabilities are the caller's permitted and bounding sets, as bits.
func Capabilities(last int) (permitted, bounding uint64, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, 0, err
	}
	for c := 0; c <= last; c++ {
		if r, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); r == 1 {
			bounding |= 1 << c
		}
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, bounding, nil
}

// Subreaper makes the caller the parent of orphans below it, and says so to nobody else (PR_SET_CHILD_SUBREAPER).
func Subreaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// Memory is an unnamed file in memory with the given content, to be read from its beginning. It closes on exec.
func Memory(name string, content []byte) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	for off := 0; off < len(content); {
		n, err := unix.Pwrite(fd, content[off:], int64(off))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		off += n
	}
	return fd, nil
}

// MemoryTail reads at most the last n bytes of a file.
func MemoryTail(fd, n int) string {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return ""
	}
	b := make([]byte, min(int64(n), st.Size))
	k, err := unix.Pread(fd, b, st.Size-int64(len(b)))
	if err != nil {
		return ""
	}
	return string(b[:k])
}

// MoveAbove gives a descriptor a number that is at least n: those below are about to be given away in a child. On failure
// the descriptor stays as it is.
func MoveAbove(fd, n int) (int, error) {
	if fd >= n {
		return fd, nil
	}
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, n)
	if err != nil {
		return fd, fmt.Errorf("cannot duplicate a descriptor: %w", err)
	}
	unix.Close(fd)
	return moved, nil
}

// Inherited says whether a descriptor came from whoever executed this program: it is open, and not one of the program's own, which
// all close on exec. Only such a one may be given away by its number.
func Inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// KeepFromChildren marks every descriptor above the standard streams to be closed by execve. What the caller of this program left
// open is none of its children's business (CVE-2024-21626).
func KeepFromChildren() error {
	const first = 3
	err := unix.CloseRange(first, ^uint(0)>>33, unix.CLOSE_RANGE_CLOEXEC)
	if err != unix.ENOSYS && err != unix.EINVAL { // EINVAL: before Linux 5.11
		return err
	}
	names, err := os.ReadDir("/proc/self/fd")
	for _, name := range names {
		if fd, _ := strconv.Atoi(name.Name()); fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return err
}
