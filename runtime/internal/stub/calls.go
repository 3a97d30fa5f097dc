package stub

import "golang.org/x/sys/unix"

// The system calls that programs use, by this architecture's numbers: only those that amd64 and arm64 both have.
const (
	SysAccept4          = unix.SYS_ACCEPT4
	SysCapset           = unix.SYS_CAPSET
	SysChdir            = unix.SYS_CHDIR
	SysChroot           = unix.SYS_CHROOT
	SysClone            = unix.SYS_CLONE
	SysClose            = unix.SYS_CLOSE
	SysCloseRange       = unix.SYS_CLOSE_RANGE
	SysDup3             = unix.SYS_DUP3
	SysExecve           = unix.SYS_EXECVE
	SysExecveat         = unix.SYS_EXECVEAT
	SysExitGroup        = unix.SYS_EXIT_GROUP
	SysFaccessat        = unix.SYS_FACCESSAT
	SysFchdir           = unix.SYS_FCHDIR
	SysFchmod           = unix.SYS_FCHMOD
	SysFchmodat         = unix.SYS_FCHMODAT
	SysFchown           = unix.SYS_FCHOWN
	SysFchownat         = unix.SYS_FCHOWNAT
	SysFcntl            = unix.SYS_FCNTL
	SysFsconfig         = unix.SYS_FSCONFIG
	SysFsmount          = unix.SYS_FSMOUNT
	SysFsopen           = unix.SYS_FSOPEN
	SysFstat            = unix.SYS_FSTAT
	SysFstatfs          = unix.SYS_FSTATFS
	SysGetcwd           = unix.SYS_GETCWD
	SysGetpid           = unix.SYS_GETPID
	SysIoprioSet        = unix.SYS_IOPRIO_SET
	SysIoctl            = unix.SYS_IOCTL
	SysKeyctl           = unix.SYS_KEYCTL
	SysKill             = unix.SYS_KILL
	SysLinkat           = unix.SYS_LINKAT
	SysMkdirat          = unix.SYS_MKDIRAT
	SysMknodat          = unix.SYS_MKNODAT
	SysMount            = unix.SYS_MOUNT
	SysMountSetattr     = unix.SYS_MOUNT_SETATTR
	SysMoveMount        = unix.SYS_MOVE_MOUNT
	SysOpenTree         = unix.SYS_OPEN_TREE
	SysOpenat           = unix.SYS_OPENAT
	SysOpenat2          = unix.SYS_OPENAT2
	SysPersonality      = unix.SYS_PERSONALITY
	SysPivotRoot        = unix.SYS_PIVOT_ROOT
	SysPpoll            = unix.SYS_PPOLL
	SysPrctl            = unix.SYS_PRCTL
	SysPrlimit          = unix.SYS_PRLIMIT64
	SysRead             = unix.SYS_READ
	SysReadlinkat       = unix.SYS_READLINKAT
	SysRtSigaction      = unix.SYS_RT_SIGACTION
	SysRtSigprocmask    = unix.SYS_RT_SIGPROCMASK
	SysSchedSetaffinity = unix.SYS_SCHED_SETAFFINITY
	SysSchedSetattr     = unix.SYS_SCHED_SETATTR
	SysSeccomp          = unix.SYS_SECCOMP
	SysSetdomainname    = unix.SYS_SETDOMAINNAME
	SysSetgroups        = unix.SYS_SETGROUPS
	SysSethostname      = unix.SYS_SETHOSTNAME
	SysSetMempolicy     = unix.SYS_SET_MEMPOLICY
	SysSetns            = unix.SYS_SETNS
	SysSetresgid        = unix.SYS_SETRESGID
	SysSetresuid        = unix.SYS_SETRESUID
	SysSetsid           = unix.SYS_SETSID
	SysSetsockopt       = unix.SYS_SETSOCKOPT
	SysSocket           = unix.SYS_SOCKET
	SysStatx            = unix.SYS_STATX
	SysSymlinkat        = unix.SYS_SYMLINKAT
	SysUmask            = unix.SYS_UMASK
	SysUmount           = unix.SYS_UMOUNT2
	SysUnlinkat         = unix.SYS_UNLINKAT
	SysUnshare          = unix.SYS_UNSHARE
	SysWait4            = unix.SYS_WAIT4
	SysWrite            = unix.SYS_WRITE
)

// Names of system calls, for plans and messages.
var names = map[uint64]string{
	SysAccept4:          "accept4",
	SysCapset:           "capset",
	SysChdir:            "chdir",
	SysChroot:           "chroot",
	SysClone:            "clone",
	SysClose:            "close",
	SysCloseRange:       "close_range",
	SysDup3:             "dup3",
	SysExecve:           "execve",
	SysExecveat:         "execveat",
	SysExitGroup:        "exit_group",
	SysFaccessat:        "faccessat",
	SysFchdir:           "fchdir",
	SysFchmod:           "fchmod",
	SysFchmodat:         "fchmodat",
	SysFchown:           "fchown",
	SysFchownat:         "fchownat",
	SysFcntl:            "fcntl",
	SysFsconfig:         "fsconfig",
	SysFsmount:          "fsmount",
	SysFsopen:           "fsopen",
	SysFstat:            "fstat",
	SysFstatfs:          "fstatfs",
	SysGetcwd:           "getcwd",
	SysGetpid:           "getpid",
	SysIoprioSet:        "ioprio_set",
	SysIoctl:            "ioctl",
	SysKeyctl:           "keyctl",
	SysKill:             "kill",
	SysLinkat:           "linkat",
	SysMkdirat:          "mkdirat",
	SysMknodat:          "mknodat",
	SysMount:            "mount",
	SysMountSetattr:     "mount_setattr",
	SysMoveMount:        "move_mount",
	SysOpenTree:         "open_tree",
	SysOpenat:           "openat",
	SysOpenat2:          "openat2",
	SysPersonality:      "personality",
	SysPivotRoot:        "pivot_root",
	SysPpoll:            "ppoll",
	SysPrctl:            "prctl",
	SysPrlimit:          "prlimit64",
	SysRead:             "read",
	SysReadlinkat:       "readlinkat",
	SysRtSigaction:      "rt_sigaction",
	SysRtSigprocmask:    "rt_sigprocmask",
	SysSchedSetaffinity: "sched_setaffinity",
	SysSchedSetattr:     "sched_setattr",
	SysSeccomp:          "seccomp",
	SysSetdomainname:    "setdomainname",
	SysSetgroups:        "setgroups",
	SysSethostname:      "sethostname",
	SysSetMempolicy:     "set_mempolicy",
	SysSetns:            "setns",
	SysSetresgid:        "setresgid",
	SysSetresuid:        "setresuid",
	SysSetsid:           "setsid",
	SysSetsockopt:       "setsockopt",
	SysSocket:           "socket",
	SysStatx:            "statx",
	SysSymlinkat:        "symlinkat",
	SysUmask:            "umask",
	SysUmount:           "umount2",
	SysUnlinkat:         "unlinkat",
	SysUnshare:          "unshare",
	SysWait4:            "wait4",
	SysWrite:            "write",
	Test:                "test", Move: "move",
}

// Name is the system call's name as the manual pages have it.
func Name(number uint64) string { return names[number] }
