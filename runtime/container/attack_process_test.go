package container

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
)

// TestAttack01TheRuntimesProgramIsOutOfReach: what the container sees as the executable of the joining process is sealed
// memory without a loader, never a file of the host (CVE-2019-5736).
func TestAttack01TheRuntimesProgramIsOutOfReach(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(nil, "exit", "0")
	id := unique(t)
	s.must(s.runtime.Create(id, CreateOptions{Bundle: dir}))
	defer s.runtime.Delete(id, true)
	st, err := s.runtime.State(id)
	s.must(err)
	exe := fmt.Sprintf("/proc/%d/exe", st.Pid)
	if target, _ := os.Readlink(exe); !strings.HasPrefix(target, "/memfd:") {
		t.Errorf("its executable is %s", target)
	}
	f, err := os.Open(exe)
	s.must(err)
	defer f.Close()
	const getSeals, allOfThem = 1034, 0x1 | 0x2 | 0x4 | 0x8 // F_SEAL_SEAL, _SHRINK, _GROW, _WRITE
	if seals, _, e := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), getSeals, 0); e != 0 || seals&allOfThem != allOfThem {
		t.Errorf("its seals are %#x (%v)", seals, e)
	}
	image, err := elf.NewFile(f)
	s.must(err)
	for _, p := range image.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it is loaded by a loader, which the image could replace")
		}
	}
	if w, err := os.OpenFile(exe, os.O_WRONLY, 0); err == nil {
		if _, err := w.Write([]byte{0}); err == nil {
			t.Error("it can be written to")
		}
		w.Close()
	}
}

// TestAttack01SelfAsProgram: an image whose program, or whose script's interpreter, is /proc/self/exe executes at most the
// sealed memory again.
func TestAttack01SelfAsProgram(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		own, err := os.Executable()
		s.must(err)
		before, err := os.Stat(own)
		s.must(err)
		for _, args := range [][]string{{"/proc/self/exe"}, {"/script"}, {"/link"}} {
			dir, root := s.bundle(func(c *specs.Spec) { c.Process.Args = args })
			s.must(os.WriteFile(filepath.Join(root, "script"), []byte("#!/proc/self/exe\n"), 0755))
			s.must(os.Symlink("/proc/self/exe", filepath.Join(root, "link")))
			if out, status, err := s.run(dir); err == nil && status == 0 {
				t.Errorf("%v ran: %q", args, out)
			}
		}
		if after, err := os.Stat(own); err != nil || !after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size() {
			t.Errorf("the program of the runtime changed: %v", err)
		}
		s.untouched("self as program")
	})
}

// leakyFolder opens a folder of the host without close-on-exec, as a careless caller would.
func (s *scene) leakyFolder() int {
	s.Helper()
	fd, err := syscall.Open(s.canary, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	s.must(err)
	s.Cleanup(func() { syscall.Close(fd) })
	return fd
}

// TestAttack02DescriptorsAsPaths: the working directory or the program of a container or of a further process is
// /proc/self/fd/N (CVE-2024-21626).
func TestAttack02DescriptorsAsPaths(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		leak := s.leakyFolder()
		s.naive("/proc/self/fd/" + strconv.Itoa(leak))
		sleeper, _ := s.bundle(nil, "sleep")
		id := s.started(sleeper)
		outside := func(what, out string, status int, err error) {
			t.Helper()
			if err == nil && status == 0 && strings.Contains(out, "sysrq-trigger") {
				t.Errorf("%s: the host is in sight: %q", what, out)
			}
		}
		for fd := range 24 {
			path := fmt.Sprintf("/proc/self/fd/%d", fd)
			if fd == 23 {
				path = fmt.Sprintf("/proc/self/fd/%d", leak)
			}
			for _, p := range []string{path, path + "/../../.."} {
				dir, _ := s.bundle(func(c *specs.Spec) { c.Process.Cwd, c.Root.Readonly = p, false }, "ls", ".", "canary", "file")
				out, status, err := s.run(dir)
				outside("cwd "+p, out, status, err)
				out, status, err = s.exec(id, ExecOptions{Cwd: p, Args: []string{"/probe", "ls", ".", "canary"}})
				outside("exec in "+p, out, status, err)
			}
			if _, status, err := s.exec(id, ExecOptions{Args: []string{path + "/file"}}); err == nil && status == 0 {
				t.Errorf("a program below %s ran", path)
			}
		}
		s.untouched("descriptors as paths")
	})
}

