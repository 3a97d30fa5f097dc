package container

import (
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ownNetwork gives the test a network namespace of its own to play the host's, with a pair of virtual devices in it.
func ownNetwork(t *testing.T) {
	t.Helper()
	asRoot(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the program ip (iproute2)")
	}
	runtime.LockOSThread() // and never unlock: the thread ends with the test
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace can be made here: %v", err)
	}
	ip(t, "link add eth7 type veth peer name other7")
	ip(t, "addr add 10.9.8.7/24 dev eth7")
	ip(t, "addr add fd00:9::7/64 dev eth7")
	ip(t, "link set eth7 up")
}

func ip(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", command, err, out)
	}
	return string(out)
}

func withDevice(name string) func(*specs.Spec) {
	return func(c *specs.Spec) { c.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth7": {Name: name}} }
}

// wantHome wants the device back, with its name, its addresses and up.
func wantHome(t *testing.T) {
	t.Helper()
	got := ip(t, "addr show dev eth7")
	for _, want := range []string{"10.9.8.7/24", "fd00:9::7/64", "UP"} {
		if !strings.Contains(got, want) {
			t.Errorf("the device that came back lacks %s:\n%s", want, got)
		}
	}
}

// TestNetDeviceIsLentAndComesBack: also where the container's process is gone before delete, and after a rename inside.
func TestNetDeviceIsLentAndComesBack(t *testing.T) {
	for _, name := range []string{"", "inner0", "inner%d"} {
		t.Run("as "+name, func(t *testing.T) {
			ownNetwork(t)
			r, id := runtimeFor(t), unique(t)
			if err := r.Create(id, CreateOptions{Bundle: bundle(t, withDevice(name), "exit", "0")}); err != nil {
				t.Fatal(err)
			}
			if got := ip(t, "link"); strings.Contains(got, "eth7:") {
				t.Errorf("the device is still on the host:\n%s", got)
			}
			s, err := r.State(id)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(s.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if _, err := syscall.Wait4(s.Pid, nil, 0, nil); err != nil {
				t.Fatal(err)
			}
			if err := r.Delete(id, true); err != nil {
				t.Fatal(err)
			}
			wantHome(t)
		})
	}
}

// TestNetDeviceNameTaken: nothing is taken over, and the device stays with the host.
func TestNetDeviceNameTaken(t *testing.T) {
	ownNetwork(t)
	err := runtimeFor(t).Create(unique(t), CreateOptions{Bundle: bundle(t, withDevice("lo"), "exit", "0")})
	if err == nil || !strings.Contains(err.Error(), "linux.netDevices") || !strings.Contains(err.Error(), "exists") {
		t.Errorf("the error is %v", err)
	}
	wantHome(t)
}

// TestNetDeviceNamesAreNamesOnly: no name leads out of a folder of devices, and none is too long for the kernel.
func TestNetDeviceNamesAreNamesOnly(t *testing.T) {
	asRoot(t)
	for _, name := range []string{"../eth0", "a/b", ".", "..", "%s", "x%dy", "abcdefghijklmnop", "a b", "a:b"} {
		err := runtimeFor(t).Create(unique(t), CreateOptions{Bundle: bundle(t, withDevice(name), "exit", "0")})
		if err == nil || !strings.Contains(err.Error(), "linux.netDevices") {
			t.Errorf("name %q: the error is %v", name, err)
		}
	}
}

// TestNetDeviceComesBackFromAFailedCreate: a hook fails after the move.
func TestNetDeviceComesBackFromAFailedCreate(t *testing.T) {
	ownNetwork(t)
	fails := func(c *specs.Spec) {
		withDevice("inner0")(c)
		c.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/false"}}}
	}
	if err := runtimeFor(t).Create(unique(t), CreateOptions{Bundle: bundle(t, fails, "exit", "0")}); err == nil {
		t.Error("create succeeded although its hook failed")
	}
	wantHome(t)
}
