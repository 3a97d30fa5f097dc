package conformance

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

const seccompSection = "configLinuxSeccomp"

// config-linux.md: seccomp. The subject is dup(2) of a descriptor that is not
// open: a rule that matches answers ENOTSOCK, the kernel itself EBADF.
var seccompChecks = about("linux.seccomp", slices.Concat(perOperator(), []Check{
	{Name: "seccomp/errno", Run: seccompErrno, Clause: must("config-linux.md", seccompSection, "action (string, REQUIRED) - the action for seccomp rules")},
	{Name: "seccomp/errno-default-is-eperm", Run: seccompErrnoDefault, Clause: must("config-linux.md", seccompSection, "The default is EPERM")},
	{Name: "seccomp/default-action", Run: seccompDefaultAction, Clause: must("config-linux.md", seccompSection, "defaultAction (string, REQUIRED) - the default action for seccomp")},
	{Name: "seccomp/default-errno", Run: seccompDefaultErrno, Clause: must("config-linux.md", seccompSection, "defaultErrnoRet (uint, OPTIONAL) - the errno return code to use")},
	{Name: "seccomp/kill", Run: func(t *T) { seccompKills(t, specs.ActKillProcess) }, Clause: must("config-linux.md", seccompSection, "SCMP_ACT_KILL_PROCESS")},
	{Name: "seccomp/trap", Run: func(t *T) { seccompKills(t, specs.ActTrap) }, Clause: must("config-linux.md", seccompSection, "SCMP_ACT_TRAP")},
	{Name: "seccomp/log-allows", Run: seccompLog, Clause: must("config-linux.md", seccompSection, "SCMP_ACT_LOG")},
	{Name: "seccomp/unprivileged-user", Run: seccompUser, Clause: must("config-linux.md", seccompSection, "Seccomp configuration allows one to configure actions to take for matched syscalls")},
	{Name: "seccomp/with-no-new-privileges", Run: seccompNoNewPrivs, Clause: must("config-linux.md", seccompSection, "Seccomp configuration allows one to configure actions to take for matched syscalls")},
	{Name: "seccomp/none", Run: seccompNone, Clause: must("config-linux.md", seccompSection, "seccomp (object, OPTIONAL)")},
	{Name: "seccomp/argument-is-64-bit", Run: seccompWide, Clause: must("config-linux.md", seccompSection, "value (uint64, REQUIRED) - the value for syscall arguments in seccomp")},
	{Name: "seccomp/several-arguments-all-match", Run: seccompAll, Clause: must("config-linux.md", seccompSection, "args (array of objects, OPTIONAL) - the specific syscall in seccomp")},
	{Name: "seccomp/unknown-action", Run: func(t *T) {
		seccompRefused(t, func(s *specs.LinuxSeccomp) { s.Syscalls[0].Action = "SCMP_ACT_NO_SUCH" }, "an unknown action")
	}, Clause: must("config.md", "configuration", invalidValues)},
	{Name: "seccomp/unknown-default-action", Run: func(t *T) {
		seccompRefused(t, func(s *specs.LinuxSeccomp) { s.DefaultAction = "SCMP_ACT_NO_SUCH" }, "an unknown default action")
	}, Clause: must("config.md", "configuration", invalidValues)},
	{Name: "seccomp/unknown-architecture", Run: func(t *T) {
		seccompRefused(t, func(s *specs.LinuxSeccomp) { s.Architectures = []specs.Arch{"SCMP_ARCH_NO_SUCH"} }, "an unknown architecture")
	}, Clause: must("config.md", "configuration", invalidValues)},
	{Name: "seccomp/unknown-operator", Run: func(t *T) {
		seccompRefused(t, func(s *specs.LinuxSeccomp) { s.Syscalls[0].Args = []specs.LinuxSeccompArg{{Op: "SCMP_CMP_NO_SUCH"}} }, "an unknown operator")
	}, Clause: must("config.md", "configuration", invalidValues)},
	{Name: "seccomp/unknown-flag", Run: func(t *T) {
		seccompRefused(t, func(s *specs.LinuxSeccomp) { s.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NO_SUCH"} }, "an unknown flag")
	}, Clause: must("config.md", "configuration", invalidValues)},
	{Name: "seccomp/names-empty", Strict: true, Run: func(t *T) {
		seccompRefused(t, func(s *specs.LinuxSeccomp) { s.Syscalls[0].Names = nil }, "a rule without names")
	}, Clause: must("config-linux.md", seccompSection, "names MUST contain at least one entry")},
	{Name: "seccomp/errno-on-other-action", Strict: true, Run: func(t *T) {
		seccompRefused(t, func(s *specs.LinuxSeccomp) { s.Syscalls[0].Action = specs.ActAllow }, "an errno for an action that returns none")
	}, Clause: must("config-linux.md", seccompSection, "When the action doesn't support an errno, the runtime MUST print and error and fail")},
	{Name: "seccomp/metadata-without-listener", Strict: true, Run: func(t *T) {
		seccompRefused(t, func(s *specs.LinuxSeccomp) { s.ListenerMetadata = "data" }, "listenerMetadata without listenerPath")
	}, Clause: must("config-linux.md", seccompSection, "This field MUST NOT be set if listenerPath is not set")},
	{Name: "seccomp/notify/listener-missing", Run: seccompListenerMissing, Clause: must("config-linux.md", seccompSection, "If sending to this socket fails, the runtime MUST generate an error")},
	{Name: "seccomp/notify/process-state", Run: seccompNotify, Needs: []Need{needKernel(5, 0)}, Clause: must("config-linux.md", "containerprocessstate", "The container runtime MUST send the container process state over the UNIX socket as regular payload serialized in JSON and file descriptors MUST be sent using SCM_RIGHTS")},
	{Name: "seccomp/notify/listener-ignored-unless-used", Run: seccompListenerUnused, Clause: must("config-linux.md", seccompSection, "If the SCMP_ACT_NOTIFY action is not used this value is ignored")},
}))

// about says of checks which feature they are about.
func about(feature string, checks []Check) []Check {
	for i := range checks {
		checks[i].Feature = feature
	}
	return checks
}

func dupOf(fd uint64) probe.Op {
	return probe.Op{Do: "syscall", Path: fmt.Sprint(fd), Nums: []uint64{unix.SYS_DUP, fd}}
}

var seccompErrnoRet = uint(unix.ENOTSOCK)

// filtered is a configuration with a rule for dup.
func filtered(config *specs.Spec, args ...specs.LinuxSeccompArg) *specs.Spec {
	config.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"dup"}, Action: specs.ActErrno, ErrnoRet: &seccompErrnoRet, Args: args}},
	}
	return config
}