// TestAttack02HooksInheritNothing: neither descriptors nor the environment of the runtime's caller reach a hook, in either
// kind of namespaces. Family 20 wants the same.
func TestAttack02HooksInheritNothing(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	leak := s.leakyFolder()
	t.Setenv("SECRET_OF_THE_HOST", "1")
	exe, err := os.Executable()
	s.must(err)
	seen := t.TempDir()
	hook := func(name string) []specs.Hook {
		return []specs.Hook{{Path: exe, Args: []string{"probe", "fds", filepath.Join(seen, name)}, Env: []string{"OWN=1"}}}
	}
	dir, root := s.bundle(func(c *specs.Spec) {
		c.Root.Readonly = false
		c.Hooks = &specs.Hooks{CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"), Poststart: hook("poststart"), Poststop: hook("poststop"),
			StartContainer: []specs.Hook{{Path: "/probe", Args: []string{"probe", "fds", "/startContainer"}, Env: []string{"OWN=1"}}}}
	}, "exit", "0")
	if _, status, err := s.run(dir); err != nil || status != 0 {
		t.Fatalf("exit %d, %v", status, err)
	}
	for _, name := range []string{"createRuntime", "createContainer", "poststart", "poststop", "startContainer"} {
		file := filepath.Join(seen, name)
		if name == "startContainer" {
			file = filepath.Join(root, name)
		}
		b, err := os.ReadFile(file)
		s.must(err)
		for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			first, rest, _ := strings.Cut(line, " ")
			fd, err := strconv.Atoi(first)
			switch {
			case err == nil && fd > 2:
				t.Errorf("%s got descriptor %s (the leak is %d)", name, line, leak)
			case first == "env" && rest != "OWN=1":
				t.Errorf("%s got the environment %s", name, rest)
			}
		}
	}
}

// joining starts a further process of a container and leaves it where it waits, inside, for the runtime's last word.
func (s *scene) joining(id string) *launch.Process {
	s.Helper()
	x := s.execution(id, ExecOptions{Args: []string{"/probe", "exit", "0"}})
	in, err := x.inputs(x.group.Join())
	s.must(err)
	pidfd, err := openAlive(x.state.Init)
	s.must(err)
	defer syscall.Close(pidfd)
	p, err := launch.Start(plan.Join(&x.process, in), launch.Options{Stdio: Stdio{}.fds(), CgroupFD: -1, StartFD: -1, InitFD: pidfd})
	s.must(err)
	s.Cleanup(func() { p.Kill(); p.Close() })
	s.must(p.Serve(func(program.Message) error { return nil }))
	return p
}

// execution is an exec that is decided and not done.
func (s *scene) execution(id string, o ExecOptions) *execution {
	s.Helper()
	e, state, done, err := s.runtime.load(id)
	s.must(err)
	raw, err := configOf(e)
	s.must(err)
	done()
	x := &execution{Runtime: s.runtime, host: s.runtime.machine(), options: o, state: state, raw: raw}
	s.must(x.decide())
	return x
}

