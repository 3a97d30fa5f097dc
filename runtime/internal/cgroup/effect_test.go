package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func ptr[T any](v T) *T { return &v }

func exitOf(t *testing.T, err error, state *os.ProcessState) syscall.WaitStatus {
	t.Helper()
	if state == nil {
		t.Fatalf("the process did not run: %v", err)
	}
	return state.Sys().(syscall.WaitStatus)
}

func TestMemoryHogIsKilledAtTheLimitAndNoticed(t *testing.T) {
	_, g := made(t, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](32 << 20), Swap: ptr[int64](32 << 20)}})
	stop, notices := make(chan struct{}), make(chan uint64, 100)
	watched := make(chan error, 1)
	go func() { watched <- g.OOM(stop, func(n uint64) { notices <- n }) }()
	cmd := inside(t, g, "head -c 200m /dev/zero | tail | wc -c; sleep 0.1")
	waitErr := cmd.Wait()
	select {
	case kills := <-notices:
		if kills == 0 {
			t.Error("a notice with no kill")
		}
	case <-time.After(10 * time.Second):
		t.Error("no notice")
	}
	close(stop)
	if err := <-watched; err != nil {
		t.Error(err)
	}
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.Memory.OOMKills == 0 {
		t.Errorf("no kill counted (shell: %v)", waitErr)
	}
	if s.Memory.Usage.Limit != 32<<20 || s.Memory.Usage.Max > 32<<20 {
		t.Errorf("limit %d, highest use %d", s.Memory.Usage.Limit, s.Memory.Usage.Max)
	}
}

func TestOOMWatchEndsWhenTheGroupGoes(t *testing.T) {
	_, g := made(t, nil)
	if _, ok := g.Dir("memory"); !ok {
		t.Skip("no memory controller is mounted")
	}
	ended := make(chan error, 1)
	go func() { ended <- g.OOM(make(chan struct{}), func(uint64) {}) }()
	time.Sleep(50 * time.Millisecond) // let it register; too early is only a weaker test
	if err := g.Remove(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("still watching a group that is gone")
	}
}

func TestForkBombStopsAtPidsLimit(t *testing.T) {
	_, g := made(t, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](8)}})
	cmd := inside(t, g, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1000 & done; wait")
	waitFor(t, "refused fork", func() bool {
		d, _ := g.Dir("pids")
		r := reader{dir: d.Path}
		return r.table("pids.events")["max"] > 0
	})
	pids, err := g.Procs()
	if err != nil || len(pids) > 8 {
		t.Errorf("%d processes, %v", len(pids), err)
	}
	if err := g.KillAll(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
}

func TestPidsLimitZeroLetsTheFirstProcessJoinAndNoOther(t *testing.T) {
	l, g := made(t, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](0)}})
	j := l.Join()
	if d, _ := l.Dir("pids"); d.Version == 2 && j.CloneInto != "" {
		t.Error("a clone into the group would fail")
	}
	cmd := inside(t, g, "(true) 2>/dev/null && exit 1; exit 0") // the kernel refuses the fork: the shell ends with 2
	err := cmd.Wait()
	if code := exitOf(t, err, cmd.ProcessState).ExitStatus(); code == 1 || code == 99 {
		t.Errorf("exit status %d", code)
	}
}

func TestCPUQuotaHoldsWithinTenPercent(t *testing.T) {
	const quota, period = 20000, 100000 // a fifth of one CPU
	_, g := made(t, &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr[int64](quota), Period: ptr[uint64](period)}})
	cmd := inside(t, g, "while :; do :; done")
	waitFor(t, "thirty throttled periods", func() bool {
		s, err := g.Stats()
		return err == nil && s.CPU.Throttling.ThrottledPeriods >= 30 // what one late tick gives too much, the next periods take back
	})
	used, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	since, err := g.Stats() // the counters of one sample are not read at one moment: periods that are read later are never too few
	if err != nil {
		t.Fatal(err)
	}
	if err := g.KillAll(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	allowed := (since.CPU.Throttling.Periods + 2) * quota * 1000 * 11 / 10
	if used.CPU.Usage.Total > allowed {
		t.Errorf("used %d ns in %d periods, allowed %d", used.CPU.Usage.Total, since.CPU.Throttling.Periods, allowed)
	}
}

