package container

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestAttack15TextForgesNothing: annotations that look like lines of the saved state stay annotations, and a HOME with a line of passwd in it
// writes none.
func TestAttack15TextForgesNothing(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	hostile := map[string]string{
		"a\nstarted\nend":  "b\nstarted\ninit \"1\" \"1\" \"boot\"\nend\n",
		"c\" \"d\"\nowner": "\"\n\\\"\nextra \"hooks\" \"{}\"",
		"escape":           "\x1b[2J\r\u2028",
		"long":             strings.Repeat("x\n", 100_000),
	}
	dir, root := s.bundle(func(c *specs.Spec) {
		c.Annotations = hostile
		c.Root.Readonly = false
		c.Process.Env = append(c.Process.Env, "HOME=/\nevil::0:0::/:/probe")
	}, "sleep")
	s.must(os.Mkdir(filepath.Join(root, "etc"), 0755))
	s.must(os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/root:/probe\n"), 0666))
	before := treeHash(t, filepath.Join(root, "etc"))
	id := unique(t)
	s.must(s.runtime.Create(id, CreateOptions{Bundle: dir}))
	defer s.runtime.Delete(id, true)
	got := maps.Clone(state(t, s.runtime, id, Created).Annotations)
	delete(got, qosAnnotation)
	if !maps.Equal(got, hostile) {
		t.Errorf("the annotations came back as %.1000q", got)
	}
	s.must(s.runtime.Start(id))
	out, status, err := s.exec(id, ExecOptions{Args: []string{"/probe", "facts"}, Env: []string{"HOME=/\nevil2::0:0::/:/probe"}})
	if err != nil || status != 0 || !strings.Contains(out, `HOME=/\nevil2`) {
		t.Errorf("exec: %d, %v: %s", status, err, out)
	}
	if treeHash(t, filepath.Join(root, "etc")) != before {
		t.Error("the image's passwd changed")
	}
}

// TestAttack33ListingsOverHostileState: whatever lies in the state directory beside a container, listing shows that container, follows no
// link, waits for no pipe and says on one line each what is wrong.
func TestAttack33ListingsOverHostileState(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	var warned []string
	s.runtime.Warn = func(m string) { warned = append(warned, m) }
	dir, _ := s.bundle(nil, "sleep")
	good := s.started(dir)
	own, err := os.ReadFile(filepath.Join(s.runtime.Root, good, "state"))
	s.must(err)
	hostile := map[string]func(folder string){
		"pipe":    func(f string) { s.must(syscall.Mkfifo(filepath.Join(f, "state"), 0600)) },
		"link":    func(f string) { s.must(os.Symlink(filepath.Join(s.canary, "file"), filepath.Join(f, "state"))) },
		"device":  func(f string) { s.must(syscall.Mknod(filepath.Join(f, "state"), syscall.S_IFCHR|0600, 1<<8|5)) },
		"another": func(f string) { s.must(os.WriteFile(filepath.Join(f, "state"), own, 0600)) },
		"huge": func(f string) {
			s.must(os.WriteFile(filepath.Join(f, "state"), nil, 0600))
			s.must(os.Truncate(filepath.Join(f, "state"), 1<<40))
		},
		"writable": func(f string) {
			s.must(os.WriteFile(filepath.Join(f, "state"), own, 0600))
			s.must(os.Chmod(filepath.Join(f, "state"), 0666))
		},
		"escapes": func(f string) { s.must(os.WriteFile(filepath.Join(f, "state"), []byte("\x1b[2J\n\x1b]0;x\a"), 0600)) },
		"newer": func(f string) {
			s.must(os.WriteFile(filepath.Join(f, "state"), []byte("berth-state \"99\"\nend\n"), 0600))
		},
		"folder": func(f string) { s.must(os.Mkdir(filepath.Join(f, "state"), 0700)) },
	}
	for name, plant := range hostile {
		folder := filepath.Join(s.runtime.Root, name)
		s.must(os.Mkdir(folder, 0700))
		defer os.RemoveAll(folder)
		plant(folder)
	}
	for _, name := range []string{"\x1b[2J", "a\nb", "~7"} { // no ids
		s.must(os.Mkdir(filepath.Join(s.runtime.Root, name), 0700))
		defer os.RemoveAll(filepath.Join(s.runtime.Root, name))
	}
	s.must(os.Symlink(s.canary, filepath.Join(s.runtime.Root, "outside")))
	defer os.Remove(filepath.Join(s.runtime.Root, "outside"))
	list, err := s.runtime.List()
	if err != nil || len(list) != 1 || list[0].ID != good || list[0].Status != Running {
		t.Errorf("%v: %+v", err, list)
	}
	if len(warned) != len(hostile) {
		t.Errorf("%d warnings about %d containers: %q", len(warned), len(hostile), warned)
	}
	for name := range hostile {
		if _, err := s.runtime.State(name); err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("state of %s: %v", name, err)
		}
		if _, err := s.runtime.Processes(name); err == nil {
			t.Errorf("ps of %s", name)
		}
	}
	for _, w := range warned {
		if strings.ContainsAny(w, "\n\x1b") {
			t.Errorf("a warning of more than one line: %q", w)
		}
	}
	s.untouched("listings")
}