// answers runs dup over descriptors and returns the errors.
func (t *T) answers(config *specs.Spec, fds ...uint64) []string {
	var ops []probe.Op
	for _, fd := range fds {
		ops = append(ops, dupOf(fd))
	}
	config.Process.Args = probe.Args(ops...)
	var found []string
	results := t.Life(config)
	for _, fd := range fds {
		found = append(found, t.Find(results, "syscall", fmt.Sprint(fd)).Outcome())
	}
	return found
}

// perOperator makes a check for each comparison.
func perOperator() []Check {
	var checks []Check
	for _, operator := range []struct {
		op      specs.LinuxSeccompOperator
		value   uint64
		second  uint64
		matches []uint64 // of 1000, 1001, 1002
	}{
		{specs.OpEqualTo, 1001, 0, []uint64{1001}}, {specs.OpNotEqual, 1001, 0, []uint64{1000, 1002}},
		{specs.OpLessThan, 1001, 0, []uint64{1000}}, {specs.OpLessEqual, 1001, 0, []uint64{1000, 1001}},
		{specs.OpGreaterThan, 1001, 0, []uint64{1002}}, {specs.OpGreaterEqual, 1001, 0, []uint64{1001, 1002}},
		{specs.OpMaskedEqual, 3, 2, []uint64{1002}}, // 1002 & 3 is 2
	} {
		checks = append(checks, Check{
			Name:   "seccomp/operator/" + string(operator.op),
			Clause: must("config-linux.md", seccompSection, string(operator.op)),
			Run: func(t *T) {
				fds := []uint64{1000, 1001, 1002}
				var want []string
				for _, fd := range fds {
					answer := "EBADF"
					if slices.Contains(operator.matches, fd) {
						answer = "ENOTSOCK"
					}
					want = append(want, answer)
				}
				arg := specs.LinuxSeccompArg{Index: 0, Value: operator.value, ValueTwo: operator.second, Op: operator.op}
				EqualLists(t, "the answers for 1000, 1001 and 1002", t.answers(filtered(t.Config(), arg), fds...), want)
			},
		})
	}
	return checks
}

