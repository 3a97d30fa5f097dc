package seccomp

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// runc's own filter, read out of the kernel from a container that it runs, answers every call as ours does.
func TestDockersProfileIsRuncs(t *testing.T) {
	l := openLibrary(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs a container with runc")
	}
	p, _ := l.known(*docker(t, runtime.GOARCH))
	theirs := decode(t, filterOfRunc(t, p))
	f, err := Compile(p, runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	ours := decode(t, f.Program)
	t.Logf("%d instructions, runc %d", len(ours), len(theirs))
	r, pools, compared := rand.New(rand.NewPCG(7, 8)), l.values(p), 0
	for _, audit := range []uint32{tokens[x8664], tokens[x86], tokens[arm64], tokens[arm], 0} {
		for _, n := range interesting(theirs) {
			for _, args := range arguments(pools[n], r) {
				c := call{n, audit, args}
				got, _ := ours.run(&c)
				want, _ := theirs.run(&c)
				if compared++; got != want && !privateRange(&c, got, want) {
					t.Fatalf("%v: returns %#x, runc's %#x", &c, got, want)
				}
			}
		}
	}
	t.Logf("%d calls compared", compared)
}

// privateRange is where docs/adr/0090 differs from runc: calls newer than the profile, below an architecture's own numbers.
func privateRange(c *call, got, want uint32) bool {
	x32New := c.arch == tokens[x8664] && c.number >= x32Bit && c.number < x32Bit|512
	armNew := c.arch == tokens[arm] && c.number < 0xf0000
	return (x32New || armNew) && got == errno|enosys && want == errno|eperm
}

// filterOfRunc runs a container under a profile and reads its filter.
func filterOfRunc(t *testing.T, p *specs.LinuxSeccomp) []byte {
	t.Helper()
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("needs runc")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox-static")
	}
	dir, id := t.TempDir(), fmt.Sprintf("berth-seccomp-%d", os.Getpid())
	run := func(args ...string) ([]byte, error) {
		cmd := exec.Command(runc, append([]string{"--root", filepath.Join(dir, "state")}, args...)...)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	text, err := os.ReadFile(busybox)
	if err == nil {
		if err = os.MkdirAll(filepath.Join(dir, "rootfs/bin"), 0755); err == nil {
			err = os.WriteFile(filepath.Join(dir, "rootfs/bin/sleep"), text, 0755)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run("spec"); err != nil {
		t.Fatalf("runc spec: %v: %s", err, out)
	}
	var c specs.Spec
	text, err = os.ReadFile(filepath.Join(dir, "config.json"))
	if err == nil {
		if err = json.Unmarshal(text, &c); err == nil {
			c.Process.Terminal, c.Process.Args, c.Linux.Seccomp = false, []string{"/bin/sleep", "60"}, p
			text, _ = json.Marshal(c)
			err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(dir, "pid")
	cmd := exec.Command(runc, "--root", filepath.Join(dir, "state"), "run", "--detach", "--pid-file", pidFile, id)
	cmd.Dir = dir
	if err := cmd.Run(); err != nil {
		t.Skipf("needs a machine on which runc runs a container: %v", err)
	}
	defer run("delete", "--force", id)
	text, err = os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	fmt.Sscan(string(text), &pid)
	return readFilter(t, pid)
}

// readFilter asks the kernel for the filter of a process (ptrace(2), PTRACE_SECCOMP_GET_FILTER).
func readFilter(t *testing.T, pid int) []byte {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.PtraceAttach(pid); err != nil {
		t.Skipf("needs ptrace: %v", err)
	}
	defer syscall.PtraceDetach(pid)
	for range 1000 {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if strings.Contains(string(status), "State:\tt") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	const getFilter = 0x420c
	code := make([]byte, 8*maxInstructions)
	n, _, e := syscall.Syscall6(syscall.SYS_PTRACE, getFilter, uintptr(pid), 0, uintptr(unsafe.Pointer(&code[0])), 0, 0)
	if e == syscall.EINVAL || e == syscall.EIO || e == syscall.EACCES {
		t.Skipf("needs a kernel with CONFIG_CHECKPOINT_RESTORE: %v", e)
	}
	if e != 0 {
		t.Fatal(e)
	}
	return code[:8*n]
}
