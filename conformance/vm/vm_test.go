package vm_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-oci/berth/conformance/vm"
	"github.com/berth-oci/berth/conformance/vm/vmtest"
)

// machines are the worlds that are proven here: both architectures on the default suite, and the last kernel whose
// cgroup v1 is complete. Booting takes most of the time, so each machine serves several tests; the last ends it.
var machines = []struct {
	vm.Machine
	then []func(*testing.T, *vm.Guest)
}{
	{vm.Machine{Arch: "amd64"}, []func(*testing.T, *vm.Guest){runsJobs, panicEndsTheJobWithTheConsole}},
	{vm.Machine{Arch: "arm64"}, []func(*testing.T, *vm.Guest){timeoutEndsTheMachine}},
	{vm.Machine{Arch: "amd64", Suite: "bookworm", Cgroup: vm.CgroupHybrid}, nil},
}

func TestMachine(t *testing.T) {
	uname := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	for _, m := range machines {
		t.Run(m.String(), func(t *testing.T) {
			start := time.Now()
			g := vmtest.Boot(t, m.Machine)
			t.Logf("booted in %.1f s, kernel's clock %.1f s: %+v", time.Since(start).Seconds(), g.Facts.Uptime, g.Facts)
			if got := run(t, g, "uname -m"); got != uname[m.Arch] {
				t.Errorf("uname -m says %q, want %q", got, uname[m.Arch])
			}
			if !strings.Contains(g.Facts.Kernel, "cloud-"+m.Arch) {
				t.Errorf("kernel %q is not Debian's for %s", g.Facts.Kernel, m.Arch)
			}
			if len(g.Facts.Warnings) > 0 {
				t.Errorf("the machine is not as it should be: %q", g.Facts.Warnings)
			}
			if got := run(t, g, "cat /proc/self/status | sed -n 's/^CapEff:.0*//p'; nproc; hostname"); got != "1ffffffffff\n2\nvm" {
				t.Errorf("not full root on two processors of vm: %q", got)
			}
			checkCgroups(t, g, m.Machine)
			for _, then := range m.then {
				then(t, g)
			}
		})
	}
}

func checkCgroups(t *testing.T, g *vm.Guest, m vm.Machine) {
	t.Helper()
	world := m.Cgroup
	if world == "" {
		world = vm.CgroupV2
	}
	if g.Facts.Cgroup != world {
		t.Fatalf("cgroup world is %q, want %q", g.Facts.Cgroup, world)
	}
	if world != vm.CgroupV2 {
		if got := run(t, g, "mkdir /sys/fs/cgroup/memory/a && echo 9999360 >/sys/fs/cgroup/memory/a/memory.limit_in_bytes && cat /sys/fs/cgroup/memory/a/memory.limit_in_bytes; ls /sys/fs/cgroup/unified/cgroup.procs"); got != "9998336\n/sys/fs/cgroup/unified/cgroup.procs" {
			t.Errorf("v1 memory limit, and v2 beside it: %q", got)
		}
		return
	}
	for _, c := range []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"} {
		if !slices.Contains(g.Facts.Controllers, c) {
			t.Errorf("cgroup controller %s is missing of %q", c, g.Facts.Controllers)
		}
	}
	if got := run(t, g, "mkdir /sys/fs/cgroup/a && echo 1 >/sys/fs/cgroup/a/pids.max && cat /sys/fs/cgroup/a/pids.max"); got != "1" {
		t.Errorf("pids.max of a new cgroup reads %q", got)
	}
}

