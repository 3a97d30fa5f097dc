package cgroup

import (
	"fmt"
	"sort"
)

// Field is one row of the table from linux.resources to control files. An empty name says that the version has no such
// limit, and that Decide refuses the field there. Features, documentation and test reports are made from these rows.
type Field struct {
	Path       string // below linux.resources, without indexes
	Controller string // that has it; v1's name where the two differ
	V1, V2     string // file names; in hugepageLimits and unified a part of them comes from the config
	Note       string
}

// Fields are all fields of linux.resources, in the order in which they are applied.
var Fields = []Field{
	{"memory.useHierarchy", "memory", "memory.use_hierarchy", "", "v2: true holds always, false is refused"},
	{"memory.checkBeforeUpdate", "memory", "", "memory.current", "v1: the kernel itself refuses a limit below the use"},
	{"memory.limit", "memory", "memory.limit_in_bytes", "memory.max", ""},
	{"memory.swap", "memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "v2: less memory.limit"},
	{"memory.reservation", "memory", "memory.soft_limit_in_bytes", "memory.low", ""},
	{"memory.kernel", "memory", "memory.kmem.limit_in_bytes", "", "no effect since Linux 5.16: a warning"},
	{"memory.kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes", "", ""},
	{"memory.swappiness", "memory", "memory.swappiness", "", ""},
	{"memory.disableOOMKiller", "memory", "memory.oom_control", "", "v2: false holds always, true is refused"},
	{"cpu.shares", "cpu", "cpu.shares", "cpu.weight", "v2: converted"},
	{"cpu.quota", "cpu", "cpu.cfs_quota_us", "cpu.max", ""},
	{"cpu.burst", "cpu", "cpu.cfs_burst_us", "cpu.max.burst", ""},
	{"cpu.period", "cpu", "cpu.cfs_period_us", "cpu.max", ""},
	{"cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", "", ""},
	{"cpu.realtimePeriod", "cpu", "cpu.rt_period_us", "", ""},
	{"cpu.cpus", "cpuset", "cpuset.cpus", "cpuset.cpus", ""},
	{"cpu.mems", "cpuset", "cpuset.mems", "cpuset.mems", ""},
	{"cpu.idle", "cpu", "cpu.idle", "cpu.idle", ""},
	{"pids.limit", "pids", "pids.max", "pids.max", ""},
	{"blockIO.weight", "blkio", "blkio.weight", "io.weight", "or bfq's; io.weight converted"},
	{"blockIO.leafWeight", "blkio", "blkio.leaf_weight", "", "CFQ, gone since Linux 5.0"},
	{"blockIO.weightDevice", "blkio", "blkio.weight_device", "io.weight", "or bfq's; io.weight converted"},
	{"blockIO.weightDevice.leafWeight", "blkio", "blkio.leaf_weight_device", "", "CFQ, gone since Linux 5.0"},
	{"blockIO.throttleReadBpsDevice", "blkio", "blkio.throttle.read_bps_device", "io.max", "v2: rbps="},
	{"blockIO.throttleWriteBpsDevice", "blkio", "blkio.throttle.write_bps_device", "io.max", "v2: wbps="},
	{"blockIO.throttleReadIOPSDevice", "blkio", "blkio.throttle.read_iops_device", "io.max", "v2: riops="},
	{"blockIO.throttleWriteIOPSDevice", "blkio", "blkio.throttle.write_iops_device", "io.max", "v2: wiops="},
	{"hugepageLimits", "hugetlb", "hugetlb.SIZE.limit_in_bytes", "hugetlb.SIZE.max", "and the rsvd file of the same name where it exists"},
	{"network.classID", "net_cls", "net_cls.classid", "", ""},
	{"network.priorities", "net_prio", "net_prio.ifpriomap", "", ""},
	{"rdma", "rdma", "rdma.max", "rdma.max", ""},
	{"unified", "", "", "KEY", ""},
	{"devices", "devices", "devices.allow", "BPF_CGROUP_DEVICE", "v1: and devices.deny"},
}

func fieldOf(path string) Field {
	for _, f := range Fields {
		if f.Path == path {
			return f
		}
	}
	panic("cgroup: no row for " + path) // a programming error, found by the first test of the field
}

// controllerIn is the controller's name in the hierarchies at hand: v1's blkio is v2's io.
func (f Field) controllerIn(dirs []Dir) string {
	if f.Controller == "blkio" {
		if _, ok := dirOf(dirs, "io"); ok {
			return "io"
		}
	}
	return f.Controller
}

func (f Field) refusal(dirs []Dir) string {
	d, ok := dirOf(dirs, f.controllerIn(dirs))
	if !ok {
		return "no mounted cgroup hierarchy has the controller " + f.Controller
	}
	return fmt.Sprintf("cgroup v%d has no such limit", d.Version)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
