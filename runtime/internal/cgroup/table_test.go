package cgroup

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

var tableFile = flag.String("table", "", "write the table of fields in all worlds to this file, as docs/resources.md")

// sample is a value of one field that differs from the kernel's default, and with it the way to see that it holds.
type sample struct {
	field     string
	resources func() *specs.LinuxResources
	show      func(t *testing.T, g *Group, r *specs.LinuxResources) string // where no file has the value
}

func disk() (major, minor int64) { // a block device that exists, for throttles: loop0, vda or ram0, else 8:0
	names, _ := filepath.Glob("/sys/block/*/dev")
	for _, n := range names {
		if b, err := readFile(n); err == nil {
			if a, i, ok := device(b); ok {
				return int64(a), int64(i)
			}
		}
	}
	return 8, 0
}

func throttled(n uint64) []specs.LinuxThrottleDevice {
	d := specs.LinuxThrottleDevice{Rate: n}
	d.Major, d.Minor = disk()
	return []specs.LinuxThrottleDevice{d}
}

// weighted is a weight on a disk of the scheduler that has weights; the scheduler is changed only in a guest.
func weighted(weight, leaf *uint16) []specs.LinuxWeightDevice {
	d := specs.LinuxWeightDevice{Weight: weight, LeafWeight: leaf}
	d.Major, d.Minor = disk()
	if os.Getenv(inGuest) != "" {
		_ = os.WriteFile(fmt.Sprintf("/sys/dev/block/%d:%d/queue/scheduler", d.Major, d.Minor), []byte("bfq"), 0)
	}
	return []specs.LinuxWeightDevice{d}
}

func memory(m specs.LinuxMemory) func() *specs.LinuxResources {
	return func() *specs.LinuxResources { return &specs.LinuxResources{Memory: &m} }
}

func cpu(c specs.LinuxCPU) func() *specs.LinuxResources {
	return func() *specs.LinuxResources { return &specs.LinuxResources{CPU: &c} }
}

func blockIO(b func() specs.LinuxBlockIO) func() *specs.LinuxResources {
	return func() *specs.LinuxResources { x := b(); return &specs.LinuxResources{BlockIO: &x} }
}

const mib = 1 << 20

