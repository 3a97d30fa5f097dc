package spec

import (
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// resources checks what holds for every cgroup; which controllers this machine has is the cgroup package's part.
func (c *checker) resources(r *specs.LinuxResources) {
	for i := range r.Devices {
		c.deviceRule(i, &r.Devices[i])
	}
	if r.Memory != nil {
		c.memory(r.Memory)
	}
	if r.CPU != nil {
		c.cpu(r.CPU)
	}
	if r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit < -1 {
		c.refuse("config-linux.md, PIDs", "linux.resources.pids.limit", "use -1 for no limit", "is %d", *r.Pids.Limit)
	}
	if r.BlockIO != nil {
		c.blockIO(r.BlockIO)
	}
	for i, l := range r.HugepageLimits {
		if !pageSizeName(l.Pagesize) {
			c.refuse("config-linux.md, Huge page limits", at("linux.resources.hugepageLimits", i)+".pageSize", `write it like "2MB"`, "%s is no page size", q(l.Pagesize))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Rdma)) {
		if v := r.Rdma[name]; v.HcaHandles == nil && v.HcaObjects == nil {
			c.refuse("config-linux.md, RDMA", under("linux.resources.rdma", name), "", "has neither hcaHandles nor hcaObjects")
		}
		c.singleLine("config-linux.md, RDMA", under("linux.resources.rdma", name), name)
	}
	c.unified(r.Unified)
}

// ValidateResources gives the findings about linux.resources alone, as update needs it.
func ValidateResources(r *specs.LinuxResources, h host.Host) []Finding {
	c := &checker{raw: &specs.Spec{}, linux: &specs.Linux{}, h: h}
	c.resources(r)
	return c.result()
}

func (c *checker) deviceRule(i int, d *specs.LinuxDeviceCgroup) {
	const clause = "config-linux.md, Allowed Device list"
	where := func(rest string) string { return at("linux.resources.devices", i) + rest }
	if d.Type != "" && d.Type != "a" && d.Type != "b" && d.Type != "c" {
		oneOf(c, clause, where(".type"), d.Type, []string{"a", "b", "c"})
	}
	if strings.Trim(d.Access, "rwm") != "" {
		c.refuse(clause, where(".access"), `use letters of "rwm"`, "%s is not known", q(d.Access))
	}
	// -1 is what engines write for "all", as an unset number means.
	if d.Major != nil && (*d.Major < -1 || *d.Major > 1<<32-1) || d.Minor != nil && (*d.Minor < -1 || *d.Minor > 1<<32-1) {
		c.refuse(clause, where(""), "leave it out for all", "has a device number that is out of range")
	}
}

func (c *checker) memory(m *specs.LinuxMemory) {
	const clause = "config-linux.md, Memory"
	//lint:ignore SA1019 deprecated for those who write configs, and still to be answered
	kernel := m.Kernel
	for _, f := range []struct {
		name  string
		value *int64
	}{
		{"limit", m.Limit}, {"reservation", m.Reservation}, {"swap", m.Swap}, {"kernel", kernel}, {"kernelTCP", m.KernelTCP},
	} {
		if f.value != nil && *f.value < -1 {
			c.refuse(clause, "linux.resources.memory."+f.name, "use -1 for no limit", "is %d", *f.value)
		}
	}
	if kernel != nil && *kernel > 0 {
		c.warn(clause, "linux.resources.memory.kernel", "use memory.limit, which includes it", "has no effect: kernels since 5.4 ignore it")
	}
	if s := m.Swappiness; s != nil && *s > 100 {
		c.refuse(clause, "linux.resources.memory.swappiness", "", "is %d, must be from 0 to 100", *s)
	}
	if m.Limit != nil && m.Swap != nil && *m.Swap > 0 && (*m.Limit > *m.Swap || *m.Limit == -1) {
		c.refuse(clause, "linux.resources.memory.swap", "it is memory and swap together", "is %d, below the limit of memory alone, %d", *m.Swap, *m.Limit)
	}
}

func (c *checker) cpu(p *specs.LinuxCPU) {
	const clause = "config-linux.md, CPU"
	if p.Quota != nil && p.Burst != nil && *p.Quota > 0 && *p.Burst > uint64(*p.Quota) {
		c.refuse(clause, "linux.resources.cpu.burst", "", "is %d, above the quota %d", *p.Burst, *p.Quota)
	}
	if p.Idle != nil && *p.Idle != 0 && *p.Idle != 1 {
		c.refuse(clause, "linux.resources.cpu.idle", "", "is %d, must be 0 or 1", *p.Idle)
	}
	c.numbers("linux.resources.cpu.cpus", p.Cpus, maxCPU)
	c.numbers("linux.resources.cpu.mems", p.Mems, maxNode)
}

func (c *checker) blockIO(b *specs.LinuxBlockIO) {
	const clause = "config-linux.md, Block IO"
	c.weight("linux.resources.blockIO.weight", b.Weight)
	c.weight("linux.resources.blockIO.leafWeight", b.LeafWeight)
	for i := range b.WeightDevice {
		d := &b.WeightDevice[i]
		where := at("linux.resources.blockIO.weightDevice", i)
		if d.Weight == nil && d.LeafWeight == nil {
			c.refuse(clause, where, "", "has neither weight nor leafWeight")
		}
		c.weight(where+".weight", d.Weight)
		c.weight(where+".leafWeight", d.LeafWeight)
		c.deviceNumber(where, d.LinuxBlockIODevice)
	}
	c.throttle("throttleReadBpsDevice", b.ThrottleReadBpsDevice)
	c.throttle("throttleWriteBpsDevice", b.ThrottleWriteBpsDevice)
	c.throttle("throttleReadIOPSDevice", b.ThrottleReadIOPSDevice)
	c.throttle("throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice)
}

func (c *checker) throttle(name string, l []specs.LinuxThrottleDevice) {
	for i := range l {
		c.deviceNumber(at("linux.resources.blockIO."+name, i), l[i].LinuxBlockIODevice)
	}
}

// weight has the range of blkio.weight; 0 is what engines write for "not set".
func (c *checker) weight(where string, w *uint16) {
	if w != nil && *w != 0 && (*w < 10 || *w > 1000) {
		c.refuse("blkio controller, blkio.weight", where, "", "is %d, must be from 10 to 1000", *w)
	}
}

func (c *checker) deviceNumber(where string, d specs.LinuxBlockIODevice) {
	if d.Major < 0 || d.Major > 4095 || d.Minor < 0 || d.Minor > 1<<20-1 {
		c.refuse("makedev(3)", where, "", "has the number %d:%d; major numbers go to 4095, minor ones to 1048575", d.Major, d.Minor)
	}
}

func pageSizeName(s string) bool {
	for _, unit := range []string{"KB", "MB", "GB"} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			return digits(n) && n[0] != '0' && len(n) <= 7
		}
	}
	return false
}

func (c *checker) unified(u map[string]string) {
	const clause = "config-linux.md, Unified"
	if len(u) == 0 {
		return
	}
	if m := c.h.Cgroup.Mode; m == host.CgroupV1 {
		c.refuse(clause, "linux.resources.unified", "use the other properties of resources", "needs control groups v2, and this machine has v1")
	}
	for _, file := range slices.Sorted(maps.Keys(u)) {
		if file == "" || strings.ContainsAny(file, "/\n") || !strings.Contains(file, ".") {
			c.refuse(clause, under("linux.resources.unified", file), `name a file such as "memory.high"`, "is no file of a control group")
		}
	}
}
