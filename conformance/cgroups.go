package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/conformance/probe"
)

// config-linux.md: control groups.
var cgroupChecks = []Check{
	{Name: "cgroups/path-absolute", Run: cgroupPath, Needs: []Need{needAnyCgroup},
		Clause: must("config-linux.md", "configLinuxCgroupsPath", "In the case of an absolute path (starting with /), the runtime MUST take the path to be relative to the cgroups mount point")},
	{Name: "cgroups/path-nested", Run: cgroupNested, Needs: []Need{needAnyCgroup},
		Clause: must("config-linux.md", "configLinuxCgroupsPath", "In the case of an absolute path (starting with /), the runtime MUST take the path to be relative to the cgroups mount point")},
	{Name: "cgroups/path-consistent", Run: cgroupConsistent, Needs: []Need{needAnyCgroup},
		Clause: must("config-linux.md", "configLinuxCgroupsPath", "If the value is specified, the runtime MUST consistently attach to the same place in the cgroups hierarchy given the same value of cgroupsPath")},
	{Name: "cgroups/memory/limit", Run: cgroupMemory, Needs: []Need{needController("memory")},
		Clause: must("config-linux.md", "configLinuxMemory", "limit (int64, OPTIONAL) - sets limit of memory usage")},
	{Name: "cgroups/memory/limit-in-effect", Run: cgroupMemoryEffect, Needs: []Need{needController("memory")},
		Clause: must("config-linux.md", "configLinuxMemory", "limit (int64, OPTIONAL) - sets limit of memory usage")},
	{Name: "cgroups/memory/unlimited", Run: cgroupMemoryUnlimited, Needs: []Need{needController("memory")},
		Clause: must("config-linux.md", "configLinuxMemory", "Values for memory specify the limit in bytes, or -1 for unlimited memory")},
	{Name: "cgroups/memory/reservation", Run: cgroupMemoryReservation, Needs: []Need{needController("memory")},
		Clause: must("config-linux.md", "configLinuxMemory", "reservation (int64, OPTIONAL) - sets soft limit of memory usage")},
	{Name: "cgroups/cpu/shares", Run: cgroupShares, Needs: []Need{needController("cpu")},
		Clause: must("config-linux.md", "configLinuxCPU", "shares (uint64, OPTIONAL) - specifies a relative share of CPU time available to the tasks in a cgroup")},
	{Name: "cgroups/cpu/quota", Run: cgroupQuota, Needs: []Need{needController("cpu")},
		Clause: must("config-linux.md", "configLinuxCPU", "quota (int64, OPTIONAL) - specifies the total amount of time in microseconds for which all tasks in a cgroup can run during one period")},
	{Name: "cgroups/cpu/cpus", Run: cgroupCPUs, Needs: []Need{needController("cpuset")},
		Clause: must("config-linux.md", "configLinuxCPU", "cpus (string, OPTIONAL) - list of CPUs the container will run on")},
	{Name: "cgroups/cpu/cpus-impossible", Run: cgroupCPUsImpossible, Needs: []Need{needController("cpuset")},
		Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
	{Name: "cgroups/pids/limit", Run: cgroupPids, Needs: []Need{needController("pids")},
		Clause: must("config-linux.md", "configLinuxPIDS", "limit (int64, OPTIONAL) - specifies the maximum number of tasks in the cgroup, with -1 indicating no limit (max)")},
	{Name: "cgroups/pids/limit-in-effect", Run: cgroupPidsEffect, Needs: []Need{needController("pids")},
		Clause: must("config-linux.md", "configLinuxPIDS", "limit (int64, OPTIONAL) - specifies the maximum number of tasks in the cgroup, with -1 indicating no limit (max)")},
	{Name: "cgroups/pids/unlimited", Run: cgroupPidsUnlimited, Needs: []Need{needController("pids")},
		Clause: must("config-linux.md", "configLinuxPIDS", "limit (int64, OPTIONAL) - specifies the maximum number of tasks in the cgroup, with -1 indicating no limit (max)")},
	{Name: "cgroups/devices/denied", Run: cgroupDeviceDenied, Needs: []Need{needDevices, needCapability("CAP_MKNOD", 27)},
		Clause: must("config-linux.md", "configLinuxDeviceAllowedlist", "allow (boolean, REQUIRED) - whether the entry is allowed or denied")},
	{Name: "cgroups/devices/order", Run: cgroupDeviceOrder, Needs: []Need{needDevices, needCapability("CAP_MKNOD", 27)},
		Clause: must("config-linux.md", "configLinuxDeviceAllowedlist", "The runtime MUST apply entries in the listed order")},
	{Name: "cgroups/devices/access", Run: cgroupDeviceAccess, Needs: []Need{needDevices, needCapability("CAP_MKNOD", 27)},
		Clause: must("config-linux.md", "configLinuxDeviceAllowedlist", "access (string, OPTIONAL) - cgroup permissions for device")},
	{Name: "cgroups/hugepages/unknown-size", Run: cgroupHugepageUnknown, Strict: true,
		Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
	{Name: "cgroups/rdma/not-available", Run: cgroupRdma, Needs: []Need{needNoController("rdma")}, Strict: true,
		Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
	{Name: "cgroups/unified/controller-missing", Run: cgroupUnifiedMissing, Strict: true,
		Clause: must("config-linux.md", "configLinuxUnified", "The runtime MUST generate an error when the configuration refers to a cgroup controller that is not present or that cannot be enabled")},
	{Name: "cgroups/unified/file", Run: cgroupUnifiedFile, Needs: []Need{needUnified, needController("pids")},
		Clause: must("config-linux.md", "configLinuxUnified", "Configuration unknown to the runtime MUST still be written to the relevant file")},
	{Name: "cgroups/mount", Run: cgroupMount, Needs: []Need{needAnyCgroup},
		Clause: must("config.md", "configPOSIXMounts", "Linux: filesystem types supported by the kernel as listed in /proc/filesystems")},
	{Name: "cgroups/frozen-refused", Run: cgroupFrozen, Needs: []Need{needController("freezer"), needV1}, Strict: true,
		Clause: should("config-linux.md", "configLinuxControlGroups", "For example, a frozen cgroup or (for create operation) a non-empty cgroup")},
}

func needNoController(name string) Need {
	return func(e *Env) string {
		if e.Controllers[name] == "" {
			return ""
		}
		return fmt.Sprintf("needs a machine without the cgroup controller %q", name)
	}
}

// needDevices holds where access to devices can be limited: by the devices
// controller of cgroup v1, or by BPF on cgroup v2.
func needDevices(e *Env) string {
	if e.Unified || e.Controllers["devices"] != "" {
		return ""
	}
	return needController("devices")(e)
}

// resources returns the resources of a configuration, made where missing.
func resources(config *specs.Spec) *specs.LinuxResources {
	if config.Linux.Resources == nil {
		config.Linux.Resources = &specs.LinuxResources{}
	}
	return config.Linux.Resources
}

// limited creates a container whose program waits, for a look at its cgroups.
func (t *T) limited(set func(*specs.LinuxResources)) *Container {
	config := t.Config(waiting())
	set(resources(config))
	c := t.Container(config)
	c.MustCreate()
	return c
}

// cgroupFile reads a file of the container's cgroup; v1 and v2 are the file's
// names in the two versions. The place is the one the kernel tells for the process.
func (c *Container) cgroupFile(controller, v1, v2 string) string {
	dir := c.cgroupDir(controller)
	name := v1
	if c.t.Env.Unified {
		name = v2
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	c.t.Must(err, "read the container's cgroup")
	return strings.TrimSpace(string(text))
}

// cgroupDir returns the directory of the container process in a hierarchy.
func (c *Container) cgroupDir(controller string) string {
	text := string(readAll(fmt.Sprintf("/proc/%d/cgroup", c.pid)))
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if c.t.Env.Unified && fields[0] == "0" || slices.Contains(strings.Split(fields[1], ","), controller) && controller != "" {
			return filepath.Join(c.t.Env.Controllers[controller], fields[2])
		}
	}
	c.t.Fatalf("the container process is in no cgroup of the controller %q", controller)
	return ""
}

// anyController is one that the machine has, for checks of the place alone.
func (t *T) anyController() string {
	for _, name := range []string{"pids", "memory", "cpu", "devices", "freezer"} {
		if t.Env.Controllers[name] != "" {
			return name
		}
	}
	t.Skipf("no usual cgroup controller is available")
	return ""
}

func cgroupPath(t *T) {
	c := t.limited(func(*specs.LinuxResources) {})
	controller := t.anyController()
	Equal(t, "the cgroup of the container process", c.cgroupDir(controller), filepath.Join(t.Env.Controllers[controller], c.ID))
}

func cgroupNested(t *T) {
	config := t.Config(waiting())
	c := t.Container(config)
	config.Linux.CgroupsPath = "/" + c.ID + "-outer/inner"
	c.WriteConfig(config)
	c.MustCreate()
	controller := t.anyController()
	Equal(t, "the cgroup of the container process", c.cgroupDir(controller), filepath.Join(t.Env.Controllers[controller], config.Linux.CgroupsPath))
}

func cgroupConsistent(t *T) {
	var dirs []string
	path := ""
	for range 2 {
		config := t.Config(waiting())
		config.Linux.CgroupsPath = path
		c := t.Container(config)
		path = config.Linux.CgroupsPath
		c.MustCreate()
		dirs = append(dirs, c.cgroupDir(t.anyController()))
		t.Must(c.Kill("KILL"), "kill the container")
		c.Wait()
		c.MustDelete()
	}
	Equal(t, "the cgroup of the second container with the same cgroupsPath", dirs[1], dirs[0])
}

func cgroupMemory(t *T) {
	limit := int64(64 << 20)
	c := t.limited(func(r *specs.LinuxResources) { r.Memory = &specs.LinuxMemory{Limit: &limit} })
	Equal(t, "the memory limit", c.cgroupFile("memory", "memory.limit_in_bytes", "memory.max"), "67108864")
}

func cgroupMemoryEffect(t *T) {
	config := t.Config(probe.Op{Do: "label", Data: "begins"}, probe.Op{Do: "allocate", Nums: []uint64{256 << 20}}, probe.Op{Do: "label", Data: "survived"})
	limit := int64(64 << 20)
	resources(config).Memory = &specs.LinuxMemory{Limit: &limit}
	if t.Env.swap() {
		resources(config).Memory.Swap = &limit
	}
	c := t.Container(config)
	results := c.Life()
	Equal(t, "the first thing the program reported", t.Find(results, "label", "").Label, "begins")
	if last := results[len(results)-1]; last.Label == "survived" {
		t.Errorf("the program allocated 256 MiB under a limit of 64 MiB")
	}
}

// swap tells whether memory can be swapped out, which would stretch a limit.
func (e *Env) swap() bool { return strings.Count(string(readAll("/proc/swaps")), "\n") > 1 }

func cgroupMemoryUnlimited(t *T) {
	limit := int64(-1)
	c := t.limited(func(r *specs.LinuxResources) { r.Memory = &specs.LinuxMemory{Limit: &limit} })
	got := c.cgroupFile("memory", "memory.limit_in_bytes", "memory.max")
	if value, err := strconv.ParseUint(got, 10, 64); got != "max" && (err != nil || value < 1<<60) {
		t.Errorf("the memory limit is %s, want none", got)
	}
}

func cgroupMemoryReservation(t *T) {
	limit, reservation := int64(64<<20), int64(32<<20)
	c := t.limited(func(r *specs.LinuxResources) {
		r.Memory = &specs.LinuxMemory{Limit: &limit, Reservation: &reservation}
	})
	Equal(t, "the soft memory limit", c.cgroupFile("memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432")
}

func cgroupShares(t *T) {
	shares := uint64(512)
	c := t.limited(func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Shares: &shares} })
	got := c.cgroupFile("cpu", "cpu.shares", "cpu.weight")
	if t.Env.Unified { // conversions differ between runtimes, but keep a weight below the default of 100
		if weight, err := strconv.Atoi(got); err != nil || weight < 1 || weight >= 100 {
			t.Errorf("cpu.weight is %s, want less than the default 100", got)
		}
		return
	}
	Equal(t, "cpu.shares", got, "512")
}

func cgroupQuota(t *T) {
	quota, period := int64(20000), uint64(50000)
	c := t.limited(func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period} })
	if t.Env.Unified {
		Equal(t, "cpu.max", c.cgroupFile("cpu", "", "cpu.max"), "20000 50000")
		return
	}
	Equal(t, "cpu.cfs_quota_us", c.cgroupFile("cpu", "cpu.cfs_quota_us", ""), "20000")
	Equal(t, "cpu.cfs_period_us", c.cgroupFile("cpu", "cpu.cfs_period_us", ""), "50000")
}

