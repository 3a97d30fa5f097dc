package cgroup

import (
	"fmt"
	"strconv"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// occasion tells a create, which writes to a new group, from an update of one that is in use.
type occasion int

const (
	fresh occasion = iota
	update
)

const resourcesPath = "linux.resources."

// lowering collects the operations of one config.
type lowering struct {
	dirs     []Dir
	rootless bool
	when     occasion
	ops      []Op
	warnings []string
	err      error // the first one; everything after it is ignored
}

// settings lowers linux.resources to operations. A field that no mounted hierarchy can express is an error that names it.
// A value that asks for what holds anyway (0 where runc reads 0 as "not set", an OOM killer that is not disabled) asks for
// nothing.
func settings(r *specs.LinuxResources, dirs []Dir, h Host, when occasion) ([]Op, []string, error) {
	lo := &lowering{dirs: dirs, rootless: h.Rootless, when: when}
	if r == nil {
		r = &specs.LinuxResources{}
	}
	lo.memory(r.Memory)
	lo.cpu(r.CPU)
	lo.pids(r.Pids)
	lo.blockIO(r.BlockIO)
	lo.hugepages(r.HugepageLimits)
	lo.network(r.Network)
	lo.rdma(r.Rdma)
	lo.unified(r.Unified)
	lo.devices(r.Devices)
	return lo.ops, lo.warnings, lo.err
}

func (lo *lowering) fail(field, format string, args ...any) {
	if lo.err == nil {
		lo.err = fmt.Errorf("cannot apply "+resourcesPath+field+": "+format, args...)
	}
}

func (lo *lowering) warn(field, format string, args ...any) {
	lo.warnings = append(lo.warnings, fmt.Sprintf(resourcesPath+field+" has no effect: "+format, args...))
}

// write adds one write to the file of the group that has the field's controller, choosing v1's or v2's file by the table.
// An unset name in the table is an error: the version has no such thing.
func (lo *lowering) write(field, value1, value2 string, or ...Choice) {
	f := fieldOf(field)
	d, ok := dirOf(lo.dirs, f.controllerIn(lo.dirs))
	switch {
	case !ok:
		lo.fail(field, "no mounted cgroup hierarchy has the controller %s", f.Controller)
	case d.Version == 1 && f.V1 == "":
		lo.fail(field, "cgroup v1 has no such limit")
	case d.Version == 2 && f.V2 == "":
		lo.fail(field, "cgroup v2 has no such limit")
	case d.Version == 1:
		lo.put(field, d.Path+"/"+f.V1, value1, absolute(d, or))
	default:
		lo.put(field, d.Path+"/"+f.V2, value2, absolute(d, or))
	}
}

func (lo *lowering) put(field, path, value string, or []Choice) *Op {
	lo.ops = append(lo.ops, Op{Kind: Write, Path: path, Value: value, Field: resourcesPath + field, Or: or})
	return &lo.ops[len(lo.ops)-1]
}

// last is the operation added last, to be amended; a scratch one after an error.
func (lo *lowering) last() *Op {
	if len(lo.ops) == 0 || lo.err != nil {
		return &Op{}
	}
	return &lo.ops[len(lo.ops)-1]
}

func absolute(d Dir, or []Choice) []Choice {
	for i := range or {
		or[i].Path = d.Path + "/" + or[i].Path
	}
	return or
}

// version says which version of the controller's hierarchy is mounted, 0 for none.
func (lo *lowering) version(controller string) int {
	d, ok := dirOf(lo.dirs, controller)
	if !ok && (controller == "blkio" || controller == "io") {
		d, _ = dirOf(lo.dirs, map[string]string{"blkio": "io", "io": "blkio"}[controller])
	}
	return d.Version
}

func signed(n int64) string    { return strconv.FormatInt(n, 10) }
func unsigned(n uint64) string { return strconv.FormatUint(n, 10) }

// orMax is v2's spelling of a limit: -1, and every other negative number, is "max".
func orMax(n int64) string {
	if n < 0 {
		return "max"
	}
	return signed(n)
}

// memory lowers linux.resources.memory. 0 means "not set" for the limits, as for runc; swappiness alone has a 0 of its own.
func (lo *lowering) memory(m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	v := lo.version("memory")
	if m.UseHierarchy != nil && !(*m.UseHierarchy && v == 2) { // v2 always is hierarchical
		lo.write("memory.useHierarchy", map[bool]string{true: "1", false: "0"}[*m.UseHierarchy], "")
	}
	if v == 2 && on(m.CheckBeforeUpdate) && lo.when == update && set(m.Limit) && *m.Limit > 0 {
		d, _ := dirOf(lo.dirs, "memory")
		lo.ops = append(lo.ops, Op{Kind: Check, Path: d.Path + "/memory.current", Value: signed(*m.Limit),
			Field: resourcesPath + "memory.limit"})
	}
	lo.memoryLimits(m, v)
	if set(m.Reservation) {
		lo.write("memory.reservation", signed(*m.Reservation), orMax(*m.Reservation))
	}
	lo.kernelMemory(m, v)
	if m.Swappiness != nil {
		if *m.Swappiness > 100 {
			lo.fail("memory.swappiness", "%d is not within 0 to 100", *m.Swappiness)
		}
		lo.write("memory.swappiness", unsigned(*m.Swappiness), "")
	}
	if on(m.DisableOOMKiller) || m.DisableOOMKiller != nil && lo.when == update && v == 1 {
		lo.write("memory.disableOOMKiller", map[bool]string{true: "1", false: "0"}[*m.DisableOOMKiller], "")
	}
}

func on(b *bool) bool     { return b != nil && *b }
func set(n *int64) bool   { return n != nil && *n != 0 }
func setU(n *uint64) bool { return n != nil && *n != 0 }

// memoryLimits writes limit and swap. In v1 swap counts memory and swap together and may never be below limit, not even
// between two writes: a new group starts without limits, so limit goes first; an update decides by what is there (see
// Group.Update). In v2 swap counts alone.
func (lo *lowering) memoryLimits(m *specs.LinuxMemory, version int) {
	if version == 2 && set(m.Swap) {
		swap, err := swapV2(*m.Swap, m.Limit)
		if err != nil {
			lo.fail("memory.swap", "%v", err)
			return
		}
		lo.write("memory.swap", "", orMax(swap))
		if swap <= 0 { // no limit, or no swap at all: both hold where the kernel has no swap accounting
			lo.last().Tolerate = []syscall.Errno{syscall.ENOENT}
		}
	}
	if set(m.Limit) {
		lo.write("memory.limit", signed(*m.Limit), orMax(*m.Limit))
	}
	if version == 1 && set(m.Swap) {
		if set(m.Limit) && *m.Limit > 0 && *m.Swap > 0 && *m.Swap < *m.Limit {
			lo.fail("memory.swap", "%d is less than memory.limit %d, and it counts memory and swap together", *m.Swap, *m.Limit)
		}
		lo.write("memory.swap", signed(*m.Swap), "")
	} else if version == 1 && set(m.Limit) && *m.Limit == -1 && lo.when == update {
		lo.write("memory.swap", "-1", "") // unlimited memory below limited memory+swap is refused by the kernel
		lo.last().Tolerate = []syscall.Errno{syscall.ENOENT}
	}
}

// kernelMemory: config-linux.md calls both fields NOT RECOMMENDED, and specs-go says that kernel may be ignored. The kernel
// itself ignores it from 5.16 on (ENOTSUPP); a warning says so.
func (lo *lowering) kernelMemory(m *specs.LinuxMemory, version int) {
	//lint:ignore SA1019 the spec still has it, and a config may still give it
	kernel := m.Kernel
	if set(kernel) && *kernel != -1 {
		if version == 1 {
			lo.write("memory.kernel", signed(*kernel), "")
			lo.last().Tolerate = []syscall.Errno{errNoEffect, syscall.ENOENT}
		}
		lo.warn("memory.kernel", "kernels since 5.16, and cgroup v2, have no limit for kernel memory alone")
	}
	if set(m.KernelTCP) && (*m.KernelTCP != -1 || version == 1) {
		lo.write("memory.kernelTCP", signed(*m.KernelTCP), "")
	}
}

// pids: 0 is a limit like any other (config-linux.md "PIDs", from 1.3 on), and -1 is none.
func (lo *lowering) pids(p *specs.LinuxPids) {
	if p != nil && p.Limit != nil {
		lo.write("pids.limit", orMax(*p.Limit), orMax(*p.Limit))
	}
}

// hugepages limits reservations and faults alike. "rsvd" came with Linux 5.7; where it is missing the spec wants the limit
// on faults alone.
func (lo *lowering) hugepages(limits []specs.LinuxHugepageLimit) {
	for i, h := range limits {
		field := fmt.Sprintf("hugepageLimits[%d]", i)
		if !validPageSize(h.Pagesize) {
			lo.fail(field+".pageSize", "%q is not of the form 2MB", h.Pagesize)
			return
		}
		d, ok := dirOf(lo.dirs, "hugetlb")
		if !ok {
			lo.fail(field, "no mounted cgroup hierarchy has the controller hugetlb")
			return
		}
		file := map[int]string{1: "limit_in_bytes", 2: "max"}[d.Version]
		lo.put(field+".limit", d.Path+"/hugetlb."+h.Pagesize+"."+file, unsigned(h.Limit), nil)
		lo.put(field+".limit", d.Path+"/hugetlb."+h.Pagesize+".rsvd."+file, unsigned(h.Limit), nil).
			Tolerate = []syscall.Errno{syscall.ENOENT}
	}
}

func validPageSize(s string) bool {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n > 0 && (s[n:] == "KB" || s[n:] == "MB" || s[n:] == "GB")
}

func (lo *lowering) network(n *specs.LinuxNetwork) {
	if n == nil {
		return
	}
	if n.ClassID != nil && *n.ClassID != 0 {
		lo.write("network.classID", unsigned(uint64(*n.ClassID)), "")
	}
	for i, p := range n.Priorities {
		lo.writeAs("network.priorities", fmt.Sprintf("network.priorities[%d]", i),
			p.Name+" "+unsigned(uint64(p.Priority)), "")
	}
}

// writeAs is write with a longer path of the field for messages (an index into a list, a key).
func (lo *lowering) writeAs(field, shown, value1, value2 string, or ...Choice) {
	before := lo.err
	lo.write(field, value1, value2, or...)
	if before == nil && lo.err != nil {
		lo.err = nil
		f := fieldOf(field)
		lo.fail(shown, "%s", f.refusal(lo.dirs))
	}
	lo.last().Field = resourcesPath + shown
}

func (lo *lowering) rdma(devices map[string]specs.LinuxRdma) {
	for _, name := range sortedKeys(devices) {
		r, line := devices[name], name
		if r.HcaHandles != nil {
			line += " hca_handle=" + unsigned(uint64(*r.HcaHandles))
		}
		if r.HcaObjects != nil {
			line += " hca_object=" + unsigned(uint64(*r.HcaObjects))
		}
		lo.writeAs("rdma", "rdma."+name, line, line)
	}
}
