package cgroup

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const asUser = "CGROUP_TEST_AS_USER"

// TestUserManagerMakesTheGroup runs a plain user's part below that user's systemd, in a guest that is ours to add users to.
func TestUserManagerMakesTheGroup(t *testing.T) {
	if os.Getenv(asUser) != "" {
		userPart(t)
		return
	}
	withSystemd(t)
	if os.Getenv(inGuest) == "" {
		t.Skip("only in a guest, whose users may be changed")
	}
	const uid = 4242
	for file, line := range map[string]string{"/etc/passwd": "tester:x:4242:4242::/:/bin/sh\n", "/etc/group": "tester:x:4242:\n"} {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	c, err := connect(false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := watchJobs(c); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Call(systemdManager, "StartUnit", "user@4242.service", "replace")
	if err == nil {
		err = waitJob(c, reply, "start", "user@4242.service")
	}
	if err != nil {
		t.Skipf("no user manager here: %v", err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestUserManagerMakesTheGroup$", "-test.v")
	cmd.Env = append(os.Environ(), asUser+"=1", "XDG_RUNTIME_DIR=/run/user/"+strconv.Itoa(uid), "TMPDIR=/run/user/"+strconv.Itoa(uid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func userPart(t *testing.T) {
	h, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	h.Rootless = true
	h.UserManager = "/user.slice/user-4242.slice/user@4242.service"
	l, err := Decide(Request{ID: "one", CgroupsPath: "user.slice:berth-test:one", Systemd: true, Host: h,
		Resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](20)}, Memory: &specs.LinuxMemory{Limit: ptr[int64](64 * mib)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clean(t, l.State()) })
	if err := l.Make(); err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if err := l.Apply(); err != nil {
		t.Fatal(err)
	}
	g, err := Open(l.State())
	if err != nil {
		t.Fatal(err)
	}
	inside(t, g, "exec sleep 1000")
	l.Release()
	s, err := g.Stats()
	if err != nil || s.Pids.Limit != 20 || s.Memory.Usage.Limit != 64*mib {
		t.Errorf("limits %d and %d, %v", s.Pids.Limit, s.Memory.Usage.Limit, err)
	}
	if pids, err := g.Procs(); len(pids) != 1 || err != nil {
		t.Errorf("processes %v, %v", pids, err)
	}
}