func cgroupCPUs(t *T) {
	config := t.Config(facts())
	resources(config).CPU = &specs.LinuxCPU{Cpus: "0"}
	got := t.Facts(config)
	Equal(t, "the processors the program may run on", got.Status["Cpus_allowed_list"], "0")
}

func cgroupCPUsImpossible(t *T) {
	config := t.Config()
	resources(config).CPU = &specs.LinuxCPU{Cpus: "4090"}
	t.Refused(config, "a processor that the machine does not have")
}

func cgroupPids(t *T) {
	c := t.limited(func(r *specs.LinuxResources) { r.Pids = pidsLimit(99) })
	Equal(t, "pids.max", c.cgroupFile("pids", "pids.max", "pids.max"), "99")
}

func cgroupPidsUnlimited(t *T) {
	c := t.limited(func(r *specs.LinuxResources) { r.Pids = pidsLimit(-1) })
	Equal(t, "pids.max", c.cgroupFile("pids", "pids.max", "pids.max"), "max")
}

func cgroupPidsEffect(t *T) {
	config := t.Config(probe.Op{Do: "fork", Path: probe.Path, Nums: []uint64{60}})
	resources(config).Pids = pidsLimit(30)
	got := t.Find(t.Life(config), "fork", "")
	Equal(t, "starting 60 processes under a limit of 30 tasks", got.Outcome(), "EAGAIN")
}