// kmsgRule allows to read a device that no default rule allows.
var kmsgRule = specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr[int64](1), Minor: ptr[int64](11), Access: "r"}

// kmsgOpener gives a function that opens that device as a member of the group: it returns 0 where that succeeds.
func kmsgOpener(t *testing.T, g *Group) func() int {
	t.Helper()
	dir := t.TempDir()
	if os.Getenv(inGuest) != "" {
		dir = "/dev" // the guest's temporary files are on a file system without devices
	}
	node := filepath.Join(dir, "kmsg-"+t.Name())
	if err := syscall.Mknod(node, syscall.S_IFCHR|0o600, 1<<8|11); err != nil {
		t.Skipf("cannot make a device node: %v", err)
	}
	t.Cleanup(func() { os.Remove(node) })
	if f, err := os.Open(node); err != nil {
		t.Skipf("cannot open the device node without a group either: %v", err)
	} else {
		f.Close()
	}
	return func() int {
		cmd := inside(t, g, fmt.Sprintf("exec 3<%s || exit 1; true </dev/null || exit 98", node))
		err := cmd.Wait()
		return exitOf(t, err, cmd.ProcessState).ExitStatus()
	}
}

func TestDeniedDeviceCannotBeOpenedAlsoAfterUpdate(t *testing.T) {
	_, g := made(t, &specs.LinuxResources{})
	open := kmsgOpener(t, g)
	if open() == 0 {
		t.Error("kmsg could be opened without a rule")
	}
	h, rule := probed(t), kmsgRule
	if _, err := g.Update(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule}}, h); err != nil {
		t.Fatal(err)
	}
	if code := open(); code != 0 {
		t.Errorf("kmsg cannot be opened with a rule: exit %d", code)
	}
	if _, err := g.Update(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](100)}}, h); err != nil {
		t.Fatal(err)
	}
	if code := open(); code != 0 {
		t.Errorf("an update of something else took the device away: exit %d", code)
	}
	if _, err := g.Update(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{}}, h); err != nil {
		t.Fatal(err)
	}
	if open() == 0 {
		t.Error("kmsg can be opened after its rule was taken away")
	}
}

func TestFrozenGroupMakesNoProgressAndCanBeKilled(t *testing.T) {
	_, g := made(t, nil)
	file := filepath.Join(t.TempDir(), "count")
	cmd := inside(t, g, "i=0; while :; do i=$((i+1)); echo $i > "+file+"; done")
	waitFor(t, "progress", func() bool { b, _ := os.ReadFile(file); return len(b) > 1 })
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if is, err := g.Frozen(); !is || err != nil {
		t.Errorf("frozen %v, %v", is, err)
	}
	before, _ := os.ReadFile(file)
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	after, _ := os.ReadFile(file)
	s2, err := g.Stats()
	if err != nil || string(before) != string(after) || s.CPU.Usage.User != s2.CPU.Usage.User {
		t.Errorf("progress while frozen: %q to %q, %v", before, after, err)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "progress after the thaw", func() bool { b, _ := os.ReadFile(file); return string(b) != string(before) && len(b) > 0 })
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.KillAll(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, cmd.Wait(), cmd.ProcessState); code.Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v", code)
	}
}

func TestSignalToFrozenGroupLeavesItFrozen(t *testing.T) {
	_, g := made(t, nil)
	inside(t, g, "exec sleep 1000")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.KillAll(syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	if is, err := g.Frozen(); !is || err != nil {
		t.Errorf("frozen %v, %v", is, err)
	}
}

func TestFailingUpdateLeavesFormerValues(t *testing.T) {
	l, g := made(t, &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20)},
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](20000), Period: ptr[uint64](100000), Cpus: "0"},
		Pids:   &specs.LinuxPids{Limit: ptr[int64](50)},
	})
	before := settingsNow(t, l)
	_, err := g.Update(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](128 << 20)},
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](2048), Quota: ptr[int64](50000), Cpus: "4095"}, // no such CPU
		Pids:   &specs.LinuxPids{Limit: ptr[int64](99)},
	}, probed(t))
	if err == nil || !strings.Contains(err.Error(), "linux.resources.cpu.cpus") {
		t.Errorf("error %v", err)
	}
	if after := settingsNow(t, l); after != before {
		t.Errorf("changed from\n%s\nto\n%s", before, after)
	}
}

