package main

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// maxSignal is the last of Linux's signals, SIGRTMAX; minRealtime is what the C library calls SIGRTMIN, since it keeps the
// two before for itself (signal(7)).
const (
	minRealtime = 34
	maxSignal   = 64
)

// signalNames are the names of signal(7) with the numbers of amd64 and arm64, which agree.
var signalNames = [...]struct {
	name   string
	number syscall.Signal
}{
	{"HUP", syscall.SIGHUP}, {"INT", syscall.SIGINT}, {"QUIT", syscall.SIGQUIT}, {"ILL", syscall.SIGILL},
	{"TRAP", syscall.SIGTRAP}, {"ABRT", syscall.SIGABRT}, {"IOT", syscall.SIGIOT}, {"BUS", syscall.SIGBUS},
	{"FPE", syscall.SIGFPE}, {"KILL", syscall.SIGKILL}, {"USR1", syscall.SIGUSR1}, {"SEGV", syscall.SIGSEGV},
	{"USR2", syscall.SIGUSR2}, {"PIPE", syscall.SIGPIPE}, {"ALRM", syscall.SIGALRM}, {"TERM", syscall.SIGTERM},
	{"STKFLT", syscall.SIGSTKFLT}, {"CHLD", syscall.SIGCHLD}, {"CLD", syscall.SIGCHLD}, {"CONT", syscall.SIGCONT},
	{"STOP", syscall.SIGSTOP}, {"TSTP", syscall.SIGTSTP}, {"TTIN", syscall.SIGTTIN}, {"TTOU", syscall.SIGTTOU},
	{"URG", syscall.SIGURG}, {"XCPU", syscall.SIGXCPU}, {"XFSZ", syscall.SIGXFSZ}, {"VTALRM", syscall.SIGVTALRM},
	{"PROF", syscall.SIGPROF}, {"WINCH", syscall.SIGWINCH}, {"IO", syscall.SIGIO}, {"POLL", syscall.SIGIO},
	{"PWR", syscall.SIGPWR}, {"SYS", syscall.SIGSYS}, {"RTMIN", minRealtime}, {"RTMAX", maxSignal},
}

// parseSignal reads a signal as people write it: 9, -9, KILL, SIGKILL, sigkill, RTMIN+3, SIGRTMAX-1. 0 asks only whether the
// process is there.
func parseSignal(s string) (int, error) {
	if n, err := strconv.Atoi(strings.TrimPrefix(s, "-")); err == nil {
		if n < 0 || n > maxSignal {
			return 0, fmt.Errorf("unknown signal %q: signals go from 1 to %d", s, maxSignal)
		}
		return n, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n, ok := realtimeSignal(name); ok {
		return n, nil
	}
	for _, known := range signalNames {
		if known.name == name {
			return int(known.number), nil
		}
	}
	return 0, fmt.Errorf("unknown signal %q; signals have names such as KILL and TERM, or numbers", s)
}

// realtimeSignal reads RTMIN+N and RTMAX-N.
func realtimeSignal(name string) (int, bool) {
	base, sign := minRealtime, 1
	offset, ok := strings.CutPrefix(name, "RTMIN+")
	if !ok {
		base, sign = maxSignal, -1
		if offset, ok = strings.CutPrefix(name, "RTMAX-"); !ok {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(offset, 10, 8)
	number := base + sign*int(n)
	return number, err == nil && number >= minRealtime && number <= maxSignal
}
