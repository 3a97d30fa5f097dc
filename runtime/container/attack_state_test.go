package container

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/store"
)

// TestAttack10KernelParametersDoNotGoAstray: the image's own /proc is no place that a write of the runtime reaches, and no name
// of a parameter climbs to another (CVE-2025-52881).
func TestAttack10KernelParametersDoNotGoAstray(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		dir, root := s.bundle(func(c *specs.Spec) {
			without(c, "/proc")
			c.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
		}, "exit", "0")
		s.plant("link", s.canary, filepath.Join(root, "proc"))
		s.naive(filepath.Join(root, "proc/sysrq-trigger"))
		s.run(dir)
		s.untouched("a parameter behind the image's /proc")
		for _, name := range []string{"net/../kernel/core_pattern", "net.ipv4/../../kernel/core_pattern", "net//../kernel/core_pattern", "/kernel/core_pattern",
			"kernel.core_pattern", "fs.mqueue/../../kernel/core_pattern", "net/..", "net/\x00"} {
			dir, _ := s.bundle(func(c *specs.Spec) { c.Linux.Sysctl = map[string]string{name: "|/evil"} }, "exit", "0")
			if _, err := s.runtime.decide(unique(t), CreateOptions{Bundle: dir}, true); err == nil {
				t.Errorf("the parameter %q is accepted", name)
			}
		}
	})
}

// TestAttack11StandardStreamsKeepTheirOwner: the streams are the caller's and stay so, whatever user the program is; the image's
// /dev/null plays no part.
func TestAttack11StandardStreamsKeepTheirOwner(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		s.must(err)
		defer out.Close()
		dir, root := s.bundle(func(c *specs.Spec) { c.Process.User = specs.User{UID: 1000, GID: 1000} }, "cat", "/proc/self/comm")
		s.plant("link", filepath.Join(s.canary, "null"), filepath.Join(root, "dev/null"))
		status, err := s.runtime.Run(unique(t), RunOptions{CreateOptions: CreateOptions{Bundle: dir, Stdio: Stdio{Out: out}}})
		if err != nil || status != 0 {
			t.Fatalf("exit %d, %v", status, err)
		}
		var st syscall.Stat_t
		s.must(syscall.Stat(out.Name(), &st))
		if st.Uid != 0 || st.Gid != 0 || st.Size == 0 {
			t.Errorf("the stream belongs to %d:%d and has %d bytes", st.Uid, st.Gid, st.Size)
		}
		s.untouched("streams")
	})
}

// TestAttack14ReleaseAgentCannotBeWritten: nor any other file of the hierarchies, as root of a container as spec writes it
// (CVE-2022-0492, CVE-2023-25809).
func TestAttack14ReleaseAgentCannotBeWritten(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		dir, _ := s.bundle(nil, "open", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/cpu/release_agent", "/sys/fs/cgroup/memory/cgroup.procs",
			"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/cgroup.subtree_control")
		out, status, err := s.run(dir)
		if err != nil || status != 0 || strings.Contains(out, "<nil>") || strings.Count(out, "\n") != 5 {
			t.Errorf("exit %d, %v: %s", status, err, out)
		}
	})
}

// TestAttack19IDsAreNames: an id is never a path, and never more than one line.
func TestAttack19IDsAreNames(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(nil, "exit", "0")
	for _, id := range []string{"", ".", "..", "/", "a/b", "../x", "a\nb", "a\x00b", "~1", strings.Repeat("a", 1<<20), "\x1b[31m", "é"} {
		errs := map[string]error{"create": s.runtime.Create(id, CreateOptions{Bundle: dir}), "start": s.runtime.Start(id),
			"kill": s.runtime.Kill(id, 9, true), "delete": s.runtime.Delete(id, false)}
		for verb, err := range errs {
			if err == nil {
				t.Errorf("%s of %.20q went through", verb, id)
			}
		}
	}
	s.untouched("ids")
}

// TestAttack25AnotherProcessOfThatPid: a state whose process has ended, and whose pid somebody else has got, harms nobody.
func TestAttack25AnotherProcessOfThatPid(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(nil, "sleep")
	id := unique(t)
	s.must(s.runtime.Create(id, CreateOptions{Bundle: dir}))
	time.Sleep(50 * time.Millisecond) // start times are counted in ticks of ten
	bystander := exec.Command("/proc/self/exe", "sleep")
	bystander.Args[0] = "probe"
	s.must(bystander.Start())
	defer bystander.Wait()
	defer bystander.Process.Kill()
	e, st, done, err := s.runtime.load(id)
	s.must(err)
	real := st.Init
	now, err := store.Identify(bystander.Process.Pid)
	s.must(err)
	st.Init.Pid, st.Started = now.Pid, true // with the start time of the container's
	if st.Init == now {
		done()
		t.Fatal("two processes are told apart by nothing")
	}
	s.must(e.Save(st))
	done()
	if err := s.runtime.Kill(id, 9, false); err == nil {
		t.Error("the signal was sent")
	}
	if _, err := s.runtime.Exec(id, ExecOptions{Args: []string{"/probe", "exit", "0"}}); err == nil {
		t.Error("a process was started beside the bystander")
	}
	s.must(s.runtime.Delete(id, true))
	reap()
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the bystander was harmed: %v", err)
	}
	if life, err := real.Life(); err == nil && life == store.Alive {
		t.Error("the container's own process is left")
	}
}

// TestAttack26StartSocket: only the owner reaches it, not the container, and only once.
func TestAttack26StartSocket(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(nil, "sleep")
	id := unique(t)
	s.must(s.runtime.Create(id, CreateOptions{Bundle: dir}))
	defer s.runtime.Delete(id, true)
	socket := filepath.Join(s.runtime.Root, id, startSocket)
	if st, err := os.Stat(socket); err != nil || st.Mode()&os.ModeSocket == 0 {
		t.Fatalf("the socket is not where this test looks: %v", err)
	}
	exe, err := os.Executable()
	s.must(err)
	stranger := exec.Command("/proc/self/exe", "connect", socket)
	stranger.Path = exe
	stranger.Args[0] = "probe"
	own, err := stranger.CombinedOutput()
	if err != nil || !strings.Contains(string(own), "connected") {
		t.Fatalf("the owner cannot connect, so this test proves nothing: %v %s", err, own)
	}
	for _, parent := range []string{filepath.Dir(s.runtime.Root), filepath.Dir(filepath.Dir(s.runtime.Root))} {
		s.must(os.Chmod(parent, 0755)) // the state directory alone must keep strangers out
	}
	open, err := os.Open(exe)
	s.must(err)
	defer open.Close()
	stranger = exec.Command("/proc/self/fd/3", "connect", socket)
	stranger.ExtraFiles = []*os.File{open}
	stranger.Args[0] = "probe"
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := stranger.CombinedOutput(); err != nil || !strings.Contains(string(out), "permission denied") {
		t.Errorf("another user: %v %s", err, out)
	}
	state(t, s.runtime, id, Created) // a connection without its byte starts nothing
	s.must(s.runtime.Start(id))
	if err := s.runtime.Start(id); err == nil {
		t.Error("it was started twice")
	}
	s.must(s.runtime.Kill(id, 9, false))
	await(t, s.runtime, id, Stopped)
	if err := s.runtime.Start(id); err == nil {
		t.Error("it was started after its death")
	}
}

func attackerState(args []string) int {
	if args[0] != "connect" {
		return attackerNested(args)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: args[1]})
	}
	if err == nil {
		fmt.Println("connected")
		return 0
	}
	fmt.Println(err)
	return 0
}
