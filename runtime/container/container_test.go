package container

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestRunReturnsTheProgramsStatus(t *testing.T) {
	asRoot(t)
	for _, want := range []int{0, 7, 255} {
		if _, got := output(t, bundle(t, nil, "exit", strconv.Itoa(want))); got != want {
			t.Errorf("exit %d, want %d", got, want)
		}
	}
}

func TestProcessIsWhatTheConfigSays(t *testing.T) {
	asRoot(t)
	umask := uint32(027)
	f := factsOf(t, func(c *specs.Spec) {
		c.Hostname = "harbour"
		c.Root.Readonly = false
		c.Process.Cwd = "/made/here"
		c.Process.User = specs.User{UID: 1000, GID: 1001, Umask: &umask, AdditionalGids: []uint32{5, 6}}
		c.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_CHOWN"},
			Permitted: []string{"CAP_KILL"}, Inheritable: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL"}, Ambient: []string{"CAP_KILL"}}
	})
	if f.UID != 1000 || f.GID != 1001 || !slices.Equal(f.Groups, []int{5, 6}) || f.Umask != 027 {
		t.Errorf("uid %d gid %d groups %v umask %#o", f.UID, f.GID, f.Groups, f.Umask)
	}
	if f.Cwd != "/made/here" || f.Host != "harbour" {
		t.Errorf("cwd %q host %q", f.Cwd, f.Host)
	}
	for set, want := range map[string]string{"CapBnd": "0000000000000021", "CapPrm": "0000000000000020",
		"CapEff": "0000000000000020", "CapInh": "0000000000000020", "CapAmb": "0000000000000020", "NoNewPrivs": "1"} {
		if f.Status[set] != want {
			t.Errorf("%s is %s, want %s", set, f.Status[set], want)
		}
	}
}

func TestNothingOfTheRuntimeReachesTheProgram(t *testing.T) {
	asRoot(t)
	leak, err := os.Open("/") // without close-on-exec, as a careless caller would leave it
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	syscall.Syscall(syscall.SYS_FCNTL, leak.Fd(), syscall.F_SETFD, 0)
	t.Setenv("SECRET_OF_THE_HOST", "1")
	f := factsOf(t, nil)
	for _, fd := range f.FDs {
		if n, _ := strconv.Atoi(strings.Fields(fd)[0]); n > 2 && !strings.Contains(fd, "/proc/") && !strings.Contains(fd, "anon_inode") &&
			!strings.Contains(fd, "/sys/fs/cgroup/") { // the probe's own: Go looks at its CPU limit
			t.Errorf("descriptor %s", fd)
		}
	}
	for _, e := range f.Env {
		if strings.HasPrefix(e, "SECRET") {
			t.Errorf("environment %s", e)
		}
	}
	for _, m := range f.Mounts {
		if strings.Contains(m, "put_old") || strings.HasPrefix(m, "/oldroot") {
			t.Errorf("mount %s", m)
		}
	}
}

func TestNamespacesAreNew(t *testing.T) {
	asRoot(t)
	f := factsOf(t, func(c *specs.Spec) {
		c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
	})
	for _, k := range []string{"mnt", "pid", "uts", "ipc", "net", "cgroup", "time"} {
		own, err := os.Readlink("/proc/self/ns/" + k)
		if err != nil {
			t.Fatal(err)
		}
		if f.Namespaces[k] == own || f.Namespaces[k] == "" {
			t.Errorf("%s namespace is %q, the runtime's is %q", k, f.Namespaces[k], own)
		}
	}
}

func TestUserNamespaceMapsIds(t *testing.T) {
	asRoot(t)
	f := factsOf(t, func(c *specs.Spec) {
		c.Root.Readonly = false
		c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		// The test's own folders belong to root: map it, and two ranges beside it.
		c.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 200000, Size: 100}}
		c.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 300000, Size: 100}}
		c.Process.User = specs.User{UID: 5, GID: 6}
	})
	if own, _ := os.Readlink("/proc/self/ns/user"); f.Namespaces["user"] == own {
		t.Error("the user namespace is the runtime's")
	}
	if f.UID != 5 || f.GID != 6 {
		t.Errorf("uid %d gid %d", f.UID, f.GID)
	}
}

