package leak

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance"
	"github.com/berth-oci/berth/conformance/probe"
)

// check runs a leak check, with a probe that needs no dynamic loader.
func check(t *testing.T, path, filter string) Report {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making namespaces needs root")
	}
	options := Options{Filter: filter}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if static, err := probe.Static(self); err != nil {
		t.Fatal(err)
	} else if !static {
		options.Probe = filepath.Join(t.TempDir(), "probe")
		build := exec.Command("go", "build", "-o", options.Probe, "../probe/witness")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("cannot build the probe: %v\n%s", err, output)
		}
	}
	report, err := Check(context.Background(), conformance.Runtime{Path: path}, options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// TestNothingLeaksFromAControl shows that the detectors do not see what is not there.
func TestNothingLeaksFromAControl(t *testing.T) {
	report := check(t, installed(t, "runc"), "")
	if len(report.Scenarios) != len(scenarios) {
		t.Errorf("%d scenarios were played, want %d", len(report.Scenarios), len(scenarios))
	}
	for _, finding := range report.Leaked() {
		t.Errorf("false alarm: %s", finding)
	}
	for _, problem := range report.Problems() {
		t.Errorf("did not go as planned: %s", problem)
	}
}

// TestEachDetectorFindsItsLeak lets a runtime leak on purpose, by a wrapper
// that does something at delete, and expects the finding by kind and name.
func TestEachDetectorFindsItsLeak(t *testing.T) {
	real := installed(t, "runc")
	for kind, leaking := range map[string]struct{ script, name string }{
		"process": {`sleep 600 </dev/null >/dev/null 2>&1 &`, "sleep 600"},
		"mount":   {`mkdir -p /mnt && mount -t tmpfs leaked /mnt`, "tmpfs on /mnt"},
		"cgroup":  {`for d in /sys/fs/cgroup/pids /sys/fs/cgroup; do mkdir "$d/$id" 2>/dev/null && break; done`, "leak"},
		"link":    {`ip link add leaked0 type veth peer name leaked1`, "leaked0"},
		"file":    {`touch /tmp/leaked-file`, "/tmp/leaked-file"},
	} {
		if kind == "link" {
			if _, err := exec.LookPath("ip"); err != nil {
				t.Run(kind, func(t *testing.T) { t.Skip("making a link needs the ip command") })
				continue
			}
		}
		t.Run(kind, func(t *testing.T) {
			wrapper := filepath.Join(t.TempDir(), "leaky")
			script := "#!/bin/sh\nfor id; do :; done\n" + real + " \"$@\"\ncode=$?\ncase \" $* \" in *\" delete \"*) " + leaking.script + " ;; esac\nexit $code\n"
			if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			found := check(t, wrapper, "^create, start, exit, delete$").Leaked()
			if !slices.ContainsFunc(found, func(f Finding) bool { return f.Kind == kind && strings.Contains(f.Name, leaking.name) }) {
				t.Errorf("the leak was not found; findings: %v", found)
			}
		})
	}
}

func TestSnapshotSeesDescriptors(t *testing.T) {
	before := Take("mark")
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := New("test", Snapshot{"descriptor": before["descriptor"]}, Snapshot{"descriptor": descriptors()})
	if !slices.ContainsFunc(found, func(f Finding) bool { return strings.Contains(f.Name, "/dev/null") }) {
		t.Errorf("an open descriptor was not found: %v", found)
	}
}

func TestSnapshotSeesKeyrings(t *testing.T) {
	const mark = "leakmark-of-a-test"
	if Take(mark)["keyring"] != nil {
		t.Fatal("the key exists before the test")
	}
	id, err := unix.AddKey("user", mark+"-key", []byte("x"), unix.KEY_SPEC_USER_KEYRING)
	if err != nil {
		t.Skipf("cannot make a key here: %v", err)
	}
	defer unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
	if found := Take(mark)["keyring"]; len(found) != 1 {
		t.Errorf("a key with the mark was not found: %v", found)
	}
}

func TestSnapshotSeesSharedMemory(t *testing.T) {
	before := segments()
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		t.Skipf("cannot make a segment here: %v", err)
	}
	defer unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	want := fmt.Sprintf("shm %d", id)
	if slices.Contains(before, want) || !slices.Contains(segments(), want) {
		t.Errorf("the new segment %q was not found", want)
	}
}

func TestSnapshotSeesLoopDevices(t *testing.T) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no loop devices here: %v", err)
	}
	defer control.Close()
	number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		t.Skipf("no free loop device: %v", err)
	}
	backing := filepath.Join(t.TempDir(), "leakmark-image")
	if err := os.WriteFile(backing, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(backing, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no loop device: %v", err)
	}
	defer device.Close()
	if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_FD, int(file.Fd())); err != nil {
		t.Skipf("cannot use a loop device: %v", err)
	}
	defer unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
	if found := loops("leakmark"); len(found) != 1 {
		t.Errorf("the loop device was not found: %v", found)
	}
}

func TestMarkedKeepsOnlyTheMark(t *testing.T) {
	got := marked([]string{"1 keyring _ses.leak42-1: 1", "2 keyring _ses.other: 1"}, "leak42")
	if !slices.Equal(got, []string{"1 keyring _ses.leak42-1: 1"}) {
		t.Errorf("marked = %v", got)
	}
}

func TestNewFindsWhatIsNew(t *testing.T) {
	before := Snapshot{"link": {"lo"}, "mount": {"tmpfs on /a"}}
	after := Snapshot{"link": {"lo", "veth0"}, "mount": {"tmpfs on /a", "tmpfs on /a"}}
	found := New("s", before, after)
	want := []Finding{{"s", "link", "veth0"}, {"s", "mount", "tmpfs on /a"}}
	if !slices.Equal(found, want) {
		t.Errorf("New = %v, want %v", found, want)
	}
}