func seccompErrno(t *T) {
	EqualLists(t, "the answer of a filtered system call", t.answers(filtered(t.Config()), 1000), []string{"ENOTSOCK"})
}

func seccompErrnoDefault(t *T) {
	config := filtered(t.Config())
	config.Linux.Seccomp.Syscalls[0].ErrnoRet = nil
	EqualLists(t, "the answer of a rule without errnoRet", t.answers(config, 1000), []string{"EPERM"})
}

// needed are the system calls that the probe and the runtimes make between
// loading the filter and the report.
var needed = []string{
	"access", "arch_prctl", "brk", "capget", "capset", "chdir", "clock_gettime", "clock_nanosleep", "clone", "clone3", "close", "close_range",
	"connect", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fchdir",
	"fchown", "fcntl", "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getegid", "geteuid", "getgid", "getgroups", "getpgid", "getpid", "getppid",
	"getrandom", "getrlimit", "gettid", "getuid", "ioctl", "keyctl", "lseek", "lstat", "madvise", "mmap", "mprotect", "munmap", "nanosleep",
	"newfstatat", "open", "openat", "openat2", "pipe2", "poll", "ppoll", "prctl", "pread64", "prlimit64", "read", "readlink", "readlinkat",
	"recvmsg", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield", "seccomp", "sendmsg",
	"set_robust_list", "set_tid_address", "setgid", "setgroups", "setresgid", "setresuid", "setrlimit", "setsid", "setuid", "sigaltstack", "socket", "stat",
	"statfs", "statx", "tgkill", "umask", "uname", "unlink", "unlinkat", "wait4", "waitid", "write", "writev", "sendto", "recvfrom", "accept4", "accept", "dup3", "sendfile", "getsid", "getpgrp",
	"mount", "umount2", "pivot_root", "chmod", "fchmod", "fchmodat", "chown", "lchown", "fchownat", "mkdir", "mkdirat", "symlink", "symlinkat", "setpgid", "setns", "unshare",
	"sched_setaffinity", "fsync", "getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown", "kill", "tkill", "sysinfo", "select", "pselect6",
	"ftruncate", "memfd_create", "readv", "bind", "listen", "socketpair", "gettimeofday", "time", "sethostname", "setdomainname", "dup2", "truncate", "mknod", "mknodat",
}

func allowList(t *T, errno *uint) *specs.Spec {
	config := t.Config()
	config.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: errno,
		Syscalls: []specs.LinuxSyscall{{Names: needed, Action: specs.ActAllow}},
	}
	return config
}

func seccompDefaultAction(t *T) {
	EqualLists(t, "the answer of a call that no rule names", t.answers(allowList(t, nil), 1000), []string{"EPERM"})
}

func seccompDefaultErrno(t *T) {
	EqualLists(t, "the answer of a call that no rule names", t.answers(allowList(t, &seccompErrnoRet), 1000), []string{"ENOTSOCK"})
}

func seccompKills(t *T, action specs.LinuxSeccompAction) {
	config := filtered(t.Config(probe.Op{Do: "label", Data: "before"}, dupOf(1000), probe.Op{Do: "label", Data: "after"}))
	config.Linux.Seccomp.Syscalls[0].Action, config.Linux.Seccomp.Syscalls[0].ErrnoRet = action, nil
	c := t.Container(config)
	var labels []string
	for _, result := range c.Life() {
		if result.Do == "label" {
			labels = append(labels, result.Label)
		}
	}
	EqualLists(t, "what the program reported around the forbidden call", labels, []string{"before"})
	if status := c.Wait(); status.Known && action == specs.ActKillProcess {
		Equal(t, "the signal that ended the program", status.Signal, int(unix.SIGSYS))
	}
}

func seccompLog(t *T) {
	config := filtered(t.Config())
	config.Linux.Seccomp.Syscalls[0].Action, config.Linux.Seccomp.Syscalls[0].ErrnoRet = specs.ActLog, nil
	EqualLists(t, "the answer of a call that is only logged", t.answers(config, 1000), []string{"EBADF"})
}

func seccompUser(t *T) {
	config := filtered(t.Config())
	config.Process.User = specs.User{UID: 1000, GID: 1000}
	config.Process.Capabilities = &specs.LinuxCapabilities{}
	EqualLists(t, "the answer to a user without capabilities", t.answers(config, 1000), []string{"ENOTSOCK"})
}

