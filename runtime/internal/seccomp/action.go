package seccomp

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// What a filter returns (linux/seccomp.h); the lower 16 bits of some carry an error number.
const (
	killProcess = 0x80000000
	killThread  = 0x00000000
	trap        = 0x00030000
	errno       = 0x00050000
	notify      = 0x7fc00000
	trace       = 0x7ff00000
	log         = 0x7ffc0000
	allow       = 0x7fff0000
)

// Error numbers that the filter itself chooses, the same on all architectures.
const (
	eperm  = 1
	enosys = 38
)

// returnOf is the value that a filter returns for an action. Without a number of its own ERRNO and TRACE carry EPERM
// (config-linux.md, "errnoRet").
func returnOf(action specs.LinuxSeccompAction, number *uint) (uint32, error) {
	switch action {
	case specs.ActKill, specs.ActKillThread:
		return killThread, nil
	case specs.ActKillProcess:
		return killProcess, nil
	case specs.ActTrap:
		return trap, nil
	case specs.ActErrno:
		return errno | numberOr(number, eperm), nil
	case specs.ActTrace:
		return trace | numberOr(number, eperm), nil
	case specs.ActAllow:
		return allow, nil
	case specs.ActLog:
		return log, nil
	case specs.ActNotify:
		return notify, nil
	}
	return 0, fmt.Errorf("%q is no action", action)
}

func numberOr(n *uint, fallback uint32) uint32 {
	if n == nil {
		return fallback
	}
	return uint32(*n) & 0xffff
}

// permits says that a default action lets calls through, which then fail by themselves where the kernel lacks them. A
// tracer counts as permitting: it is there to deal with calls (as in runc).
func permits(value uint32) bool {
	switch value &^ 0xffff {
	case allow, log, trace:
		return true
	}
	return false
}

// Flags of seccomp(2) (linux/seccomp.h).
const (
	flagLog          = 1 << 1
	flagSpecAllow    = 1 << 2
	flagNewListener  = 1 << 3
	flagWaitKillable = 1 << 5
)

// flagsOf are the flags for seccomp(2). TSYNC is accepted and means nothing: the process has one thread when the filter
// comes. A profile that does not speak of flags gets SPEC_ALLOW, as from runc: the mitigation that the flag turns off costs
// much and guards against nothing that the kernel does not guard against by other means.
func flagsOf(profile *specs.LinuxSeccomp, listener bool) (flags uint64, err error) {
	if profile.Flags == nil {
		flags = flagSpecAllow
	}
	for i, word := range profile.Flags {
		switch word {
		case "SECCOMP_FILTER_FLAG_TSYNC":
		case specs.LinuxSeccompFlagLog:
			flags |= flagLog
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= flagSpecAllow
		case specs.LinuxSeccompFlagWaitKillableRecv:
			if !listener {
				return 0, fmt.Errorf("linux.seccomp.flags[%d]: %s is for a profile with SCMP_ACT_NOTIFY, and this one has none", i, word)
			}
			flags |= flagWaitKillable
		default:
			return 0, fmt.Errorf("linux.seccomp.flags[%d]: %q is no flag", i, word)
		}
	}
	if listener {
		flags |= flagNewListener
	}
	return flags, nil
}
