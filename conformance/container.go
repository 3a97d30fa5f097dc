package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

// State is a container's state as the runtime prints it. Raw keeps the text,
// for checks of the format itself.
type State struct {
	specs.State
	Raw string
}

// Container is a bundle and an id, and what became of them.
type Container struct {
	ID     string
	Bundle string
	Rootfs string
	Enter  []string // namespace files that the runtime is started in
	Env    []string // added to the runtime's environment

	t      *T
	pidfd  int
	pid    int
	status *ExitStatus
	stdout *os.File
	stderr *os.File
}

// ExitStatus is how the container process ended. It is Known where the process
// fell to this one as an orphan.
type ExitStatus struct {
	Known  bool
	Code   int // exit code, or -1
	Signal int // 0 where it exited
}

// Config returns a small valid configuration whose process is the probe with
// the given operations. The specification version is 1.0.2, so that runtimes of
// every age accept it; a check of a younger clause raises it.
func (t *T) Config(ops ...probe.Op) *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	return &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs"},
		Process: &specs.Process{
			Args: probe.Args(ops...), Cwd: "/", Env: []string{"PATH=/bin:/"},
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Hostname: "conformance",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		},
		Linux: &specs.Linux{Namespaces: newNamespaces("pid", "network", "ipc", "uts", "mount")},
	}
}

func newNamespaces(types ...string) []specs.LinuxNamespace {
	var list []specs.LinuxNamespace
	for _, kind := range types {
		list = append(list, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(kind)})
	}
	return list
}

// withNamespace sets the path of the namespace of a type, adding the entry where it is missing.
func withNamespace(config *specs.Spec, kind, path string) *specs.Spec {
	for i := range config.Linux.Namespaces {
		if string(config.Linux.Namespaces[i].Type) == kind {
			config.Linux.Namespaces[i].Path = path
			return config
		}
	}
	config.Linux.Namespaces = append(config.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(kind), Path: path})
	return config
}

// withoutNamespace takes the namespace of a type out of the configuration.
func withoutNamespace(config *specs.Spec, kind string) *specs.Spec {
	var kept []specs.LinuxNamespace
	for _, namespace := range config.Linux.Namespaces {
		if string(namespace.Type) != kind {
			kept = append(kept, namespace)
		}
	}
	config.Linux.Namespaces = kept
	return config
}

// Container writes a bundle with the configuration (a *specs.Spec, or anything
// that encodes to JSON; a []byte is taken as it is) and a fresh root filesystem.
func (t *T) Container(config any) *Container {
	t.bundles++
	c := &Container{t: t, pidfd: -1, ID: fmt.Sprintf("conform-%d-%d-%d", os.Getpid(), t.serial, t.bundles)}
	c.Bundle = t.path(fmt.Sprintf("b%d", t.bundles))
	c.Rootfs = filepath.Join(c.Bundle, "rootfs")
	t.Must(os.MkdirAll(c.Rootfs, 0o755), "make a bundle")
	t.Must(os.Link(t.options.Probe, filepath.Join(c.Rootfs, probe.Path)), "place the probe")
	for _, dir := range []string{"proc", "dev", "sys", "tmp", "etc"} {
		t.Must(os.Mkdir(filepath.Join(c.Rootfs, dir), 0o755), "make a root filesystem")
	}
	t.Must(os.Chmod(filepath.Join(c.Rootfs, "tmp"), 0o777|os.ModeSticky), "make a root filesystem")
	if spec, ok := config.(*specs.Spec); ok && spec.Linux != nil && spec.Linux.CgroupsPath == "" {
		spec.Linux.CgroupsPath = "/" + c.ID
	}
	c.WriteConfig(config)
	c.stdout, c.stderr = t.openLog(c.Bundle+".out"), t.openLog(c.Bundle+".err")
	t.Cleanup(c.destroy)
	return c
}

func (t *T) openLog(path string) *os.File {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	t.Must(err, "make an output file")
	return file
}

// WriteConfig replaces config.json.
func (c *Container) WriteConfig(config any) {
	text, ready := config.([]byte)
	if !ready {
		var err error
		text, err = json.MarshalIndent(config, "", "\t")
		c.t.Must(err, "encode config.json")
	}
	c.t.Must(os.WriteFile(filepath.Join(c.Bundle, "config.json"), text, 0o644), "write config.json")
}

// Create performs the create operation and notes the container process.
func (c *Container) Create(flags ...string) error {
	args := append([]string{"--bundle", c.Bundle}, flags...)
	_, err := c.t.run(command{verb: "create", args: append(args, c.ID), stdout: c.stdout, stderr: c.stderr, enter: c.Enter, env: c.Env})
	if err != nil {
		return err
	}
	state, err := c.State()
	if err != nil {
		return fmt.Errorf("create succeeded, but: %w", err)
	}
	return c.watch(state.Pid)
}

// watch opens a pidfd on the container process, to see its end.
func (c *Container) watch(pid int) error {
	if pid <= 0 {
		return nil // the state check will say so
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("state names the process %d: %w", pid, err)
	}
	c.pid, c.pidfd = pid, fd
	return nil
}

// Start performs the start operation.
func (c *Container) Start() error { return c.operate("start", c.ID) }

// Kill performs the kill operation.
func (c *Container) Kill(signal string) error { return c.operate("kill", c.ID, signal) }

// Delete performs the delete operation.
func (c *Container) Delete(flags ...string) error {
	return c.operate("delete", append(flags, c.ID)...)
}