func seccompNoNewPrivs(t *T) {
	config := filtered(t.Config())
	config.Process.NoNewPrivileges = true
	EqualLists(t, "the answer with no_new_privs", t.answers(config, 1000), []string{"ENOTSOCK"})
}

func seccompNone(t *T) {
	Equal(t, "the seccomp mode without a profile", t.Facts(t.Config(facts())).Status["Seccomp"], "0")
}

func seccompWide(t *T) {
	arg := specs.LinuxSeccompArg{Index: 0, Value: 1001, Op: specs.OpEqualTo}
	EqualLists(t, "the answers for 1001 and 2^32+1001", t.answers(filtered(t.Config(), arg), 1001, 1<<32+1001), []string{"ENOTSOCK", "EBADF"})
}

func seccompAll(t *T) {
	low := specs.LinuxSeccompArg{Index: 0, Value: 1001, Op: specs.OpEqualTo}
	never := specs.LinuxSeccompArg{Index: 1, Value: 77, Op: specs.OpEqualTo}
	EqualLists(t, "the answer where one of two arguments matches", t.answers(filtered(t.Config(), low, never), 1001), []string{"EBADF"})
}

func seccompRefused(t *T, spoil func(*specs.LinuxSeccomp), what string) {
	config := filtered(t.Config())
	spoil(config.Linux.Seccomp)
	t.RefusedOrNotRun(config, what)
}

// notifying is a configuration whose filter hands dup over to a listener.
func notifying(config *specs.Spec, path string) *specs.Spec {
	filtered(config)
	s := config.Linux.Seccomp
	s.Syscalls[0].Action, s.Syscalls[0].ErrnoRet = specs.ActNotify, nil
	s.ListenerPath, s.ListenerMetadata = path, "opaque data"
	config.Process.NoNewPrivileges = true
	return config
}

func seccompListenerMissing(t *T) {
	t.RefusedOrNotRun(notifying(t.Config(), t.path("no-socket")), "a listenerPath on which nobody listens")
}

func seccompListenerUnused(t *T) {
	config := filtered(t.Config())
	config.Linux.Seccomp.ListenerPath = t.path("no-socket")
	EqualLists(t, "the answer of a filtered system call", t.answers(config, 1000), []string{"ENOTSOCK"})
}

func seccompNotify(t *T) {
	console := t.listenConsole()
	c := t.Container(notifying(t.Config(dupOf(1000)), console.path))
	done := make(chan error, 1)
	go func() {
		err := c.Create()
		if err == nil {
			err = c.Start()
		}
		done <- err
	}()
	var payload []byte
	fds := t.receiveDescriptors(console.listener, &payload)
	defer unix.Close(fds[0])
	go answerNotifications(fds[0])
	select {
	case err := <-done:
		t.Must(err, "create and start a container with a seccomp listener")
	case <-time.After(t.options.Timeout):
		t.Fatalf("create and start did not return")
	}
	c.Wait()
	Equal(t, "the answer of the listener", t.Find(c.Output(), "syscall", "").Outcome(), "ENOTSOCK")
	checkProcessState(t, c, payload)
}

func checkProcessState(t *T, c *Container, payload []byte) {
	var state specs.ContainerProcessState
	if err := json.Unmarshal(payload, &state); err != nil {
		t.Fatalf("the container process state %q is no JSON: %v", payload, err)
	}
	EqualLists(t, "fds", state.Fds, []string{specs.SeccompFdName})
	Equal(t, "metadata", state.Metadata, "opaque data")
	Equal(t, "pid", state.Pid, c.pid)
	Equal(t, "state.id", state.State.ID, c.ID)
	Equal(t, "state.bundle", filepath.Clean(state.State.Bundle), c.Bundle)
	if state.Version == "" {
		t.Errorf("ociVersion is missing")
	}
}

// answerNotifications answers each notification with ENOTSOCK, until the
// listener's other side is gone (seccomp_unotify(2)).
func answerNotifications(fd int) {
	const receive, send = 0xc0502100, 0xc0182101 // SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
	for {
		var request [10]uint64 // struct seccomp_notif, 80 bytes; the id comes first
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), receive, uintptr(unsafe.Pointer(&request)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return
		}
		refusal := -int32(unix.ENOTSOCK)
		response := [3]uint64{request[0], 0, uint64(uint32(refusal))}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), send, uintptr(unsafe.Pointer(&response)))
	}
}