var samples = []sample{
	{"memory.limit", memory(specs.LinuxMemory{Limit: ptr[int64](64 * mib)}), nil},
	{"memory.swap", memory(specs.LinuxMemory{Limit: ptr[int64](64 * mib), Swap: ptr[int64](96 * mib)}), nil},
	{"memory.reservation", memory(specs.LinuxMemory{Reservation: ptr[int64](32 * mib)}), nil},
	{"memory.kernelTCP", memory(specs.LinuxMemory{KernelTCP: ptr[int64](16 * mib)}), nil},
	{"memory.swappiness", memory(specs.LinuxMemory{Swappiness: ptr[uint64](7)}), nil},
	{"memory.disableOOMKiller", memory(specs.LinuxMemory{DisableOOMKiller: ptr(true)}), nil},
	{"memory.useHierarchy", memory(specs.LinuxMemory{UseHierarchy: ptr(true)}), nil},
	//lint:ignore SA1019 the spec still has it
	{"memory.kernel", memory(specs.LinuxMemory{Kernel: ptr[int64](16 * mib)}), nil},
	{"memory.checkBeforeUpdate", memory(specs.LinuxMemory{CheckBeforeUpdate: ptr(true)}), showCheck},
	{"cpu.shares", cpu(specs.LinuxCPU{Shares: ptr[uint64](512)}), nil},
	{"cpu.quota", cpu(specs.LinuxCPU{Quota: ptr[int64](20000)}), nil},
	{"cpu.burst", cpu(specs.LinuxCPU{Quota: ptr[int64](20000), Burst: ptr[uint64](10000)}), nil},
	{"cpu.period", cpu(specs.LinuxCPU{Period: ptr[uint64](50000)}), nil},
	{"cpu.realtimeRuntime", cpu(specs.LinuxCPU{RealtimeRuntime: ptr[int64](1000)}), nil},
	{"cpu.realtimePeriod", cpu(specs.LinuxCPU{RealtimePeriod: ptr[uint64](500000)}), nil},
	{"cpu.cpus", cpu(specs.LinuxCPU{Cpus: "0"}), nil},
	{"cpu.mems", cpu(specs.LinuxCPU{Mems: "0"}), nil},
	{"cpu.idle", cpu(specs.LinuxCPU{Idle: ptr[int64](1)}), nil},
	{"pids.limit", func() *specs.LinuxResources {
		return &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](0)}}
	}, nil},
	{"blockIO.weight", blockIO(func() specs.LinuxBlockIO { return specs.LinuxBlockIO{Weight: ptr[uint16](200)} }), nil},
	{"blockIO.leafWeight", blockIO(func() specs.LinuxBlockIO { return specs.LinuxBlockIO{LeafWeight: ptr[uint16](200)} }), nil},
	{"blockIO.weightDevice", blockIO(func() specs.LinuxBlockIO { return specs.LinuxBlockIO{WeightDevice: weighted(ptr[uint16](200), nil)} }), nil},
	{"blockIO.weightDevice.leafWeight", blockIO(func() specs.LinuxBlockIO { return specs.LinuxBlockIO{WeightDevice: weighted(nil, ptr[uint16](200))} }), nil},
	{"blockIO.throttleReadBpsDevice", blockIO(func() specs.LinuxBlockIO { return specs.LinuxBlockIO{ThrottleReadBpsDevice: throttled(mib)} }), nil},
	{"blockIO.throttleWriteBpsDevice", blockIO(func() specs.LinuxBlockIO { return specs.LinuxBlockIO{ThrottleWriteBpsDevice: throttled(mib)} }), nil},
	{"blockIO.throttleReadIOPSDevice", blockIO(func() specs.LinuxBlockIO { return specs.LinuxBlockIO{ThrottleReadIOPSDevice: throttled(100)} }), nil},
	{"blockIO.throttleWriteIOPSDevice", blockIO(func() specs.LinuxBlockIO { return specs.LinuxBlockIO{ThrottleWriteIOPSDevice: throttled(100)} }), nil},
	{"hugepageLimits", func() *specs.LinuxResources {
		return &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 * mib}}}
	}, nil},
	{"network.classID", func() *specs.LinuxResources {
		return &specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr[uint32](0x100001)}}
	}, nil},
	{"network.priorities", func() *specs.LinuxResources {
		return &specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 3}}}}
	}, nil},
	{"rdma", func() *specs.LinuxResources {
		return &specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx5_0": {HcaHandles: ptr[uint32](3)}}}
	}, nil},
	{"unified", func() *specs.LinuxResources {
		return &specs.LinuxResources{Unified: map[string]string{"cgroup.max.depth": "5"}}
	}, nil},
	{"devices", func() *specs.LinuxResources {
		return &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{kmsgRule}}
	}, showDevices},
}

// showCheck tries to limit a group to less than it uses.
func showCheck(t *testing.T, g *Group, r *specs.LinuxResources) string {
	t.Helper()
	inside(t, g, "exec sleep 1000")
	r.Memory.Limit = ptr[int64](4096)
	if _, err := g.Update(r, probed(t)); err == nil || !strings.Contains(err.Error(), resourcesPath+"memory.limit") {
		t.Errorf("an update to less than the use: %v", err)
	}
	return "applied: an update to less than the use is refused"
}

