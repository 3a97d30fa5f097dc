package container

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/seccomp/dockerprofile"
)

// caller is a static program of one thread that makes one system call, and exits with its error number, or with 255 if the
// call is getpid and succeeds. A test binary cannot do that: SCMP_ACT_KILL would end one of its threads and leave the others.
func caller(entry string, number uint32) []byte {
	var code []byte
	word := func(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
	switch {
	case goruntime.GOARCH == "arm64":
		for _, in := range []uint32{0xd2800008 | number<<5, 0xd4000001, 0xcb0003e0, 0xd2800008 | 93<<5, 0xd4000001} {
			code = append(code, word(in)...)
		}
	default:
		trap := []byte{0x0f, 0x05} // syscall
		if entry == "int 0x80" {
			trap = []byte{0xcd, 0x80}
		}
		code = append(append([]byte{0xb8}, word(number)...), trap...)
		code = append(code, 0xf7, 0xd8, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05) // neg eax; mov edi, eax; exit
	}
	return image(code)
}

// image wraps code into the smallest ELF file that the kernel runs.
func image(code []byte) []byte {
	const base, head = 0x400000, 64 + 56
	machine := uint16(62)
	if goruntime.GOARCH == "arm64" {
		machine = 183
	}
	le := binary.LittleEndian
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	b = le.AppendUint16(le.AppendUint16(b, 2), machine)
	b = le.AppendUint64(le.AppendUint32(b, 1), base+head)
	b = le.AppendUint64(le.AppendUint64(b, 64), 0)
	for _, v := range []uint16{0, 0, 64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(le.AppendUint32(b, 1), 5)
	for _, v := range []uint64{0, base, base, head + uint64(len(code)), head + uint64(len(code)), 0x10000} {
		b = le.AppendUint64(b, v)
	}
	return append(b, code...)
}

// filtered makes a bundle whose program is the caller, under a profile.
func filtered(t *testing.T, profile *specs.LinuxSeccomp, program []byte, change func(*specs.Spec)) string {
	t.Helper()
	dir := bundle(t, func(c *specs.Spec) {
		c.Process.Args = []string{"/caller"}
		c.Linux.Seccomp = profile
		if change != nil {
			change(c)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "rootfs/caller"), program, 0755); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	succeeded = 255 // of getpid: minus one, since it is the first process
	killed    = 128 + int(syscall.SIGSYS)
	x32       = 0x40000000
)

func on(name string, action specs.LinuxSeccompAction, number ...uint) *specs.LinuxSeccomp {
	s := specs.LinuxSyscall{Names: []string{name}, Action: action}
	if number != nil {
		s.ErrnoRet = &number[0]
	}
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{s}}
}

func TestEveryActionHasItsEffect(t *testing.T) {
	asRoot(t)
	for _, c := range []struct {
		profile *specs.LinuxSeccomp
		want    int
	}{
		{nil, succeeded},
		{on("gettid", specs.ActErrno), succeeded},
		{on("getpid", specs.ActErrno), int(syscall.EPERM)},
		{on("getpid", specs.ActErrno, 77), 77},
		{on("getpid", specs.ActLog), succeeded},
		{on("getpid", specs.ActKill), killed},
		{on("getpid", specs.ActKillThread), killed},
		{on("getpid", specs.ActKillProcess), killed},
		{on("getpid", specs.ActTrap), killed},
		{on("getpid", specs.ActTrace), int(syscall.ENOSYS)}, // there is no tracer
	} {
		if _, got := output(t, filtered(t, c.profile, caller("", syscall.SYS_GETPID), nil)); got != c.want {
			t.Errorf("%+v: exit %d, want %d", c.profile, got, c.want)
		}
	}
}

func TestFiltersFlagsAreTaken(t *testing.T) {
	asRoot(t)
	p := on("getpid", specs.ActErrno, 77)
	p.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}
	if _, got := output(t, filtered(t, p, caller("", syscall.SYS_GETPID), nil)); got != 77 {
		t.Errorf("exit %d", got)
	}
}

// A filter on x86-64's numbers must not be passed by calling as x32 or through the 32-bit entry.
func TestOtherArchitecturesAreNoWayAround(t *testing.T) {
	asRoot(t)
	if goruntime.GOARCH != "amd64" {
		t.Skip("needs amd64: arm64 needs another program for its 32-bit calls")
	}
	const getpid386 = 20
	native := on("getpid", specs.ActErrno, 77)
	both := on("getpid", specs.ActErrno, 77)
	both.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	for _, c := range []struct {
		profile *specs.LinuxSeccomp
		entry   string
		number  uint32
		want    int
	}{
		{native, "int 0x80", getpid386, killed},
		{native, "syscall", x32 | syscall.SYS_GETPID, killed},
		{both, "int 0x80", getpid386, 77},
		{both, "syscall", x32 | syscall.SYS_GETPID, 77},
		{both, "syscall", syscall.SYS_GETPID, 77},
	} {
		t.Run(fmt.Sprintf("%s-%#x-%d", c.entry, c.number, c.want), func(t *testing.T) {
			if c.entry == "int 0x80" {
				if _, got := output(t, filtered(t, nil, caller(c.entry, c.number), nil)); got != succeeded {
					t.Skipf("needs a kernel with 32-bit calls: without a filter one ends with %d", got)
				}
			}
			if _, got := output(t, filtered(t, c.profile, caller(c.entry, c.number), nil)); got != c.want {
				t.Errorf("exit %d", got)
			}
		})
	}
}

func dockers(t *testing.T) *specs.LinuxSeccomp {
	t.Helper()
	p, err := dockerprofile.For(goruntime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDockersProfileForbidsMountAndHidesWhatItDoesNotKnow(t *testing.T) {
	asRoot(t)
	for number, want := range map[uint32]int{syscall.SYS_MOUNT: int(syscall.EPERM), 1000: int(syscall.ENOSYS), syscall.SYS_GETPID: succeeded} {
		if _, got := output(t, filtered(t, dockers(t), caller("", number), nil)); got != want {
			t.Errorf("call %d: exit %d, want %d", number, got, want)
		}
	}
	if _, got := output(t, filtered(t, nil, caller("", syscall.SYS_MOUNT), nil)); got == int(syscall.EPERM) {
		t.Error("mount is forbidden without the profile too")
	}
}

// With no_new_privileges the filter is the last thing before the program, so that it may forbid what the runtime itself needs; without,
// installing it takes a capability, and it comes before they go.
func TestFilterComesWithAndWithoutNoNewPrivileges(t *testing.T) {
	asRoot(t)
	for _, nnp := range []bool{true, false} {
		f := factsOf(t, func(c *specs.Spec) {
			c.Process.NoNewPrivileges = nnp
			c.Process.User.UID = 1000
			c.Process.Capabilities = nil
			c.Linux.Seccomp = dockers(t)
		})
		want := map[bool]string{true: "1", false: "0"}[nnp]
		if f.Status["Seccomp"] != "2" || f.Status["Seccomp_filters"] != "1" || f.Status["NoNewPrivs"] != want || strings.Trim(f.Status["CapEff"], "0") != "" {
			t.Errorf("no_new_privileges %v: Seccomp %s, filters %s, NoNewPrivs %s, CapEff %s", nnp, f.Status["Seccomp"],
				f.Status["Seccomp_filters"], f.Status["NoNewPrivs"], f.Status["CapEff"])
		}
	}
	strict := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"execve", "exit", "getpid", "write", "exit_group"}, Action: specs.ActAllow}}}
	if _, got := output(t, filtered(t, strict, caller("", syscall.SYS_GETPID), nil)); got != succeeded {
		t.Errorf("a filter that allows the program alone: exit %d", got)
	}
	dir := filtered(t, strict, caller("", syscall.SYS_GETPID), func(c *specs.Spec) { c.Process.NoNewPrivileges = false })
	if _, err := runtimeFor(t).Run(unique(t), RunOptions{CreateOptions: CreateOptions{Bundle: dir}}); err == nil {
		t.Error("without no_new_privileges capset was not filtered")
	}
}