// TestAttack03JoiningProcessIsUnreadable: a process of the container, root of its user namespace and allowed to trace, watches
// a process join and tries to look into it before its execve (CVE-2016-9962). Into one that has joined it can.
func TestAttack03JoiningProcessIsUnreadable(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	s.user = true
	dir, _ := s.bundle(func(c *specs.Spec) {
		for _, set := range []*[]string{&c.Process.Capabilities.Bounding, &c.Process.Capabilities.Permitted, &c.Process.Capabilities.Effective} {
			*set = append(*set, "CAP_SYS_PTRACE")
		}
	}, "sleep")
	id := s.started(dir)
	s.joining(id)
	spy := func() string {
		out, _, err := s.exec(id, ExecOptions{Args: []string{"/probe", "spy"}})
		s.must(err)
		return out
	}
	if out := spy(); strings.Count(out, "looked at") != 1 || !strings.Contains(out, "permission denied") || strings.Contains(out, "memfd") {
		t.Errorf("the joining process was looked into: %q", out)
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	_, err := s.runtime.Exec(id, ExecOptions{Args: []string{"/probe", "sleep"}, Detach: true, PidFile: pidFile})
	s.must(err)
	b, err := os.ReadFile(pidFile)
	s.must(err)
	pid, err := strconv.Atoi(string(b))
	s.must(err)
	defer syscall.Wait4(pid, nil, 0, nil)
	defer syscall.Kill(pid, syscall.SIGKILL)
	if out := spy(); !strings.Contains(out, " /probe <nil>") {
		t.Errorf("nobody can be looked into, so this test proves nothing: %q", out)
	}
}

// TestAttack03JoiningProcessHoldsNothingOfTheHost: what could be stolen from it (CVE-2016-9962, CVE-2024-21626).
func TestAttack03JoiningProcessHoldsNothingOfTheHost(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	s.leakyFolder()
	dir, _ := s.bundle(nil, "sleep")
	id := s.started(dir)
	p := s.joining(id)
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid))
	s.must(err)
	for _, e := range list {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.Pid, e.Name()))
		if fd, _ := strconv.Atoi(e.Name()); fd > 2 && !strings.HasPrefix(target, "socket:") {
			t.Errorf("descriptor %s is %s", e.Name(), target)
		}
	}
}

// TestAttack12NoCapabilityIsInheritable: a capability given to exec is not inheritable and not ambient (CVE-2022-29162).
func TestAttack12NoCapabilityIsInheritable(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(nil, "sleep")
	id := s.started(dir)
	for _, user := range []string{"", "1000"} {
		out, _, err := s.exec(id, ExecOptions{Caps: []string{"CAP_CHOWN"}, User: user, Args: []string{"/probe", "cat", "/proc/self/status"}})
		s.must(err)
		for _, set := range []string{"CapInh", "CapAmb"} {
			if !strings.Contains(out, set+":\t0000000000000000") {
				t.Errorf("user %q: %s is not empty:\n%s", user, set, out)
			}
		}
		if user == "" && !strings.Contains(out, "CapBnd:\t0000000020000421") {
			t.Errorf("the bounding set has more or less than asked:\n%s", out)
		}
	}
}

// TestAttack13UserIsANumber: what looks like a number and is none, or is none of an id, is refused (CVE-2016-3697).
func TestAttack13UserIsANumber(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, root := s.bundle(nil, "sleep")
	s.must(os.MkdirAll(filepath.Join(root, "etc"), 0755))
	s.must(os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("1000:x:0:0::/:/probe\nuser:x:0:0::/:/probe\n"), 0644))
	id := s.started(dir)
	for text, want := range map[string]string{"1": "1 0", "0": "0 0", "01": "1 0", "1:1": "1 1", "1000": "1000 0", "1000:7": "1000 7"} {
		out, _, err := s.exec(id, ExecOptions{User: text, Args: []string{"/probe", "ids"}})
		if err != nil || out != want {
			t.Errorf("user %q is %q (%v), want %q", text, out, err, want)
		}
	}
	for _, text := range []string{" 1", "1 ", "+1", "-1", "4294967295", "4294967296", "0x1", "1e1", "1_0", "1:", ":1", "1:-1", "1:1:1", "user", "missing", "1\n", "1:4294967295", ":"} {
		if out, _, err := s.exec(id, ExecOptions{User: text, Args: []string{"/probe", "ids"}}); err == nil {
			t.Errorf("user %q ran as %q", text, out)
		}
	}
}

