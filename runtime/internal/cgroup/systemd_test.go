package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// withSystemd skips where no systemd manages the machine.
func withSystemd(t *testing.T) Host {
	t.Helper()
	h := probed(t)
	if _, err := os.Stat("/run/systemd/private"); err != nil {
		t.Skip("systemd does not run here")
	}
	return h
}

func unitLayout(t *testing.T, h Host, id string, r *specs.LinuxResources) Layout {
	t.Helper()
	path := "system.slice:berth-test:" + strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())
	l, err := Decide(Request{ID: id, CgroupsPath: path, Systemd: true, Resources: r, Host: h,
		Annotations: map[string]string{"org.systemd.property.CollectMode": "'inactive-or-failed'"}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func reload(t *testing.T) {
	t.Helper()
	c, err := connect(false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Call(systemdManager, "Reload"); err != nil {
		t.Fatal(err)
	}
}

// unitProperty asks systemd for a string property of a unit.
func unitProperty(t *testing.T, unit, property string) string {
	t.Helper()
	c, err := connect(false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	target := systemdManager
	target.Path, target.Interface = unitObject(unit), "org.freedesktop.DBus.Properties"
	m, err := c.Call(target, "Get", "org.freedesktop.systemd1.Unit", property)
	if err != nil {
		return err.Error()
	}
	s, err := m.Body().VariantString()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSystemdKeepsTheRulesOverReloadAndUpdate(t *testing.T) {
	h := withSystemd(t)
	node := filepath.Join("/dev", "berth-test-kmsg")
	if err := syscall.Mknod(node, syscall.S_IFCHR|0o600, 1<<8|11); err != nil {
		t.Skipf("cannot make a device node: %v", err)
	}
	defer os.Remove(node)
	kmsg := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr[int64](1), Minor: ptr[int64](11), Access: "r"}
	l := unitLayout(t, h, "one", &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20)}, Pids: &specs.LinuxPids{Limit: ptr[int64](50)},
		CPU:     &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](25000), Period: ptr[uint64](100000), Cpus: "0"},
		Devices: []specs.LinuxDeviceCgroup{kmsg},
	})
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
	before := settingsNow(t, l)
	if s := unitProperty(t, l.Unit.Name, "ActiveState"); s != "active" {
		t.Errorf("the unit is %s once its holder is gone", s)
	}
	check := func(when string, allowed bool) {
		t.Helper()
		cmd := inside(t, g, fmt.Sprintf("exec 3<%s || exit 1; true </dev/null || exit 98", node))
		if got := exitOf(t, cmd.Wait(), cmd.ProcessState).ExitStatus(); (got == 0) != allowed {
			t.Errorf("%s: opening the device ends with %d", when, got)
		}
		cmd = inside(t, g, "exec 3</dev/mem || exit 1")
		if cmd.Wait() == nil {
			t.Errorf("%s: /dev/mem can be opened", when)
		}
	}
	check("at first", true)
	reload(t)
	check("after daemon-reload", true)
	if after := settingsNow(t, l); after != before {
		t.Errorf("daemon-reload changed\n%s\nto\n%s", before, after)
	}
	if _, err := g.Update(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](77)}, Devices: []specs.LinuxDeviceCgroup{}}, h); err != nil {
		t.Fatal(err)
	}
	check("after update", false)
	reload(t)
	check("after update and daemon-reload", false)
	if s, err := g.Stats(); err != nil || s.Pids.Limit != 77 {
		t.Errorf("pids limit %d after update and daemon-reload, %v", s.Pids.Limit, err)
	}
}

func TestSystemdUnitOfAnotherIsRefusedAndUnharmed(t *testing.T) {
	h := withSystemd(t)
	first := unitLayout(t, h, "one", nil)
	t.Cleanup(func() { clean(t, first.State()) })
	if err := first.Make(); err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	g, err := Open(first.State())
	if err != nil {
		t.Fatal(err)
	}
	cmd := inside(t, g, "exec sleep 1000")
	second := unitLayout(t, h, "two", nil)
	if err := second.Make(); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
	second.Release()
	intruder, err := Open(second.State())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(intruder.KillAll(syscall.SIGKILL), intruder.Remove()); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the owner's process is gone: %v", err)
	}
	if s := unitProperty(t, first.Unit.Name, "ActiveState"); s != "active" {
		t.Errorf("the owner's unit is %s", s)
	}
}

func TestSystemdForgetsTheUnitAfterRemove(t *testing.T) {
	h := withSystemd(t)
	l := unitLayout(t, h, "one", nil)
	if err := l.Make(); err != nil {
		t.Fatal(err)
	}
	g, err := Open(l.State())
	if err != nil {
		t.Fatal(err)
	}
	inside(t, g, "exec sleep 1000")
	l.Release()
	if err := errors.Join(g.KillAll(syscall.SIGKILL), g.Remove()); err != nil {
		t.Error(err)
	}
	if s := unitProperty(t, l.Unit.Name, "LoadState"); s != "not-found" {
		t.Errorf("the unit is %s", s)
	}
	for _, d := range l.Dirs {
		if _, err := os.Stat(d.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left", d.Path)
		}
	}
}