func TestExecIsUnderTheFilterToo(t *testing.T) {
	asRoot(t)
	r, id := runtimeFor(t), unique(t)
	p := on("getpid", specs.ActErrno, 77)
	dir := filtered(t, p, caller("", syscall.SYS_GETPID), func(c *specs.Spec) { c.Process.Args = []string{"/probe", "sleep"} })
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	defer r.Delete(id, true)
	if err := r.Start(id); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Exec(id, ExecOptions{Args: []string{"/caller"}}); err != nil || got != 77 {
		t.Errorf("exit %d (%v), want 77", got, err)
	}
}

// agent takes one listener as a seccomp agent does and answers every call with an error number.
type agent struct {
	path  string
	state chan specs.ContainerProcessState
	calls chan notification
}

// notification is struct seccomp_notif, answer struct seccomp_notif_resp (linux/seccomp.h).
type notification struct {
	ID         uint64
	Pid, Flags uint32
	Number     int32
	Arch       uint32
	IP         uint64
	Args       [6]uint64
}

type answer struct {
	ID    uint64
	Val   int64
	Error int32
	Flags uint32
}

func ioctl(fd int, request uintptr, p unsafe.Pointer) syscall.Errno {
	for {
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(p))
		if e != syscall.EINTR {
			return e
		}
	}
}

