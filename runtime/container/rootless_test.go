package container

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// TestRootless runs a container as an ordinary user. As root it becomes one in a child, in a folder of that user's.
func TestRootless(t *testing.T) {
	userNamespaces(t)
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	out, status := output(t, bundle(t, func(c *specs.Spec) {
		e := spec.Example(true, uid, gid)
		c.Linux, c.Mounts = e.Linux, e.Mounts
	}, "facts"))
	var f fact
	if err := json.Unmarshal([]byte(out), &f); err != nil || status != 0 {
		t.Fatalf("exit %d, output %q: %v", status, out, err)
	}
	if own, _ := os.Readlink("/proc/self/ns/user"); f.UID != 0 || f.Namespaces["user"] == own {
		t.Errorf("uid %d in user namespace %s, the runtime's is %s", f.UID, f.Namespaces["user"], own)
	}
}

func asNobody(t *testing.T) {
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "rootless")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "container.test")
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestRootless$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir, "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	text, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(text), "--- PASS: TestRootless") {
		t.Errorf("as nobody: %v\n%s", err, text)
	}
}