func TestLifecycle(t *testing.T) {
	asRoot(t)
	r, id := runtimeFor(t), unique(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	if err := r.Create(id, CreateOptions{Bundle: bundle(t, nil, "sleep"), PidFile: pidFile}); err != nil {
		t.Fatal(err)
	}
	s := state(t, r, id, Created)
	if b, err := os.ReadFile(pidFile); err != nil || string(b) != strconv.Itoa(s.Pid) {
		t.Errorf("the pid file says %q (%v), the state %d", b, err, s.Pid)
	}
	if err := r.Create(id, CreateOptions{Bundle: bundle(t, nil, "sleep")}); !errors.Is(err, ErrExist) {
		t.Errorf("a second create: %v", err)
	}
	if err := r.Delete(id, false); err == nil || !strings.Contains(err.Error(), "not stopped") {
		t.Errorf("delete of a created container: %v", err)
	}
	if err := r.Start(id); err != nil {
		t.Fatal(err)
	}
	state(t, r, id, Running)
	if err := r.Start(id); err == nil {
		t.Error("a second start succeeded")
	}
	if err := r.Delete(id, false); err == nil {
		t.Error("delete of a running container succeeded")
	}
	if err := r.Kill(id, int(syscall.SIGKILL), false); err != nil {
		t.Fatal(err)
	}
	await(t, r, id, Stopped)
	if err := r.Kill(id, int(syscall.SIGKILL), false); !errors.Is(err, ErrNotRunning) {
		t.Errorf("kill of a stopped container: %v", err)
	}
	if err := r.Delete(id, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.State(id); !errors.Is(err, ErrNotExist) {
		t.Errorf("state after delete: %v", err)
	}
	if err := r.Delete(id, true); err != nil {
		t.Errorf("forced delete of an unknown container: %v", err)
	}
}

// TestPausedContainerDies: a v1 process that is frozen dies only when it thaws.
func TestPausedContainerDies(t *testing.T) {
	asRoot(t)
	for name, kill := range map[string]func(r *Runtime, id string) error{
		"kill":         func(r *Runtime, id string) error { return r.Kill(id, int(syscall.SIGKILL), false) },
		"kill --all":   func(r *Runtime, id string) error { return r.Kill(id, int(syscall.SIGKILL), true) },
		"delete force": func(r *Runtime, id string) error { return r.Delete(id, true) },
	} {
		t.Run(name, func(t *testing.T) {
			r, id := runtimeFor(t), unique(t)
			if err := r.Create(id, CreateOptions{Bundle: bundle(t, nil, "sleep")}); err != nil {
				t.Fatal(err)
			}
			for _, step := range []func(string) error{r.Start, r.Pause, func(id string) error { return kill(r, id) }} {
				if err := step(id); err != nil {
					t.Fatal(err)
				}
			}
			if name != "delete force" {
				await(t, r, id, Stopped)
			}
			if err := r.Delete(id, name == "delete force"); err != nil {
				t.Error(err)
			}
			reap()
		})
	}
}

func TestCreatedContainerDiesOfSignals(t *testing.T) {
	asRoot(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		r, id := runtimeFor(t), unique(t)
		if err := r.Create(id, CreateOptions{Bundle: bundle(t, nil, "sleep")}); err != nil {
			t.Fatal(err)
		}
		if err := r.Kill(id, int(sig), false); err != nil {
			t.Fatal(err)
		}
		await(t, r, id, Stopped)
		if err := r.Start(id); !errors.Is(err, ErrStopped) {
			t.Errorf("start after %v: %v", sig, err)
		}
		if err := r.Delete(id, false); err != nil {
			t.Fatal(err)
		}
	}
}

// What is sent to a runtime in the foreground reaches the program, that of run as that of exec.
func TestSignalsReachTheProgram(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(nil, "trap")
	sleeper, _ := s.bundle(nil, "sleep")
	id := s.started(sleeper)
	for name, foreground := range map[string]func(Stdio) (int, error){
		"run": func(o Stdio) (int, error) {
			return s.runtime.Run(unique(t), RunOptions{CreateOptions: CreateOptions{Bundle: dir, Stdio: o}})
		},
		"exec": func(o Stdio) (int, error) {
			return s.runtime.Exec(id, ExecOptions{Args: []string{"/probe", "trap"}, Stdio: o})
		},
	} {
		r, w, err := os.Pipe()
		s.must(err)
		sent := make(chan error, 1)
		go func() {
			line, err := bufio.NewReader(r).ReadString('\n')
			if err == nil && line != "ready\n" {
				err = fmt.Errorf("it says %q", line)
			}
			if err == nil {
				err = syscall.Kill(os.Getpid(), syscall.SIGTERM)
			}
			sent <- err
		}()
		status, err := foreground(Stdio{Out: w})
		w.Close()
		if serr := <-sent; err != nil || serr != nil || status != 42 {
			t.Errorf("%s: exit %d, %v, %v, want 42", name, status, err, serr)
		}
		r.Close()
	}
}

func TestMissingProgramIsNamed(t *testing.T) {
	asRoot(t)
	for name, want := range map[string]string{"nosuch": "executable file not found in $PATH", "/no/such": "no such file or directory", "/proc": "permission denied"} {
		r, id := runtimeFor(t), unique(t)
		dir := bundle(t, func(c *specs.Spec) { c.Process.Args = []string{name} })
		err := r.Create(id, CreateOptions{Bundle: dir})
		if err == nil {
			err = r.Start(id)
			r.Delete(id, true)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestExecReplacesVariables(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(func(c *specs.Spec) { c.Process.Env = []string{"PATH=/", "A=config", "AB=config"} }, "sleep")
	id := s.started(dir)
	out, status, err := s.exec(id, ExecOptions{Args: []string{"/probe", "cat", "/proc/self/environ"}, Env: []string{"A=exec", "B=exec"}})
	if want := "PATH=/\x00AB=config\x00A=exec\x00B=exec\x00HOME=/\x00"; err != nil || status != 0 || out != want {
		t.Errorf("exit %d, %v: %q, want %q", status, err, out, want)
	}
}

func TestExecJoinsTheContainer(t *testing.T) {
	asRoot(t)
	r, id := runtimeFor(t), unique(t)
	if err := r.Create(id, CreateOptions{Bundle: bundle(t, func(c *specs.Spec) { c.Hostname = "pier" }, "sleep")}); err != nil {
		t.Fatal(err)
	}
	defer r.Delete(id, true)
	if err := r.Start(id); err != nil {
		t.Fatal(err)
	}
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	status, err := r.Exec(id, ExecOptions{Args: []string{"/probe", "cat", "/proc/sys/kernel/hostname", "/proc/1/comm"}, Stdio: Stdio{Out: out}})
	b, _ := os.ReadFile(out.Name())
	if err != nil || status != 0 || string(b) != "pier\nprobe\n" {
		t.Errorf("exit %d, %v, output %q", status, err, b)
	}
	if status, err := r.Exec(id, ExecOptions{Args: []string{"/probe", "exit", "9"}}); err != nil || status != 9 {
		t.Errorf("exit %d, %v", status, err)
	}
	if _, err := r.Exec(id, ExecOptions{Args: []string{"nosuch"}}); err == nil || !strings.Contains(err.Error(), "executable file not found in $PATH") {
		t.Errorf("exec of a missing program: %v", err)
	}
	pids, err := r.Processes(id)
	if err != nil || len(pids) != 1 {
		t.Errorf("processes %v, %v", pids, err)
	}
}

func TestProtectedPathsCannotBeWrittenOrRead(t *testing.T) {
	asRoot(t)
	for _, args := range [][]string{{"write", "/x"}, {"write", "/proc/sys/kernel/hostname"}, {"write", "/sys/x"}} {
		if out, status := output(t, bundle(t, nil, args...)); status != 1 {
			t.Errorf("%v succeeded: %q", args, out)
		}
	}
	if out, status := output(t, bundle(t, nil, "cat", "/proc/timer_list")); status != 0 || out != "" {
		t.Errorf("a masked file reads %q (exit %d)", out, status)
	}
}

func TestMountsCoverEarlierOnes(t *testing.T) {
	asRoot(t)
	tmpfs := func(where string) specs.Mount { return specs.Mount{Destination: where, Type: "tmpfs", Source: "tmpfs"} }
	f := factsOf(t, func(c *specs.Spec) {
		c.Mounts = append(c.Mounts, tmpfs("/a/b"), tmpfs("/a"), tmpfs("/a/b/c"))
	})
	if !slices.Contains(f.Mounts, "/a/b/c tmpfs") {
		t.Errorf("mounts %q", f.Mounts)
	}
}

// state reads the state and expects a status.
func state(t *testing.T, r *Runtime, id, want string) State {
	t.Helper()
	s, err := r.State(id)
	if err != nil || s.Status != want {
		t.Fatalf("status %q (%v), want %q", s.Status, err, want)
	}
	return s
}

// await waits for a status that is bound to come.
func await(t *testing.T, r *Runtime, id, want string) {
	t.Helper()
	for range 500 {
		if s, err := r.State(id); err == nil && s.Status == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	state(t, r, id, want)
}

func TestExecGoesIntoGroupsBelow(t *testing.T) {
	asRoot(t)
	r, id := runtimeFor(t), unique(t)
	dir := bundle(t, func(c *specs.Spec) { c.Linux.CgroupsPath = "/" + id }, "sleep")
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(id); err != nil {
		t.Fatal(err)
	}
	g, _, err := r.group(id)
	if err != nil {
		t.Fatal(err)
	}
	hierarchies, dirs := 0, append(g.Join().Tasks, g.Join().CloneInto+"/cgroup.procs")
	for _, file := range dirs {
		if strings.HasPrefix(file, "/sys/") {
			hierarchies++
			group := filepath.Dir(file)
			if err := os.Mkdir(group+"/below", 0o755); err != nil {
				t.Fatal(err)
			}
			for _, set := range []string{"/cpuset.cpus", "/cpuset.mems"} { // v1's begin empty, and then nobody may join
				if value, err := os.ReadFile(group + set); err == nil {
					_ = os.WriteFile(group+"/below"+set, value, 0)
				}
			}
		}
	}
	groupsOf := func(cgroup ...string) string { // as the container sees them: its own is the root
		t.Helper()
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		o := ExecOptions{Args: []string{"/probe", "cat", "/proc/self/cgroup"}, Cgroup: cgroup, Stdio: Stdio{Out: out, Err: out}}
		if status, err := r.Exec(id, o); err != nil || status != 0 {
			t.Fatalf("exit %d, %v", status, err)
		}
		groups, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(groups)
	}
	if groups := groupsOf(); strings.Contains(groups, "below") {
		t.Errorf("without --cgroup in\n%s", groups)
	}
	if groups := groupsOf("below"); strings.Count(groups, ":/below\n") != hierarchies {
		t.Errorf("in\n%s", groups)
	}
	if groups := groupsOf(":/below"); strings.Count(groups, ":/below\n") != hierarchies {
		t.Errorf("in\n%s", groups)
	}
	if d, ok := g.Dir("pids"); ok && hierarchies > 1 && len(d.Controllers) == 1 {
		groups := groupsOf("pids:below")
		if strings.Count(groups, ":/below\n") != 1 || !strings.Contains(groups, ":pids:/below\n") {
			t.Errorf("one controller's group below, in\n%s", groups)
		}
	}
	for _, cgroup := range []string{"nowhere", "../other", "/../../x"} {
		_, err := r.Exec(id, ExecOptions{Args: []string{"/probe", "exit", "0"}, Cgroup: []string{cgroup}})
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(cgroup)) {
			t.Errorf("--cgroup %s: %v", cgroup, err)
		}
	}
	if err := r.Delete(id, true); err != nil {
		t.Error(err)
	}
}