func listen(t *testing.T, errno int32) *agent {
	t.Helper()
	a := &agent{path: filepath.Join(t.TempDir(), "agent"), state: make(chan specs.ContainerProcessState, 8), calls: make(chan notification, 64)}
	l, err := kernel.Listen(a.path) // not package net's: that would make the probe a dynamic program
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Shutdown(l, syscall.SHUT_RDWR); syscall.Close(l) })
	go func() {
		for {
			conn, _, err := syscall.Accept4(l, syscall.SOCK_CLOEXEC)
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return
			}
			go a.serve(conn, errno)
		}
	}()
	return a
}

func (a *agent) serve(conn int, errno int32) {
	defer syscall.Close(conn)
	text, oob := make([]byte, 16384), make([]byte, 256)
	n, oobn, _, _, err := syscall.Recvmsg(conn, text, oob, syscall.MSG_CMSG_CLOEXEC)
	if err != nil {
		return
	}
	var s specs.ContainerProcessState
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 || json.Unmarshal(text[:n], &s) != nil {
		return
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return
	}
	defer syscall.Close(fds[0])
	a.state <- s
	for {
		const receive, send = 0xc0502100, 0xc0182101
		var call notification
		switch e := ioctl(fds[0], receive, unsafe.Pointer(&call)); {
		case e == syscall.ENOENT && !hungUp(fds[0]): // the caller was interrupted
			continue
		case e != 0:
			return
		}
		a.calls <- call
		ioctl(fds[0], send, unsafe.Pointer(&answer{ID: call.ID, Error: -errno}))
	}
}

// hungUp says that no process has the filter any more: from then on every attempt to receive fails at once with ENOENT.
func hungUp(listener int) bool {
	p := [1]struct {
		fd              int32
		events, revents int16
	}{{fd: int32(listener)}}
	const pollHup = 0x10
	n, _, e := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&syscall.Timespec{})), 0, 0, 0)
	return e == 0 && n == 1 && p[0].revents&pollHup != 0
}