func TestUpdateKeepsWhatBelongsToTheFieldsThatItHas(t *testing.T) {
	_, g := made(t, &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](64 * mib), Swap: ptr[int64](96 * mib)},
		CPU:    &specs.LinuxCPU{Quota: ptr[int64](20000), Period: ptr[uint64](50000)},
	})
	h := probed(t)
	update := func(r specs.LinuxResources) error { _, err := g.Update(&r, h); return err }
	check := func(quota, period, limit, swap uint64) {
		t.Helper()
		d, _ := g.Dir("cpu")
		r := reader{dir: d.Path}
		text := r.text("cpu.cfs_quota_us") + " " + r.text("cpu.cfs_period_us")
		if d.Version == 2 {
			text = r.text("cpu.max")
		}
		if want := fmt.Sprintf("%d %d", quota, period); text != want {
			t.Errorf("quota and period are %s, want %s", text, want)
		}
		s, err := g.Stats()
		if err != nil || s.Memory.Usage.Limit != limit*mib || s.Memory.Swap.Limit != swap*mib {
			t.Errorf("memory %d, with swap %d, want %d and %d MiB, %v", s.Memory.Usage.Limit, s.Memory.Swap.Limit, limit, swap, err)
		}
	}
	for _, step := range []struct {
		change                     specs.LinuxResources
		quota, period, limit, swap uint64
	}{
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr[uint64](100000)}}, 20000, 100000, 64, 96},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr[int64](30000)}}, 30000, 100000, 64, 96},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](80 * mib)}}, 30000, 100000, 80, 96},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: ptr[int64](128 * mib)}}, 30000, 100000, 80, 128},
	} {
		if err := update(step.change); err != nil {
			t.Fatal(err)
		}
		check(step.quota, step.period, step.limit, step.swap)
	}
	if err := update(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](256 * mib)}}); err == nil ||
		!strings.Contains(err.Error(), resourcesPath+"memory.") {
		t.Errorf("more memory than memory and swap: %v", err)
	}
	check(30000, 100000, 80, 128)
}

// TestUpdateThatSystemdRefusesLeavesFormerDeviceRules gives the group a unit that systemd does not know, or no systemd at all:
// what systemd is told comes after the device rules.
func TestUpdateThatSystemdRefusesLeavesFormerDeviceRules(t *testing.T) {
	l, g := made(t, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](50)}})
	open, h, before := kmsgOpener(t, g), probed(t), settingsNow(t, l)
	refused := func(devices ...specs.LinuxDeviceCgroup) {
		t.Helper()
		g.state.Unit = "berth-test-nobody.scope"
		defer func() { g.state.Unit = "" }()
		_, err := g.Update(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](77)}, Devices: devices}, h)
		if err == nil || !strings.Contains(err.Error(), "systemd") || strings.Contains(err.Error(), "restore") {
			t.Errorf("error %v", err)
		}
		if after := settingsNow(t, l); after != before {
			t.Errorf("changed from\n%s\nto\n%s", before, after)
		}
	}
	refused(kmsgRule)
	if open() == 0 {
		t.Error("a refused update allows a device")
	}
	if _, err := g.Update(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{kmsgRule}}, h); err != nil {
		t.Fatal(err)
	}
	refused([]specs.LinuxDeviceCgroup{}...)
	refused(specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"})
	if code := open(); code != 0 {
		t.Errorf("a refused update took a device away: exit %d", code)
	}
}