// TestAttack20StartContainerHooksAreConfined: the hook comes from the image. It has no more rights than the container.
func TestAttack20StartContainerHooksAreConfined(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, root := s.bundle(func(c *specs.Spec) {
		c.Root.Readonly = false
		c.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/probe", Args: []string{"probe", "rights", "/seen"}}}}
	}, "rights", "/own")
	if _, status, err := s.run(dir); err != nil || status != 0 {
		t.Fatalf("exit %d, %v", status, err)
	}
	hook, err := os.ReadFile(filepath.Join(root, "seen"))
	s.must(err)
	own, err := os.ReadFile(filepath.Join(root, "own"))
	s.must(err)
	if string(hook) != string(own) {
		t.Errorf("the hook of the image has\n%sand the container\n%s", hook, own)
	}
}

// TestAttack20HookThatStays: a hook that leaves a child with its output open does not hold the runtime up, and one that does
// not end is ended with its whole group.
func TestAttack20HookThatStays(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	exe, err := os.Executable()
	s.must(err)
	pids := filepath.Join(t.TempDir(), "pids")
	hook := func(verb string, timeout *int) *specs.Hooks {
		return &specs.Hooks{CreateRuntime: []specs.Hook{{Path: exe, Args: []string{"probe", verb, pids}, Timeout: timeout}}}
	}
	child := func() int {
		b, err := os.ReadFile(pids)
		s.must(err)
		pid, err := strconv.Atoi(string(b))
		s.must(err)
		return pid
	}
	dir, _ := s.bundle(func(c *specs.Spec) { c.Hooks = hook("leave-child", nil) }, "exit", "0")
	if _, status, err := s.run(dir); err != nil || status != 0 {
		t.Fatalf("exit %d, %v", status, err)
	}
	if err := syscall.Kill(child(), syscall.SIGKILL); err != nil {
		t.Errorf("the child that holds the output was not alive when the container ended: %v", err)
	}
	one := 1
	dir, _ = s.bundle(func(c *specs.Spec) { c.Hooks = hook("stay-with-child", &one) }, "exit", "0")
	if _, _, err := s.run(dir); err == nil || !strings.Contains(err.Error(), "did not end within 1s") {
		t.Fatalf("the hook that stays: %v", err)
	}
	for range 100 {
		reap()
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child())); err != nil || strings.Contains(string(b), ") Z") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the hook's child outlived the time-out")
}

// TestAttack27NamespacesOfTheHost: a path that leads to the runtime's own namespace does not turn hostname, domainname, a
// sysctl or a mount into a change of the host.
func TestAttack27NamespacesOfTheHost(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	name, err := os.Hostname()
	s.must(err)
	shm, err := os.ReadFile("/proc/sys/kernel/shmmni")
	s.must(err)
	link := filepath.Join(t.TempDir(), "link")
	for _, k := range []struct {
		kind specs.LinuxNamespaceType
		file string
		edit func(*specs.Spec)
	}{
		// The values are those the host has already: if the protection failed, nothing would change.
		{specs.UTSNamespace, "uts", func(c *specs.Spec) { c.Hostname = name }},
		{specs.IPCNamespace, "ipc", func(c *specs.Spec) {
			c.Hostname = ""
			c.Linux.Sysctl = map[string]string{"kernel.shmmni": strings.TrimSpace(string(shm))}
		}},
	} {
		for _, path := range []string{"/proc/self/ns/" + k.file, "/proc/thread-self/ns/" + k.file, link} {
			os.Remove(link)
			s.must(os.Symlink(fmt.Sprintf("/proc/%d/ns/%s", os.Getpid(), k.file), link))
			dir, _ := s.bundle(func(c *specs.Spec) {
				for i := range c.Linux.Namespaces {
					if c.Linux.Namespaces[i].Type == k.kind {
						c.Linux.Namespaces[i].Path = path
					}
				}
				k.edit(c)
			}, "exit", "0")
			if _, _, err := s.run(dir); err == nil || !strings.Contains(err.Error(), "own") {
				t.Errorf("%s at %s: %v", k.kind, path, err)
			}
		}
	}
}

