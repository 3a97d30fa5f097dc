package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Process names a process for good, where a pid alone is used again: the same pid with another start time, or of another
// boot, is another process.
type Process struct {
	Pid   int
	Start uint64 // clock ticks after boot: field 22 of proc_pid_stat(5)
	Boot  string // /proc/sys/kernel/random/boot_id
}

// Life is what has become of a process.
type Life string

// The answers of [Process.Life].
const (
	Alive  Life = "alive"
	Zombie Life = "zombie" // ended, not waited for
	Gone   Life = "gone"
)

// Identify names the running process with this pid.
func Identify(pid int) (Process, error) {
	_, start, err := processStat(pid)
	if err != nil {
		return Process{}, err
	}
	boot, err := bootID()
	if err != nil {
		return Process{}, err
	}
	return Process{Pid: pid, Start: start, Boot: boot}, nil
}

// Life says whether the process is still there. A caller that then acts on it opens a pidfd first and asks again, since
// the pid may change hands in between.
func (p Process) Life() (Life, error) {
	if p.Pid <= 0 {
		return Gone, nil
	}
	if now, err := p.ThisBoot(); err != nil || !now {
		return Gone, err
	}
	state, start, err := processStat(p.Pid)
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH):
		return Gone, nil
	case err != nil:
		return "", err
	case start != p.Start:
		return Gone, nil
	case state == 'Z' || state == 'X':
		return Zombie, nil
	}
	return Alive, nil
}

// ThisBoot says whether the process is of this boot. One of an earlier boot is gone with all that it was in.
func (p Process) ThisBoot() (bool, error) {
	boot, err := bootID()
	return boot == p.Boot, err
}

// bootID tells this boot from all others.
var bootID = sync.OnceValues(func() (string, error) {
	data, err := readProc("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(data), err
})

// processStat reads the state letter and the start time. The command's name stands between parentheses and may hold
// parentheses and spaces itself, so the fields are counted from the last one.
func processStat(pid int) (state byte, start uint64, err error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	data, err := readProc(path)
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(data[strings.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("cannot understand %s: %d fields after the name, 20 at least expected", path, len(fields))
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot understand %s, field 22: %w", path, err)
	}
	return fields[0][0], start, nil
}

// readProc reads a short file of the kernel's in one read, which keeps it from changing in between, and past the poller that
// package os would set up first.
func readProc(path string) (string, error) {
	fd, err := openAt(atCWD, path, syscall.O_RDONLY, 0)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	defer syscall.Close(fd)
	var buffer [2048]byte
	n := 0
	err = retry(func() error {
		n, err = syscall.Read(fd, buffer[:])
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	return string(buffer[:n]), nil
}