func pidsLimit(limit int64) *specs.LinuxPids { return &specs.LinuxPids{Limit: &limit} }

// unclaimed is the answer of a device that no driver serves (majors 120 to 127
// are for local use), once the list of allowed devices has let the call pass.
const unclaimed = "ENXIO"

// cgroupDeviceDenied uses a device that is not one of the default ones, since
// runtimes may allow those in any case.
func cgroupDeviceDenied(t *T) {
	config := withDevice(t.Config(doing("open", "/dev/given")), "/dev/given", "c", 120, 7)
	resources(config).Devices = []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	t.openGiven(config, "a device that the list denies", "EPERM")
	allow(config, "c", 120, 7, "rwm")
	t.openGiven(config, "a device that the list allows", unclaimed)
}

func (t *T) openGiven(config *specs.Spec, what, want string) {
	config.Linux.CgroupsPath = ""
	Equal(t, "opening "+what, t.Find(t.Life(config), "open", "").Outcome(), want)
}

func cgroupDeviceOrder(t *T) {
	config := withDevice(t.Config(doing("open", "/dev/given")), "/dev/given", "c", 120, 7)
	allow(config, "c", 120, 7, "rwm")
	resources(config).Devices = append(resources(config).Devices, specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"})
	t.openGiven(config, "a device that was allowed and then denied", "EPERM")
	slices.Reverse(config.Linux.Resources.Devices)
	t.openGiven(config, "a device that was denied and then allowed", unclaimed)
}

func cgroupDeviceAccess(t *T) {
	config := withDevice(t.Config(doing("open", "/dev/given"), doing("openw", "/dev/given")), "/dev/given", "c", 120, 7)
	resources(config).Devices = []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	allow(config, "c", 120, 7, "r")
	results := t.Life(config)
	Equal(t, "opening for reading where reading is allowed", t.Find(results, "open", "").Outcome(), unclaimed)
	Equal(t, "opening for writing where reading is allowed", t.Find(results, "openw", "").Outcome(), "EPERM")
}

func cgroupHugepageUnknown(t *T) {
	config := t.Config()
	resources(config).HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1 << 20}}
	t.Refused(config, "a size of huge pages that the machine does not have")
}