// run runs a shell script in the guest and returns what it prints.
func run(t *testing.T, g *vm.Guest, script string) string {
	t.Helper()
	res, err := g.Run(t.Context(), vm.Job{Command: []string{"sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Stderr) > 0 {
		t.Errorf("%s: %s", script, res.Stderr)
	}
	return strings.TrimSpace(string(res.Stdout))
}

// runsJobs runs many jobs in one machine: each must find the conversation as the last left it.
func runsJobs(t *testing.T, g *vm.Guest) {
	job := func(t *testing.T, j vm.Job) vm.Result {
		t.Helper()
		res, err := g.Run(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}

	t.Run("exit code comes back", func(t *testing.T) {
		if res := job(t, vm.Job{Command: []string{"sh", "-c", "exit 42"}}); res.ExitCode != 42 || res.Signal != 0 {
			t.Errorf("exit code %d, signal %d", res.ExitCode, res.Signal)
		}
	})
	t.Run("signal comes back", func(t *testing.T) {
		if res := job(t, vm.Job{Command: []string{"sh", "-c", "kill -9 $$"}}); res.ExitCode != -1 || res.Signal != syscall.SIGKILL {
			t.Errorf("exit code %d, signal %d", res.ExitCode, res.Signal)
		}
	})
	t.Run("output keeps its streams apart and whole", func(t *testing.T) {
		res := job(t, vm.Job{Command: []string{"sh", "-c", "seq 1 200000; echo oops >&2; echo '<0>kernel noise' >/dev/kmsg"}})
		if n := bytes.Count(res.Stdout, []byte("\n")); n != 200000 || !bytes.HasSuffix(res.Stdout, []byte("\n200000\n")) {
			t.Errorf("%d lines of standard output", n)
		}
		if string(res.Stderr) != "oops\n" {
			t.Errorf("standard error %q", res.Stderr)
		}
	})
	t.Run("environment, directory and standard input arrive", func(t *testing.T) {
		res := job(t, vm.Job{Command: []string{"sh", "-c", "echo $A; pwd; cat"}, Env: []string{"A=b c"}, Dir: "/proc", Stdin: strings.NewReader("in")})
		if got := string(res.Stdout); got != "b c\n/proc\nin" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("ordinary user has no power", func(t *testing.T) {
		res := job(t, vm.Job{Command: []string{"sh", "-c", "id -u; id -g; sed -n 's/^CapEff:.//p' /proc/self/status"}, UID: 1000, GID: 1001})
		if got := string(res.Stdout); got != "1000\n1001\n0000000000000000\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("files make the round trip", func(t *testing.T) { filesRoundTrip(t, job) })
	t.Run("process left behind does not hold the job up", func(t *testing.T) {
		res := job(t, vm.Job{Command: []string{"sh", "-c", "sleep 1000 & echo $!"}})
		pid := strings.TrimSpace(string(res.Stdout))
		if got := run(t, g, "cat /proc/"+pid+"/comm; sed -n 's/PPid:.//p' /proc/"+pid+"/status; kill "+pid); got != "sleep\n1" {
			t.Errorf("the process is %q, want a living child of process 1", got)
		}
	})
	t.Run("orphans are reaped", func(t *testing.T) {
		run(t, g, "(sleep 0.1 &) ; (sleep 0.1 &)")
		got := run(t, g, "i=0; while grep -qs '^State:.Z' /proc/[0-9]*/status && [ $i -lt 50 ]; do sleep 0.1; i=$((i+1)); done; grep -ls '^State:.Z' /proc/[0-9]*/status")
		if got != "" {
			t.Errorf("zombies: %s", got)
		}
	})
	t.Run("command that is not there is an error and the machine goes on", func(t *testing.T) {
		_, err := g.Run(t.Context(), vm.Job{Command: []string{"no-such-program"}})
		if err == nil || !strings.Contains(err.Error(), "cannot find no-such-program") {
			t.Errorf("error %v", err)
		}
		if got := run(t, g, "echo on"); got != "on" {
			t.Errorf("the next job says %q", got)
		}
	})
	t.Run("pivot_root works as container runtimes need it", func(t *testing.T) {
		got := run(t, g, "unshare -m sh -c 'mount -t tmpfs t /mnt && mkdir /mnt/old /mnt/bin && cp /bin/busybox /mnt/bin && pivot_root /mnt /mnt/old && /bin/busybox ls /'")
		if got != "bin\nold" {
			t.Errorf("the new root holds %q", got)
		}
	})
	t.Run("mounts propagate", func(t *testing.T) {
		if got := run(t, g, "sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \\/ [^ ]* \\([^ ]*\\) .*/\\1/p' /proc/self/mountinfo"); !strings.HasPrefix(got, "shared:") {
			t.Errorf("the root mount is %q, want shared", got)
		}
	})
}

func filesRoundTrip(t *testing.T, job func(*testing.T, vm.Job) vm.Result) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	host := t.TempDir()
	for path, text := range map[string]string{"script": "#!/bin/sh\necho ran\n", "sub/data": "data"} {
		path = filepath.Join(host, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("sub/data", filepath.Join(host, "link")); err != nil {
		t.Fatal(err)
	}
	res := job(t, vm.Job{
		Files: map[string]vm.File{
			"/w/big":  {Data: big},
			"/w/suid": {Data: []byte("x"), Mode: os.ModeSetuid | 0o711},
			"/tree":   {Host: host},
		},
		Command: []string{"sh", "-c", "/tree/script; readlink /tree/link; stat -c '%a %u' /w/suid; mkdir -p /out/d; cp /w/big /out/d; cp /tree/link /out/copy"},
		Fetch:   []string{"/out", "/sys/fs/cgroup/cgroup.contr*", "/nowhere"},
	})
	if got := string(res.Stdout); got != "ran\nsub/data\n4711 0\n" {
		t.Errorf("in the guest: %q %s", got, res.Stderr)
	}
	if !bytes.Equal(res.Files["/out/d/big"], big) || string(res.Files["/out/copy"]) != "data" {
		t.Errorf("%d bytes and %q came back", len(res.Files["/out/d/big"]), res.Files["/out/copy"])
	}
	if !bytes.Contains(res.Files["/sys/fs/cgroup/cgroup.controllers"], []byte("memory")) {
		t.Errorf("fetched controllers %q", res.Files["/sys/fs/cgroup/cgroup.controllers"])
	}
	if !slices.Equal(res.Missing, []string{"/nowhere"}) {
		t.Errorf("missing %q", res.Missing)
	}
}

func timeoutEndsTheMachine(t *testing.T, g *vm.Guest) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	res, err := g.Run(ctx, vm.Job{Command: []string{"sh", "-c", "echo begun; trap '' TERM INT; while :; do :; done"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if string(res.Stdout) != "begun\n" {
		t.Errorf("output until then %q", res.Stdout)
	}
	if _, err := g.Run(t.Context(), vm.Job{Command: []string{"true"}}); err == nil {
		t.Error("the machine still runs jobs")
	}
}

func panicEndsTheJobWithTheConsole(t *testing.T, g *vm.Guest) {
	_, err := g.Run(t.Context(), vm.Job{Command: []string{"sh", "-c", "echo c >/proc/sysrq-trigger; sleep 1000"}})
	if err == nil || !vm.Panicked(err) || !strings.Contains(err.Error(), "the machine ended") || !strings.Contains(err.Error(), "Kernel panic - not syncing: sysrq triggered crash") {
		t.Errorf("error %v", err)
	}
}

// TestQemuDiesWithItsParent kills a child of this test that has booted a machine.
func TestQemuDiesWithItsParent(t *testing.T) {
	if os.Getenv("VM_BOOT_AND_WAIT") != "" {
		g := vmtest.Boot(t, vm.Machine{Arch: "amd64", Append: "marker=" + os.Getenv("VM_BOOT_AND_WAIT")})
		fmt.Println("booted", g.Facts.Kernel)
		time.Sleep(time.Minute)
		return
	}
	marker := fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())
	cmd := exec.Command(os.Args[0], "-test.run=^TestQemuDiesWithItsParent$", "-test.v")
	cmd.Env = append(os.Environ(), "VM_BOOT_AND_WAIT="+marker)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	booted := false
	for lines := bufio.NewScanner(out); !booted && lines.Scan(); {
		if strings.Contains(lines.Text(), "--- SKIP") {
			t.Skip("no machine could be booted")
		}
		booted = strings.HasPrefix(lines.Text(), "booted ")
	}
	if !booted || len(processes(t, marker)) != 1 {
		t.Fatalf("booted: %v, machines: %v", booted, processes(t, marker))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if len(processes(t, marker)) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the machine outlives its parent: %v", processes(t, marker))
}

// processes lists emulators with a word in their command line.
func processes(t *testing.T, word string) (pids []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		line, _ := os.ReadFile(p)
		if bytes.HasPrefix(line, []byte("/")) && bytes.Contains(line, []byte("qemu-system")) && bytes.Contains(line, []byte(word)) {
			pids = append(pids, filepath.Base(filepath.Dir(p)))
		}
	}
	return pids
}

func TestMissingQemuIsUnavailable(t *testing.T) {
	hidePrograms(t)
	_, err := vm.Machine{Arch: "amd64"}.Run(t.Context(), vm.Job{Command: []string{"true"}})
	if !vm.IsUnavailable(err) || !strings.Contains(err.Error(), "install the package qemu-system-x86") {
		t.Errorf("error %v", err)
	}
}

func TestMissingAptIsUnavailable(t *testing.T) {
	hidePrograms(t)
	t.Setenv(vm.CacheVariable, t.TempDir())
	t.Setenv(vm.MirrorVariable, "http://archive.invalid/debian")
	_, err := vm.Package(t.Context(), "trixie", "arm64", "busybox-static")
	if !vm.IsUnavailable(err) {
		t.Errorf("error %v", err)
	}
}

func TestUnreachableArchiveIsUnavailable(t *testing.T) {
	t.Setenv(vm.CacheVariable, t.TempDir())
	t.Setenv(vm.MirrorVariable, "file:///nonexistent/debian")
	_, err := vm.Package(t.Context(), "trixie", "arm64", "busybox-static")
	if !vm.IsUnavailable(err) {
		t.Errorf("error %v", err)
	}
}

func TestUnknownPackageIsUnavailable(t *testing.T) {
	if _, err := vm.Package(t.Context(), vm.DefaultSuite, "arm64", "busybox-static"); err != nil {
		vmtest.Check(t, err)
	}
	_, err := vm.Package(t.Context(), vm.DefaultSuite, "arm64", "no-such-package-at-all")
	if !vm.IsUnavailable(err) || !strings.Contains(err.Error(), "Unable to locate package") {
		t.Errorf("error %v", err)
	}
}

// hidePrograms leaves the path empty.
func hidePrograms(t *testing.T) { t.Setenv("PATH", t.TempDir()) }

func TestMachineRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, m := range []vm.Machine{{Arch: "vax"}, {Cgroup: "v3"}} {
		if _, err := m.Boot(t.Context()); err == nil || !strings.Contains(err.Error(), "are known") {
			t.Errorf("%+v: error %v", m, err)
		}
	}
}