// showDevices looks for the list or for the program.
func showDevices(t *testing.T, g *Group, _ *specs.LinuxResources) string {
	t.Helper()
	if d, ok := g.Dir("devices"); ok {
		list, err := readFile(d.Path + "/devices.list")
		if err != nil || !strings.Contains(list, "c 1:11 r") {
			t.Errorf("%q, %v", list, err)
		}
		return "applied: `devices.list` has `c 1:11 r`"
	}
	d, _ := g.Dir("")
	dir, err := os.Open(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	programs, err := kernel.DevicePrograms(int(dir.Fd()))
	if err != nil || len(programs) != 1 {
		t.Errorf("programs %v, %v", programs, err)
	}
	return "applied: a program of type `cgroup_device` is attached"
}

// outcome makes a group for one sample and says what became of the field. A field that is neither applied and read back nor
// refused by its name is the failure this test looks for.
func outcome(t *testing.T, s sample) string {
	t.Helper()
	r := s.resources()
	l, g, err := tryMake(t, r)
	if err != nil {
		if !strings.Contains(err.Error(), resourcesPath+strings.SplitN(s.field, ".", 2)[0]) {
			t.Errorf("refused without naming the field: %v", err)
		}
		return "refused: " + strings.TrimPrefix(anonymous(err.Error()), "cannot apply ")
	}
	if s.show != nil {
		return s.show(t, g, r)
	}
	for _, w := range l.Warnings {
		return "warning: " + w
	}
	result := ""
	for _, op := range l.Settings {
		if !strings.HasPrefix(op.Field, resourcesPath+strings.TrimSuffix(s.field, ".leafWeight")) || op.Kind != Write {
			continue
		}
		path, value := chosen(op)
		have, err := readFile(path)
		if err != nil {
			if len(op.Tolerate) > 0 {
				continue
			}
			t.Errorf("cannot read back %s: %v", path, err)
		}
		if !holds(have, value) {
			t.Errorf("%s has %q after %q was written", path, have, value)
		}
		result = fmt.Sprintf("applied: `%s` has `%s`", filepath.Base(path), lineWith(have, value))
	}
	if result == "" {
		return "holds without a write"
	}
	return result
}

// chosen is the file that exists of those that the operation may write.
func chosen(op Op) (path, value string) {
	path, value = op.Path, op.Value
	for _, c := range op.Or {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path, value = c.Path, c.Value
	}
	return path, value
}

// lineWith is the line of a control file that shows the value.
func lineWith(have, value string) string {
	for line := range strings.SplitSeq(have, "\n") {
		if holds(line, value) {
			return line
		}
	}
	return have
}

// holds says that every word of what was written is in the file.
func holds(have, value string) bool {
	fields := strings.Fields(have)
	for _, w := range strings.Fields(value) {
		if !contains(fields, w) {
			return false
		}
	}
	return true
}

var numbered = regexp.MustCompile(`/berth-test-\d+/[A-Za-z0-9_.]+`)

func anonymous(s string) string { return numbered.ReplaceAllString(s, "/…") }

func TestEveryFieldIsAppliedAndReadBackOrRefusedByName(t *testing.T) {
	probed(t)
	applied, sampled := 0, map[string]bool{}
	for _, s := range samples {
		sampled[s.field] = true
		t.Run(s.field, func(t *testing.T) {
			fieldOf(s.field)
			result := outcome(t, s)
			if strings.HasPrefix(result, "applied") {
				applied++
			}
			t.Logf("TABLE|%s|%s", s.field, result)
		})
	}
	for _, f := range Fields {
		if !sampled[f.Path] {
			t.Errorf("%s has no sample", f.Path)
		}
	}
	if applied < 5 {
		t.Errorf("only %d fields could be applied", applied)
	}
}

// TestWriteTable runs the test above in all worlds and writes what it says as a table for people.
func TestWriteTable(t *testing.T) {
	if *tableFile == "" {
		t.Skip("only with -table=FILE: it boots every virtual machine")
	}
	out, err := exec.Command(os.Args[0], "-test.v", "-test.run=TestEveryField|TestWorlds", "-test.timeout=30m").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	world, worlds, cells := "v1 and v2 hybrid, amd64", []string{}, map[string]map[string]string{}
	seen := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "=== RUN   TestWorlds/"); ok {
			name, _, _ = strings.Cut(name, "/")
			world = strings.ReplaceAll(name, "_", " ")
		}
		_, row, ok := strings.Cut(line, "TABLE|")
		field, result, ok2 := strings.Cut(row, "|")
		if !ok || !ok2 {
			continue
		}
		if !seen[world] {
			seen[world], worlds = true, append(worlds, world)
		}
		if cells[field] == nil {
			cells[field] = map[string]string{}
		}
		cells[field][world] = result
	}
	text := "# linux.resources in each world of cgroups\n\nMade by `go test ./runtime/internal/cgroup -run TestWriteTable -table docs/resources.md`: " +
		"each field is set, and read back from\nthe kernel or refused by its name.\n\n| linux.resources | " + strings.Join(worlds, " | ") + " |\n|" +
		strings.Repeat(" --- |", len(worlds)+1) + "\n"
	for _, s := range samples {
		text += "| " + s.field
		for _, w := range worlds {
			text += " | " + strings.ReplaceAll(cells[s.field][w], "|", "\\|")
		}
		text += " |\n"
	}
	if old, err := os.ReadFile(*tableFile); err == nil { // other sections have other makers
		if _, rest, ok := strings.Cut(string(old), "\n## "); ok {
			text += "\n## " + rest
		}
	}
	if err := os.WriteFile(*tableFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
