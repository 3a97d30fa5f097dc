package host

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestProbeAgreesWithWhatTheKernelShows(t *testing.T) {
	h := Probe()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	if got := strings.TrimSpace(string(release)); h.Kernel.Release != got || h.Kernel.Major == 0 {
		t.Errorf("kernel %+v, /proc says %s", h.Kernel, got)
	}
	last, _ := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if want, _ := strconv.Atoi(strings.TrimSpace(string(last))); h.LastCap != want {
		t.Errorf("last capability %d, /proc says %d", h.LastCap, want)
	}
	status, _ := os.ReadFile("/proc/self/status")
	if want := field(t, string(status), "CapPrm:"); h.Permitted != want {
		t.Errorf("permitted %x, /proc says %x", h.Permitted, want)
	}
	table, _ := os.ReadFile("/proc/self/mountinfo")
	if want := cgroupOf(string(table)); h.Cgroup.Mode != want.Mode {
		t.Errorf("cgroup mode %s, the mount table says %s", h.Cgroup.Mode, want.Mode)
	}
	if h.PageSize != os.Getpagesize() || h.EUID != os.Geteuid() {
		t.Errorf("page size %d, euid %d", h.PageSize, h.EUID)
	}
	if _, err := json.Marshal(h); err != nil {
		t.Error(err)
	}
}

func field(t *testing.T, status, name string) uint64 {
	t.Helper()
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			v, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s in /proc/self/status", name)
	return 0
}

func TestParseKernel(t *testing.T) {
	for release, want := range map[string][2]int{
		"6.1.0-18-amd64": {6, 1}, "5.10": {5, 10}, "6.18.5+": {6, 18}, "7.0-rc1": {7, 0}, "": {0, 0}, "x.y": {0, 0}, "6": {0, 0},
	} {
		if k := ParseKernel(release); k.Major != want[0] || k.Minor != want[1] || k.Release != release {
			t.Errorf("ParseKernel(%q) = %+v", release, k)
		}
	}
	k := ParseKernel("5.10.0")
	if !k.AtLeast(5, 10) || !k.AtLeast(4, 19) || k.AtLeast(5, 11) || k.AtLeast(6, 0) {
		t.Error("5.10 compares wrongly")
	}
}

func TestCgroupModeFromTheMountTable(t *testing.T) {
	const v1 = "30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
	const v2 = "31 25 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 master:1 - cgroup2 cgroup2 rw\n"
	for table, want := range map[string]Cgroup{
		"":      {Mode: CgroupNone},
		"junk":  {Mode: CgroupNone},
		v1:      {Mode: CgroupV1},
		v2:      {Mode: CgroupV2, Unified: "/sys/fs/cgroup/unified"},
		v1 + v2: {Mode: CgroupHybrid, Unified: "/sys/fs/cgroup/unified"},
		"1 2 0:1 / /mnt/-cgroup2 rw - tmpfs cgroup2 rw\n": {Mode: CgroupNone},
	} {
		if got := cgroupOf(table); got != want {
			t.Errorf("%q: %+v, want %+v", table, got, want)
		}
	}
}

func TestWithoutTakesAwayNamedFeaturesOnly(t *testing.T) {
	h, err := Modern().Without("openat2", "mountSetattr")
	if err != nil || h.Features.Openat2 || h.Features.MountSetattr || !h.Features.NewMount {
		t.Errorf("%+v, %v", h.Features, err)
	}
	if _, err := Modern().Without("openat3"); err == nil {
		t.Error("a feature that does not exist was taken away")
	}
	if Oldest().Features.MountSetattr || !Oldest().Features.Openat2 {
		t.Errorf("5.10 has %+v", Oldest().Features)
	}
}

func BenchmarkProbe(b *testing.B) {
	for b.Loop() {
		if Probe().Kernel.Major == 0 {
			b.Fatal("no kernel")
		}
	}
}
