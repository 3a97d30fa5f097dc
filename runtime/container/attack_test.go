package container

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// The attacks on a container runtime, one family after the other; docs/attacks.md lists them. Each test sets a trap whose
// bait is a canary of its own, shows that the trap is real (who resolves the path naively does reach the canary), lets the
// runtime step on it, and finds the canary as it was. Nothing outside the test's own folder is ever the target.

// worlds runs an attack as on today's kernel and where calls are missing that protect today. In short mode the latter are left out: they are
// the same on every machine.
func worlds(t *testing.T, attack func(t *testing.T, s *scene)) {
	asRoot(t)
	for _, w := range []struct {
		name    string
		missing []string
		user    bool // in a user namespace
	}{
		{name: "modern"},
		{name: "without openat2", missing: []string{"openat2"}},
		{name: "old mount calls", missing: []string{"newMount", "mountSetattr", "idmappedMounts"}},
		{name: "both", missing: []string{"openat2", "newMount", "mountSetattr", "idmappedMounts"}},
		{name: "user namespace", user: true},
	} {
		t.Run(w.name, func(t *testing.T) {
			if testing.Short() && len(w.missing) > 0 {
				t.Skip("in short mode only as the kernel is")
			}
			s := newScene(t)
			s.runtime.pretend = func(h host.Host) host.Host {
				less, err := h.Without(w.missing...)
				if err != nil {
					t.Error(err)
				}
				return less
			}
			s.user = w.user
			s.control()
			attack(t, s)
		})
	}
}

// scene is where an attack happens.
type scene struct {
	*testing.T
	runtime *Runtime
	canary  string // a folder of the host that must stay as it is
	before  string
	user    bool
}

func newScene(t *testing.T) *scene {
	s := &scene{T: t, runtime: runtimeFor(t), canary: filepath.Join(t.TempDir(), "canary")}
	for _, dir := range []string{"", "sys/kernel", "self/attr", "fd", "pts", "shm"} {
		s.must(os.MkdirAll(filepath.Join(s.canary, dir), 0777))
	}
	for _, name := range []string{"file", "sysrq-trigger", "sys/kernel/core_pattern", "self/attr/exec", "console", "null"} {
		s.must(os.WriteFile(filepath.Join(s.canary, name), []byte("untouched"), 0666))
	}
	s.before = treeHash(t, s.canary)
	return s
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// control makes sure that a container without any trap runs in this world: else each attack would seem to fail.
func (s *scene) control() {
	s.Helper()
	dir, _ := s.bundle(nil, "exit", "7")
	if _, status, err := s.run(dir); err != nil || status != 7 {
		s.Fatalf("no container runs in this world: exit %d, %v", status, err)
	}
}

// untouched fails the test if anything of the canary changed, or a mount of the container is seen out here.
func (s *scene) untouched(what string) {
	s.Helper()
	if now := treeHash(s.T, s.canary); now != s.before {
		s.Errorf("%s: the canary changed", what)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	s.must(err)
	if strings.Contains(string(mounts), s.canary) {
		s.Errorf("%s: something is mounted on the canary", what)
	}
}

// treeHash covers names, kinds, modes, owners, times and content of all below a folder.
func treeHash(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return err
		}
		fmt.Fprintln(h, name, st.Mode, st.Uid, st.Gid, st.Rdev, st.Size, st.Mtim, st.Ctim)
		if d.Type().IsRegular() {
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			h.Write(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// bundle is a bundle whose config suits the world of the scene.
func (s *scene) bundle(change func(*specs.Spec), args ...string) (dir, root string) {
	s.Helper()
	dir = bundle(s.T, func(c *specs.Spec) {
		if s.user {
			inUserNamespace(c)
		}
		if change != nil {
			change(c)
		}
	}, args...)
	return dir, filepath.Join(dir, "rootfs")
}

func inUserNamespace(c *specs.Spec) {
	c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	c.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 200000, Size: 2000}}
	c.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 200000, Size: 2000}}
}

// run runs a container and returns its output, its exit status and what the runtime said.
func (s *scene) run(dir string) (string, int, error) {
	s.Helper()
	out, err := os.CreateTemp(s.TempDir(), "out")
	s.must(err)
	defer out.Close()
	null, err := os.Open("/dev/null")
	s.must(err)
	defer null.Close()
	status, rerr := s.runtime.Run(unique(s.T), RunOptions{CreateOptions: CreateOptions{Bundle: dir, Stdio: Stdio{In: null, Out: out, Err: out}}})
	b, err := os.ReadFile(out.Name())
	s.must(err)
	return string(b), status, rerr
}

// started gives a running container that is gone at the end of the test.
func (s *scene) started(dir string) string {
	s.Helper()
	id := unique(s.T)
	s.must(s.runtime.Create(id, CreateOptions{Bundle: dir}))
	s.Cleanup(func() {
		if err := s.runtime.Delete(id, true); err != nil {
			s.Error(err)
		}
		reap()
	})
	s.must(s.runtime.Start(id))
	return id
}

