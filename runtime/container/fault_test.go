package container

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
)

// everything is a config that makes the plan use all it has.
func everything(c *specs.Spec) {
	c.Hostname, c.Domainname = "host", "domain"
	c.Root.Readonly = true
	c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
	c.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 100}}
	c.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	c.Linux.RootfsPropagation = "private"
	mode := os.FileMode(0600)
	c.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200, FileMode: &mode}}
	c.Mounts = append(c.Mounts, specs.Mount{Destination: "/bound/deep", Source: "/etc", Type: "bind", Options: []string{"rbind", "ro", "rnosuid", "rslave"}},
		specs.Mount{Destination: "/file", Source: "/etc/passwd", Type: "bind", Options: []string{"bind", "ro"}},
		specs.Mount{Destination: "/copied", Source: "tmpfs", Type: "tmpfs", Options: []string{"tmpcopyup"}})
	c.Process.User = specs.User{UID: 1, GID: 1, AdditionalGids: []uint32{2}}
	c.Process.Cwd = "/made"
	score := 100
	c.Process.OOMScoreAdj = &score
	c.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 32, Hard: 64}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0}}
	c.Process.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_BE", Priority: 4}
	c.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_OTHER", Nice: 5}
	exe, _ := os.Executable()
	outside := []specs.Hook{{Path: exe, Args: []string{"probe", "exit", "0"}}}
	c.Hooks = &specs.Hooks{CreateRuntime: outside, CreateContainer: outside, Poststart: outside,
		StartContainer: []specs.Hook{{Path: "/probe", Args: []string{"probe", "exit", "0"}}}}
}

// all is everything that this kernel can do.
func all() func(*specs.Spec) {
	if !host.Probe().Features.MountSetattr {
		return simpler
	}
	return everything
}

// simpler leaves out what an old kernel cannot do.
func simpler(c *specs.Spec) {
	everything(c)
	for i := range c.Mounts {
		c.Mounts[i].Options = slices.DeleteFunc(c.Mounts[i].Options, func(o string) bool { return o == "rnosuid" })
	}
}

// TestEveryOperationMayFail makes each operation of a plan that uses everything fail in turn. The error must name the step
// that the operation belongs to, and nothing may be left.
func TestEveryOperationMayFail(t *testing.T) {
	asRoot(t)
	dir := bundle(t, all(), "exit", "0")
	r := runtimeFor(t)
	count := 0
	r.edit = func(p *program.Program) { count = p.Len() }
	if err := life(r, "berth-fault-none", dir); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	if count < 200 {
		t.Fatalf("the plan has only %d operations", count)
	}
	d, err := r.decide("berth-fault", CreateOptions{Bundle: dir}, false)
	if err != nil {
		t.Fatal(err)
	}
	before := traces(t, "berth-fault")
	reached := 0
	for i := range count {
		if testing.Short() && i%61 != 0 { // every operation is for a machine that is not emulated
			continue
		}
		var step int
		r.edit = func(p *program.Program) {
			p.Fail(i, syscall.EXDEV)
			step = p.StepOf(i)
		}
		err := life(r, "berth-fault", dir)
		if err != nil {
			reached++
			checkFault(t, i, d.plan.Steps[step], err)
		}
		if after := traces(t, "berth-fault"); !slices.Equal(before, after) {
			t.Fatalf("operation %d (%v) left something:\nbefore %q\nafter  %q", i, err, before, after)
		}
	}
	t.Logf("%d operations, %d of them reached and failed, nothing left", count, reached)
	if reached < count/2 && !testing.Short() {
		t.Errorf("only %d of %d operations were reached", reached, count)
	}
}

// checkFault wants the step and the injected errno in words. While the process waits for start nobody listens: if it ends
// there, start or a hook of start's finds it gone, each in its own words.
func checkFault(t *testing.T, op int, step plan.Step, err error) {
	t.Helper()
	if waits(step) {
		return
	}
	if text := err.Error(); !strings.Contains(text, syscall.EXDEV.Error()) || !strings.Contains(text, step.String()) && !isExec(step) {
		t.Errorf("operation %d: the error %q does not name the step %q and its errno", op, text, step)
	}
}

func waits(step plan.Step) bool {
	switch s := step.(type) {
	case plan.AwaitStart:
		return true
	case plan.Barrier:
		return s.Name == plan.BarrierReady
	}
	return false
}

// isExec: the steps whose errors name the program, as engines want it.
func isExec(step plan.Step) bool {
	switch step.(type) {
	case plan.FindProgram, plan.Exec:
		return true
	}
	return false
}

// life is a whole life of a container: the first error ends it, and it must be gone after that.
func life(r *Runtime, id, dir string) error {
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		return err
	}
	err := r.Start(id)
	if derr := r.Delete(id, true); err == nil {
		err = derr
	}
	reap()
	return err
}

// reap takes the exit status of what has ended. Outside of a test the runtime's process is gone by then, and somebody else
// does it.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && err != syscall.EINTR {
			return
		}
	}
}

// traces are what a container whose id begins with the mark could leave on the machine: children, descriptors, mounts, the
// network namespaces that they pin, and cgroups.
func traces(t *testing.T, mark string) []string {
	t.Helper()
	var all []string
	for _, name := range []string{"/proc/self/mounts"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			if strings.Contains(line, t.Name()) || strings.Contains(line, mark) {
				all = append(all, line)
			}
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/" + mark + "*", "/sys/fs/cgroup/" + mark + "*", "/sys/fs/cgroup/*/*/*/" + mark + "*", "/proc/self/task/*/children"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if strings.HasSuffix(f, "children") {
				b, err := os.ReadFile(f)
				if err == nil && len(b) > 0 {
					all = append(all, "child "+string(b))
				}
				continue
			}
			all = append(all, f)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && !strings.HasPrefix(target, "/proc/") {
			all = append(all, target)
		}
	}
	slices.Sort(all)
	return all
}