// TestAttack27PathsThatAreNoNamespace: anything else than a namespace of the right kind is refused before it is joined.
func TestAttack27PathsThatAreNoNamespace(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	s.must(syscall.Mkfifo(fifo, 0600))
	for _, path := range []string{"/proc/self/ns/uts", filepath.Join(s.canary, "file"), "/dev/null", fifo, s.canary, "/no/such"} {
		dir, _ := s.bundle(func(c *specs.Spec) {
			for i := range c.Linux.Namespaces {
				if c.Linux.Namespaces[i].Type == specs.NetworkNamespace {
					c.Linux.Namespaces[i].Path = path
				}
			}
		}, "exit", "0")
		if _, _, err := s.run(dir); err == nil || !strings.Contains(err.Error(), "network namespace") {
			t.Errorf("%s as network namespace: %v", path, err)
		}
	}
	s.untouched("paths that are no namespace")
}

// TestAttack30SessionKeyring: the container's session keyring is not the runtime's.
func TestAttack30SessionKeyring(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		own, err := sessionKeyring()
		if err != nil {
			t.Skipf("no keyrings here: %v", err)
		}
		dir, _ := s.bundle(nil, "sleep")
		id := s.started(dir)
		inside, _, err := s.exec(id, ExecOptions{Args: []string{"/probe", "keyring"}})
		s.must(err)
		dir, _ = s.bundle(nil, "keyring")
		first, _, err := s.run(dir)
		s.must(err)
		for _, got := range []string{inside, first} {
			if _, err := strconv.Atoi(got); err != nil || got == own {
				t.Errorf("the container's session keyring is %q, the runtime's %q", got, own)
			}
		}
	})
}

// sessionKeyring is the serial number of the caller's (keyctl(2), KEYCTL_GET_KEYRING_ID).
func sessionKeyring() (string, error) {
	keyctl := map[string]uintptr{"amd64": 250, "arm64": 219}[runtime.GOARCH]
	const sessionSpec = ^uintptr(2) // -3
	id, _, e := syscall.Syscall(keyctl, 0, sessionSpec, 0)
	if e != 0 {
		return "", e
	}
	return strconv.Itoa(int(int32(id))), nil
}

// attackerProcess are the verbs of a hostile program that concern processes.
func attackerProcess(args []string) int {
	switch args[0] {
	case "ids":
		fmt.Print(os.Getuid(), " ", os.Getgid())
	case "keyring":
		id, err := sessionKeyring()
		fmt.Print(id)
		if err != nil {
			fmt.Print(err)
		}
	case "spy":
		spy()
	case "rights":
		return rights(args[1])
	case "leave-child", "stay-with-child":
		child := exec.Command("/proc/self/exe", "sleep")
		child.Args[0] = "probe"
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if child.Start() != nil || os.WriteFile(args[1], []byte(strconv.Itoa(child.Process.Pid)), 0600) != nil {
			return 1
		}
		if args[0] == "stay-with-child" {
			time.Sleep(time.Minute)
		}
	default:
		return attackerState(args)
	}
	return 0
}

// spy tries to learn what other processes execute and hold.
func spy() {
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || pid == 1 {
			continue
		}
		exe, err := os.Readlink("/proc/" + e.Name() + "/exe")
		fds, ferr := os.ReadDir("/proc/" + e.Name() + "/fd")
		fmt.Println("looked at", pid, exe, err, len(fds), ferr)
	}
}

// rights writes down what the process may do and which cgroups bound it.
func rights(to string) int {
	var text strings.Builder
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		for _, k := range []string{"Cap", "NoNewPrivs", "Seccomp:", "Uid", "Gid", "Groups"} {
			if strings.HasPrefix(line, k) {
				fmt.Fprintln(&text, line)
			}
		}
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	text.Write(groups)
	if os.WriteFile(to, []byte(text.String()), 0600) != nil {
		return 1
	}
	return 0
}