func (c *Container) operate(verb string, args ...string) error {
	_, err := c.t.run(command{verb: verb, args: args, enter: c.Enter, env: c.Env})
	return err
}

// State performs the state operation.
func (c *Container) State() (State, error) {
	text, err := c.t.run(command{verb: "state", args: []string{c.ID}})
	if err != nil {
		return State{}, err
	}
	state := State{Raw: text}
	if err := json.Unmarshal([]byte(text), &state.State); err != nil {
		return State{}, fmt.Errorf("cannot read the state %q: %w", text, err)
	}
	return state, nil
}

// Status returns the status that the runtime tells, ending the check where it tells none.
func (c *Container) Status() string {
	state, err := c.State()
	c.t.Must(err, "query the state")
	return string(state.Status)
}

// MustCreate ends the check where create fails.
func (c *Container) MustCreate() { c.t.Must(c.Create(), "create the container") }

// MustStart ends the check where start fails.
func (c *Container) MustStart() { c.t.Must(c.Start(), "start the container") }

// MustDelete ends the check where delete fails.
func (c *Container) MustDelete() { c.t.Must(c.Delete(), "delete the container") }

// Wait blocks until the container process has exited, and ends the check
// where that takes longer than the command time-out.
func (c *Container) Wait() ExitStatus {
	if c.status != nil {
		return *c.status
	}
	if !c.exited(c.t.options.Timeout) {
		c.t.Fatalf("the container process %d did not exit within %v; it said: %s", c.pid, c.t.options.Timeout, c.Stderr())
	}
	c.status = &ExitStatus{}
	var info unix.Siginfo
	if err := waitPidfd(c.pidfd, &info); err == nil {
		c.status = exitStatus(&info)
	}
	return *c.status
}

// exited waits for the end of the container process.
func (c *Container) exited(limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for {
		fds := []unix.PollFd{{Fd: int32(c.pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0
	}
}

// Alive tells whether the container process still exists and is no zombie.
func (c *Container) Alive() bool { return c.pidfd >= 0 && !c.exited(0) }

// Output returns what the probe has reported so far.
func (c *Container) Output() []probe.Result {
	text, err := os.ReadFile(c.stdout.Name())
	c.t.Must(err, "read the container's output")
	return probe.Parse(text)
}

// Stderr returns what the container and the runtime's create have said on standard error.
func (c *Container) Stderr() string {
	text, _ := os.ReadFile(c.stderr.Name())
	return strings.TrimSpace(string(text))
}

// Host returns the path on the host of a path in the root filesystem.
func (c *Container) Host(path string) string { return filepath.Join(c.Rootfs, path) }

// AwaitFile blocks until a file appears in the root filesystem.
func (c *Container) AwaitFile(path string) {
	deadline := time.Now().Add(c.t.options.Timeout)
	for time.Now().Before(deadline) {
		if _, err := os.Lstat(c.Host(path)); err == nil {
			return
		}
		if !c.Alive() {
			c.t.Fatalf("the container process exited before it made %s; it said: %s", path, c.Stderr())
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.t.Fatalf("the container process did not make %s within %v", path, c.t.options.Timeout)
}

// Life runs the container from create to its own exit and returns the probe's results.
func (c *Container) Life() []probe.Result {
	c.MustCreate()
	c.MustStart()
	c.Wait()
	return c.Output()
}

// destroy removes whatever is left of the container, by the runtime first
// and by force then. It judges nothing; leaks are the business of package leak.
func (c *Container) destroy() {
	if err := c.operate("delete", "--force", c.ID); err != nil {
		c.t.Logf("cleanup: %v", err)
	}
	if c.Alive() {
		_ = unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, 0)
		c.exited(c.t.options.Timeout)
	}
	if c.pidfd >= 0 {
		if c.status == nil {
			var info unix.Siginfo
			_ = waitPidfd(c.pidfd, &info)
		}
		unix.Close(c.pidfd)
	}
	c.stdout.Close()
	c.stderr.Close()
	c.t.Env.removeCgroups(c.ID)
	unmountBelow(c.Bundle)
}

// removeCgroups removes the cgroups that carry the container's id in their name.
func (e *Env) removeCgroups(id string) {
	seen := map[string]bool{}
	for _, dir := range e.Controllers {
		if seen[dir] {
			continue
		}
		seen[dir] = true
		matches, _ := filepath.Glob(filepath.Join(dir, "*"+id+"*"))
		for _, match := range matches {
			removeCgroup(match)
		}
	}
}

// removeCgroup ends the members of a cgroup and removes it, innermost first.
func removeCgroup(dir string) {
	for range 20 {
		children, _ := os.ReadDir(dir)
		for _, child := range children {
			if child.IsDir() {
				removeCgroup(filepath.Join(dir, child.Name()))
			}
		}
		text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for _, field := range strings.Fields(string(text)) {
			var pid int
			if _, err := fmt.Sscan(field, &pid); err == nil && pid > 1 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		if err := unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// unmountBelow detaches mounts that were left under a directory.
func unmountBelow(dir string) {
	mounts, _ := probe.ReadMounts("/proc/self/mountinfo")
	for i := len(mounts) - 1; i >= 0; i-- {
		if strings.HasPrefix(mounts[i].Point, dir+"/") {
			_ = unix.Unmount(mounts[i].Point, unix.MNT_DETACH)
		}
	}
}
