package container

import (
	"encoding/json"
	"os"
	"reflect"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/spec"
)

// effect is what the kernel tells a process about itself.
type effect struct {
	Personality  int    // personality(2); 8: PER_LINUX32
	Machine      string // uname(2)
	MemoryMode   int    // get_mempolicy(2)
	MemoryNodes  uint64
	Policy, Nice int // sched_getattr(2)
	IOPriority   int // ioprio_get(2)
	OOMScoreAdj  string
	Umask        int
	Domainname   string
	TimeOffsets  string // timens_offsets of its time namespace, spaces folded
}

// callNumber is a system call's number where package syscall has no name for it.
func callNumber(amd64, arm64 uintptr) uintptr {
	return map[string]uintptr{"amd64": amd64, "arm64": arm64}[goruntime.GOARCH]
}

func effects() (e effect) {
	goruntime.LockOSThread() // the first thread of all: the others inherit from it
	number := func(n uintptr, args ...uintptr) int {
		args = append(args, 0, 0, 0, 0, 0, 0)
		r, _, errno := syscall.Syscall6(n, args[0], args[1], args[2], args[3], args[4], args[5])
		if errno != 0 {
			return -int(errno)
		}
		return int(r)
	}
	e.Personality = number(callNumber(135, 92), 0xffffffff)
	var name syscall.Utsname
	syscall.Uname(&name)
	for _, c := range name.Machine {
		if c == 0 {
			break
		}
		e.Machine += string(rune(byte(c)))
	}
	var mode int32
	nodes := make([]uint64, 16)
	if number(callNumber(239, 236), uintptr(unsafe.Pointer(&mode)), uintptr(unsafe.Pointer(&nodes[0])), 1024) == 0 {
		e.MemoryMode, e.MemoryNodes = int(mode), nodes[0]
	}
	var attr struct {
		size, policy              uint32
		flags                     uint64
		nice                      int32
		priority                  uint32
		runtime, deadline, period uint64
	}
	number(callNumber(315, 275), 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	e.Policy, e.Nice = int(attr.policy), int(attr.nice)
	e.IOPriority = number(callNumber(252, 31), 1, 0) // IOPRIO_WHO_PROCESS
	e.Umask = syscall.Umask(0)
	read := func(name string) string {
		b, _ := os.ReadFile(name)
		return strings.Join(strings.Fields(string(b)), " ")
	}
	e.OOMScoreAdj, e.Domainname, e.TimeOffsets = read("/proc/self/oom_score_adj"), read("/proc/sys/kernel/domainname"), read("/proc/self/timens_offsets")
	return e
}

// TestEffectsHoldForEveryProcess: what the kernel says of the first process and of a further one, for the properties of a process and for
// those of the container that each process must take for itself.
func TestEffectsHoldForEveryProcess(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	umask, score := uint32(0o71), 500
	dir, _ := s.bundle(func(c *specs.Spec) {
		c.Domainname = "dock.example"
		c.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
		c.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "MPOL_BIND", Nodes: "0"}
		c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		c.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1000, Nanosecs: 7}, "boottime": {Secs: 86400}}
		c.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_BATCH", Nice: 5}
		c.Process.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_BE", Priority: 6}
		c.Process.User.Umask, c.Process.OOMScoreAdj = &umask, &score
	}, "effects")
	machine := map[string]string{"amd64": "i686", "arm64": "armv8l"}[goruntime.GOARCH]
	want := effect{8, machine, 2, 1, 3, 5, 2<<13 | 6, "500", 0o71, "dock.example", "monotonic 1000 7 boottime 86400 0"}
	check := func(what, out string, status int, err error) {
		t.Helper()
		var got effect
		if err != nil || status != 0 || json.Unmarshal([]byte(out), &got) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s (%d, %v):\n%+v, want\n%+v", what, status, err, got, want)
		}
	}
	out, status, err := s.run(dir)
	check("the first process", out, status, err)
	id := s.started(s.again(dir, func(c *specs.Spec) { c.Process.Args = []string{"/probe", "sleep"} }))
	out, status, err = s.exec(id, ExecOptions{Args: []string{"/probe", "effects"}})
	check("a further process", out, status, err)
}