// exec runs a program in a container and returns what it printed.
func (s *scene) exec(id string, o ExecOptions) (string, int, error) {
	s.Helper()
	out, err := os.CreateTemp(s.TempDir(), "out")
	s.must(err)
	defer out.Close()
	o.Stdio = Stdio{Out: out, Err: out}
	status, xerr := s.runtime.Exec(id, o)
	b, err := os.ReadFile(out.Name())
	s.must(err)
	return string(b), status, xerr
}

// without leaves out the mounts at these places.
func without(c *specs.Spec, destinations ...string) {
	c.Mounts = slices.DeleteFunc(c.Mounts, func(m specs.Mount) bool { return slices.Contains(destinations, m.Destination) })
}

// plant puts something evil at a path: a kind and a target. It replaces what is there.
func (s *scene) plant(kind, target, at string) {
	s.Helper()
	s.must(os.MkdirAll(filepath.Dir(at), 0755))
	s.must(os.RemoveAll(at))
	switch kind {
	case "link":
		s.must(os.Symlink(target, at))
	case "climbing link":
		s.must(os.Symlink(strings.Repeat("../", 30)+strings.TrimPrefix(target, "/"), at))
	case "file":
		s.must(os.WriteFile(at, []byte("evil"), 0666))
	case "fifo":
		s.must(syscall.Mkfifo(at, 0666))
	case "other device":
		s.must(syscall.Mknod(at, syscall.S_IFCHR|0666, 1<<8|5))
	case "folder":
		s.must(os.Mkdir(at, 0777))
	case "nothing":
	default:
		s.Fatalf("cannot plant a %s", kind)
	}
}

// naive shows that a trap is real: who follows the path as the host resolves it reaches the canary.
func (s *scene) naive(at string) {
	s.Helper()
	got, err := filepath.EvalSymlinks(at)
	s.must(err)
	want, err := filepath.EvalSymlinks(s.canary)
	s.must(err)
	if got != want && !strings.HasPrefix(got, want+"/") {
		s.Fatalf("the trap at %s leads to %s, not to the canary", at, got)
	}
}

// exchange swaps two names without pause until stopped (renameat2(2), RENAME_EXCHANGE).
func (s *scene) exchange(a, b string) (stop func() (swaps int)) {
	numbers := map[string]uintptr{"amd64": 316, "arm64": 276}
	const atCWD, renameExchange = ^uintptr(99), 2
	pa, err := syscall.BytePtrFromString(a)
	s.must(err)
	pb, err := syscall.BytePtrFromString(b)
	s.must(err)
	end, done := make(chan struct{}), make(chan int)
	swap := func() syscall.Errno {
		_, _, e := syscall.Syscall6(numbers[runtime.GOARCH], atCWD, uintptr(unsafe.Pointer(pa)), atCWD, uintptr(unsafe.Pointer(pb)), renameExchange, 0)
		return e
	}
	if e := swap(); e != 0 {
		s.Fatalf("cannot exchange %s and %s: %v", a, b, e)
	}
	go func() {
		swaps := 1
		for {
			select {
			case <-end:
				done <- swaps
				return
			default:
				if swap() == 0 {
					swaps++
				}
			}
		}
	}()
	return func() int { close(end); return <-done }
}

// attacker is what the program inside does beside the probe's verbs.
func attacker(args []string) int {
	switch args[0] {
	case "mounts":
		b, _ := os.ReadFile("/proc/self/mountinfo")
		os.Stdout.Write(b)
	case "effects":
		json.NewEncoder(os.Stdout).Encode(effects())
	case "fds":
		return writeFDs(args[1])
	case "kind":
		for _, name := range args[1:] {
			fmt.Println(kindOf(name))
		}
	case "open": // for writing, and write nothing
		for _, name := range args[1:] {
			fd, err := syscall.Open(name, syscall.O_WRONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
			fmt.Println(name, err)
			syscall.Close(fd)
		}
	case "ls":
		for _, name := range args[1:] {
			list, err := os.ReadDir(name)
			fmt.Println(name, len(list), err)
			for _, e := range list {
				fmt.Println(" ", e.Name())
			}
		}
	default:
		return attackerProcess(args)
	}
	return 0
}

// kindOf describes a file: type, device number, size.
func kindOf(name string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%o %d:%d %d", st.Mode&syscall.S_IFMT, st.Rdev>>8, st.Rdev&255, st.Size)
}

// writeFDs lists its own descriptors into a file: those that were there when it began, which a descriptor of its own is not.
func writeFDs(to string) int {
	var text bytes.Buffer
	for fd := range 512 {
		target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err == nil && !strings.Contains(target, "anon_inode") && !strings.Contains(target, "/sys/fs/cgroup") {
			fmt.Fprintln(&text, fd, target)
		}
	}
	wd, _ := os.Getwd()
	fmt.Fprintln(&text, "cwd", wd)
	for _, e := range os.Environ() {
		fmt.Fprintln(&text, "env", e)
	}
	if os.WriteFile(to, text.Bytes(), 0600) != nil {
		return 1
	}
	return 0
}