// heard is the one message and the first call that the agent has got.
func (a *agent) heard(t *testing.T) (specs.ContainerProcessState, notification) {
	t.Helper()
	select {
	case s := <-a.state:
		select {
		case c := <-a.calls:
			return s, c
		case <-time.After(30 * time.Second):
			t.Fatal("the agent has heard of no call")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the agent has got no listener")
	}
	panic("unreachable")
}

func (a *agent) profile(name string) *specs.LinuxSeccomp {
	p := on(name, specs.ActNotify)
	p.ListenerPath, p.ListenerMetadata = a.path, "of the test"
	return p
}

// check compares what the agent has heard with what it should have.
func (a *agent) check(t *testing.T, id, bundle string, status specs.ContainerState) specs.ContainerProcessState {
	t.Helper()
	s, c := a.heard(t)
	if c.Number != syscall.SYS_GETPID {
		t.Errorf("the agent heard of call %d", c.Number)
	}
	if len(s.Fds) != 1 || s.Fds[0] != "seccompFd" || s.Metadata != "of the test" || s.Version == "" || s.Pid == 0 ||
		s.State.ID != id || s.State.Bundle != bundle || s.State.Status != status || s.State.Pid == 0 || s.State.Annotations["a"] != "b" {
		t.Errorf("the agent was told %+v", s)
	}
	return s
}

func annotate(c *specs.Spec) { c.Annotations = map[string]string{"a": "b"} }

func TestAgentAnswersForRunStartAndExec(t *testing.T) {
	asRoot(t)
	a := listen(t, 66)
	dir := filtered(t, a.profile("getpid"), caller("", syscall.SYS_GETPID), annotate)
	r, id := runtimeFor(t), unique(t)
	if got, err := r.Run(id, RunOptions{CreateOptions: CreateOptions{Bundle: dir}}); err != nil || got != 66 {
		t.Fatalf("run: exit %d (%v), want the agent's 66", got, err)
	}
	a.check(t, id, dir, specs.StateCreating)
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(id); err != nil {
		t.Fatal(err)
	}
	a.check(t, id, dir, specs.StateCreated)
	if err := r.Delete(id, true); err != nil {
		t.Fatal(err)
	}
	dir = filtered(t, a.profile("getpid"), caller("", syscall.SYS_GETPID), func(c *specs.Spec) {
		annotate(c)
		c.Process.Args = []string{"/probe", "sleep"}
	})
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	defer r.Delete(id, true)
	if err := r.Start(id); err != nil {
		t.Fatal(err)
	}
	<-a.state // the container's own
	for len(a.calls) > 0 {
		<-a.calls
	}
	if got, err := r.Exec(id, ExecOptions{Args: []string{"/caller"}}); err != nil || got != 66 {
		t.Fatalf("exec: exit %d (%v), want the agent's 66", got, err)
	}
	if s := a.check(t, id, dir, specs.StateRunning); s.Pid == s.State.Pid {
		t.Error("exec's process has the pid of the container's first")
	}
}

func TestListenerIsNeverInside(t *testing.T) {
	asRoot(t)
	a := listen(t, 1)
	for _, nnp := range []bool{true, false} {
		p := a.profile("mknodat")
		if host.Probe().Kernel.AtLeast(5, 19) {
			p.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}
		}
		f := factsOf(t, func(c *specs.Spec) { c.Linux.Seccomp, c.Process.NoNewPrivileges = p, nnp })
		if f.Status["Seccomp"] != "2" {
			t.Errorf("Seccomp is %s", f.Status["Seccomp"])
		}
		for _, fd := range f.FDs {
			if strings.Contains(fd, "seccomp") {
				t.Errorf("descriptor %s", fd)
			}
		}
	}
}

func TestNothingRunsWithoutItsAgent(t *testing.T) {
	asRoot(t)
	p := on("getpid", specs.ActNotify)
	p.ListenerPath = filepath.Join(t.TempDir(), "nobody")
	dir := filtered(t, p, caller("", syscall.SYS_GETPID), nil)
	r, id := runtimeFor(t), unique(t)
	if _, err := r.Run(id, RunOptions{CreateOptions: CreateOptions{Bundle: dir}}); !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "linux.seccomp.listenerPath") {
		t.Errorf("run: %v", err)
	}
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(id); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("start: %v", err)
	}
	if err := r.Delete(id, true); err != nil {
		t.Error(err)
	}
}