// settingsNow reads back every file that the layout wrote.
func settingsNow(t *testing.T, l Layout) string {
	t.Helper()
	out := ""
	for _, op := range l.Settings {
		if op.Kind == Write && !strings.Contains(op.Path, "/devices.") {
			s, err := readFile(op.Path)
			if err != nil {
				t.Fatal(err)
			}
			out += op.Path + " " + s + "\n"
		}
	}
	return out
}

func TestUpdateFindsTheOrderThatTheKernelTakes(t *testing.T) {
	_, g := made(t, &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](32 << 20), Swap: ptr[int64](32 << 20)},
		CPU:    &specs.LinuxCPU{Quota: ptr[int64](20000), Period: ptr[uint64](100000), Burst: ptr[uint64](20000)},
	})
	for _, size := range []int64{256 << 20, 16 << 20, 512 << 20} {
		quota := size / 10000
		_, err := g.Update(&specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: &size, Swap: &size},
			CPU:    &specs.LinuxCPU{Quota: &quota, Period: ptr(uint64(quota) * 2), Burst: ptr(uint64(quota))},
		}, probed(t))
		if err != nil {
			t.Fatalf("to %d: %v", size, err)
		}
		s, err := g.Stats()
		if err != nil || s.Memory.Usage.Limit != uint64(size) {
			t.Errorf("limit %d, want %d, %v", s.Memory.Usage.Limit, size, err)
		}
	}
}

func TestTakenGroupIsRefusedAndItsOwnerUnharmed(t *testing.T) {
	l, g := made(t, nil)
	cmd := inside(t, g, "exec sleep 1000")
	second, err := Decide(Request{ID: "other", CgroupsPath: strings.TrimPrefix(l.Dirs[0].Path, l.Dirs[0].Mountpoint), Host: probed(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Make(); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
	intruder, err := Open(second.State())
	if err != nil {
		t.Fatal(err)
	}
	if err := intruder.KillAll(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := intruder.Remove(); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the owner's process is gone: %v", err)
	}
	if pids, _ := g.Procs(); len(pids) != 1 {
		t.Errorf("the owner's group has %v", pids)
	}
}

func TestOnlyAnEmptyGroupIsRemovedWithoutALook(t *testing.T) {
	_, g := made(t, &specs.LinuxResources{})
	member := inside(t, g, "exec sleep 1000")
	if g.RemoveEmpty() {
		t.Error("a group with a member was removed")
	}
	if err := syscall.Kill(member.Process.Pid, 0); err != nil {
		t.Errorf("the member is gone: %v", err)
	}
	if err := member.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = member.Wait()
	if !g.RemoveEmpty() {
		t.Errorf("an empty group was not removed: %v", g.Left())
	}
	if left := g.Left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestGroupsMadeInsideAreRemovedToo(t *testing.T) {
	l, g := made(t, nil)
	for _, d := range l.Dirs {
		if err := os.MkdirAll(d.Path+"/a/b", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Remove(); err != nil {
		t.Fatal(err)
	}
	if left := g.Left(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestBusyGroupIsReportedWithItsProcesses(t *testing.T) {
	_, g := made(t, nil)
	cmd := inside(t, g, "exec sleep 1000")
	waitFor(t, "member", func() bool { p, _ := g.Procs(); return len(p) == 1 })
	err := g.Remove()
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(cmd.Process.Pid)) {
		t.Errorf("error %v", err)
	}
}

func TestManyGroupsUnderOneParentLeaveNothing(t *testing.T) {
	h := probed(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			id := fmt.Sprintf("many%d", i)
			l, err := Decide(Request{ID: id, CgroupsPath: fmt.Sprintf("/berth-test-%d/many/deep/%s", os.Getpid(), id), Host: h})
			if err == nil {
				err = l.Make()
			}
			if err != nil {
				t.Error(err)
				return
			}
			g, err := Open(l.State())
			if err == nil {
				err = g.Remove()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, x := range h.Hierarchies {
		if _, err := os.Stat(fmt.Sprintf("%s/berth-test-%d", x.Mountpoint, os.Getpid())); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left in %s: %v", x.Mountpoint, err)
		}
	}
}