func cgroupRdma(t *T) {
	config := t.Config()
	handles := uint32(3)
	resources(config).Rdma = map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: &handles}}
	t.Refused(config, "rdma limits without an rdma controller")
}

func cgroupUnifiedMissing(t *T) {
	config := t.Config()
	resources(config).Unified = map[string]string{"nosuchcontroller.max": "1"}
	t.Refused(config, "a unified setting of a controller that is not present")
}

func cgroupUnifiedFile(t *T) {
	c := t.limited(func(r *specs.LinuxResources) { r.Unified = map[string]string{"pids.max": "77"} })
	Equal(t, "pids.max", c.cgroupFile("pids", "", "pids.max"), "77")
}

func cgroupMount(t *T) {
	config := withMount(t.Config(facts()), "sysfs", "sysfs", "/sys", "nosuid", "noexec", "nodev", "ro")
	withMount(config, "cgroup", "cgroup", "/sys/fs/cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
	withNamespace(config, "cgroup", "")
	for _, mount := range t.Facts(config).Mounts {
		if strings.HasPrefix(mount.Type, "cgroup") && strings.HasPrefix(mount.Point, "/sys/fs/cgroup") {
			if !mount.Has("ro") {
				t.Errorf("%s is mounted with %v, want ro", mount.Point, mount.Options)
			}
			return
		}
	}
	t.Errorf("no cgroup hierarchy is mounted below /sys/fs/cgroup")
}

func cgroupFrozen(t *T) {
	c := t.Container(t.Config())
	dir := filepath.Join(t.Env.Controllers["freezer"], c.ID)
	t.Must(os.Mkdir(dir, 0o755), "make a cgroup")
	t.Must(os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("FROZEN"), 0o644), "freeze the cgroup")
	t.Cleanup(func() { _ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0o644) })
	err := c.Create()
	_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0o644)
	if err == nil {
		t.Errorf("create accepted a frozen cgroup")
	}
}