// TestExecAffinity: execCPUAffinity.initial holds before the process is in the container's cgroup and after, as far as the group's cpuset lets
// it; final holds from then on (config.md, "execCPUAffinity").
func TestExecAffinity(t *testing.T) {
	asRoot(t)
	if goruntime.NumCPU() < 2 {
		t.Skip("needs two CPUs")
	}
	if !host.Probe().Kernel.AtLeast(6, 2) {
		t.Skip("needs Linux 6.2: before, joining a cpuset forgot a process's own choice of CPUs")
	}
	s := newScene(t)
	dir, _ := s.bundle(func(c *specs.Spec) { c.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "1"} }, "sleep")
	id := s.started(dir)
	allowed := func(status string) string {
		_, rest, _ := strings.Cut(status, "Cpus_allowed_list:")
		line, _, _ := strings.Cut(rest, "\n")
		return strings.TrimSpace(line)
	}
	process := func(a *specs.CPUAffinity) []byte {
		c, err := spec.Load(dir)
		s.must(err)
		c.Process.ExecCPUAffinity, c.Process.Args = a, []string{"/probe", "cat", "/proc/self/status"}
		b, err := json.Marshal(c.Process)
		s.must(err)
		return b
	}
	for _, c := range []struct {
		affinity *specs.CPUAffinity
		want     string
	}{
		{nil, "0-" + strconv.Itoa(goruntime.NumCPU()-1)},
		{&specs.CPUAffinity{Initial: "0"}, "0"},
		{&specs.CPUAffinity{Final: "1"}, "1"},
		{&specs.CPUAffinity{Initial: "0", Final: "1"}, "1"},
		{&specs.CPUAffinity{Initial: "1", Final: "0-1"}, "0-1"},
	} {
		out, status, err := s.exec(id, ExecOptions{Process: process(c.affinity)})
		if got := allowed(out); err != nil || status != 0 || got != c.want {
			t.Errorf("%+v: it may run on CPUs %s (%d, %v), want %s", c.affinity, got, status, err, c.want)
		}
	}
	if out, _, err := s.exec(id, ExecOptions{Args: []string{"/probe", "cat", "/proc/self/status"}}); err != nil || allowed(out) != "1" {
		t.Errorf("exec without a process file does not take the config's: %s, %v", allowed(out), err)
	}
	if first, err := os.ReadFile("/proc/" + strconv.Itoa(state(t, s.runtime, id, Running).Pid) + "/status"); err != nil || allowed(string(first)) == "1" {
		t.Errorf("the first process has the CPUs %s, which are for further ones (%v)", allowed(string(first)), err)
	}
	waiting, err := os.ReadFile("/proc/" + strconv.Itoa(s.joining(id).Pid) + "/status")
	if err != nil || allowed(string(waiting)) != "1" {
		t.Errorf("a further process that waits to become the container's may run on CPUs %s (%v)", allowed(string(waiting)), err)
	}
}

// TestLabelsNeedTheirModule: where no module would enforce a label, nothing runs that believes itself confined, and the error says why.
// A process that is to be unconfined may be so.
func TestLabelsNeedTheirModule(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	s.runtime.pretend = func(h host.Host) host.Host {
		h.LSM = host.LSM{}
		return h
	}
	sleeper, _ := s.bundle(nil, "sleep")
	id := s.started(sleeper)
	for _, c := range []struct {
		path, module string
		create       func(*specs.Spec)
		exec         ExecOptions
	}{
		{"process.apparmorProfile", "AppArmor", func(c *specs.Spec) { c.Process.ApparmorProfile = "docker-default" }, ExecOptions{Apparmor: "docker-default"}},
		{"process.selinuxLabel", "SELinux", func(c *specs.Spec) { c.Process.SelinuxLabel = "u:r:t:s0" }, ExecOptions{ProcessLabel: "u:r:t:s0"}},
		{"linux.mountLabel", "SELinux", func(c *specs.Spec) { c.Linux.MountLabel = "u:r:t:s0" }, ExecOptions{}},
	} {
		refused := func(verb string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.module+" is not enabled on this machine") {
				t.Errorf("%s with %s: %v", verb, c.path, err)
			}
		}
		_, _, err := s.run(s.again(sleeper, c.create))
		refused("run", err)
		if c.path != "linux.mountLabel" {
			c.exec.Args = []string{"/probe", "exit", "0"}
			_, _, err = s.exec(id, c.exec)
			refused("exec", err)
		}
	}
	unconfined := s.again(sleeper, func(c *specs.Spec) {
		c.Process.ApparmorProfile, c.Process.Args = "unconfined", []string{"/probe", "exit", "3"}
	})
	if _, status, err := s.run(unconfined); err != nil || status != 3 {
		t.Errorf("unconfined: %d, %v", status, err)
	}
	if _, status, err := s.exec(id, ExecOptions{Apparmor: "unconfined", Args: []string{"/probe", "exit", "3"}}); err != nil || status != 3 {
		t.Errorf("exec unconfined: %d, %v", status, err)
	}
}

// TestExecRefusesWhatCreateWould: a process file is no way to what the config may not say.
func TestExecRefusesWhatCreateWould(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(nil, "sleep")
	id := s.started(dir)
	limit := specs.POSIXRlimit{Type: "RLIMIT_CORE"}
	score := 1001
	for path, change := range map[string]func(*specs.Process){
		"process.rlimits[1]":          func(p *specs.Process) { p.Rlimits = []specs.POSIXRlimit{limit, limit} },
		"process.oomScoreAdj":         func(p *specs.Process) { p.OOMScoreAdj = &score },
		"process.cwd":                 func(p *specs.Process) { p.Cwd = "tmp" },
		"process.scheduler.policy":    func(p *specs.Process) { p.Scheduler = &specs.Scheduler{Policy: "SCHED_NONE"} },
		"process.execCPUAffinity.":    func(p *specs.Process) { p.ExecCPUAffinity = &specs.CPUAffinity{Final: "x"} },
		"process.consoleSize":         func(p *specs.Process) { p.Terminal, p.ConsoleSize = true, &specs.Box{Width: 70000, Height: 1} },
		"process.ioPriority.priority": func(p *specs.Process) { p.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_BE", Priority: 8} },
	} {
		c, err := spec.Load(dir)
		s.must(err)
		c.Process.Args = []string{"/probe", "exit", "0"}
		change(c.Process)
		b, err := json.Marshal(c.Process)
		s.must(err)
		if _, _, err := s.exec(id, ExecOptions{Process: b}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