// TestAttack33CrowdOfProcesses: every process of a container is listed once, the children's children too, while they come and go.
func TestAttack33CrowdOfProcesses(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	const crowd = 300
	dir, root := s.bundle(nil, "crowd", strconv.Itoa(crowd))
	s.must(os.WriteFile(filepath.Join(root, "sleeper"), caller("", syscall.SYS_PPOLL), 0755)) // all arguments are zero: it waits for ever
	id := s.started(dir)
	for range 500 {
		pids, err := s.runtime.Processes(id)
		s.must(err)
		if len(pids) == crowd+1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	pids, err := s.runtime.Processes(id)
	if err != nil || len(pids) != crowd+1 {
		t.Fatalf("%d processes listed, there are %d (%v)", len(pids), crowd+1, err)
	}
	seen := map[int]bool{}
	for _, pid := range pids {
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err != nil || seen[pid] {
			t.Errorf("process %d is listed twice or is none: %v", pid, err)
		}
		seen[pid] = true
	}
}

// TestAttack24GroupsDeeperThanAnyPath: a container that may write to its cgroup makes groups below it until no path reaches the last, and
// puts a process there. It is listed, killed and removed with all the others.
func TestAttack24GroupsDeeperThanAnyPath(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, root := s.bundle(func(c *specs.Spec) {
		for i := range c.Mounts {
			if c.Mounts[i].Type == "cgroup" {
				c.Mounts[i].Options = []string{"rw", "nosuid", "noexec", "nodev"}
			}
		}
	}, "dig", "25", strings.Repeat("d", 200))
	s.must(os.WriteFile(filepath.Join(root, "sleeper"), caller("", syscall.SYS_PPOLL), 0755))
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	s.must(err)
	defer f.Close()
	id := unique(t)
	s.must(s.runtime.Create(id, CreateOptions{Bundle: dir, Stdio: Stdio{Out: f}}))
	defer s.runtime.Delete(id, true)
	s.must(s.runtime.Start(id))
	for range 500 {
		if b, _ := os.ReadFile(out); strings.Contains(string(b), "\n") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	b, err := os.ReadFile(out)
	s.must(err)
	if string(b) != "dug 25\n" {
		t.Skipf("the groups cannot be made in this machine's hierarchies: %q", b)
	}
	if pids, err := s.runtime.Processes(id); err != nil || len(pids) != 2 {
		t.Errorf("processes %v, %v", pids, err)
	}
	s.must(s.runtime.Delete(id, true))
	reap()
}

// dig makes groups below each other, by paths that begin in the last one, and starts a process in the deepest.
func dig(depth int, name string) error {
	base := "/sys/fs/cgroup"
	if _, err := os.Stat(base + "/pids"); err == nil { // a hierarchy of version 1
		base += "/pids"
	}
	if err := os.Chdir(base); err != nil {
		return err
	}
	for range depth {
		if err := os.Mkdir(name, 0755); err != nil {
			return err
		}
		if err := os.Chdir(name); err != nil {
			return err
		}
	}
	pid, err := syscall.ForkExec("/sleeper", []string{"sleeper"}, nil)
	if err != nil {
		return err
	}
	return os.WriteFile("cgroup.procs", []byte(strconv.Itoa(pid)), 0)
}

func attackerCrowd(args []string) int {
	if args[0] == "dig" {
		n, _ := strconv.Atoi(args[1])
		if err := dig(n, args[2]); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("dug", n)
		}
		time.Sleep(time.Minute)
		return 0
	}
	if args[0] != "crowd" {
		return 2
	}
	n, _ := strconv.Atoi(args[1])
	for range n {
		if _, err := syscall.ForkExec("/sleeper", []string{"sleeper"}, nil); err != nil {
			return 1
		}
	}
	time.Sleep(time.Minute)
	return 0
}
