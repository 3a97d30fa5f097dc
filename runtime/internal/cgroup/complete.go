package cgroup

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// complete adds what belongs to the fields of an update and is not given: the spec's fields do not stand alone in the kernel's
// files or in systemd's properties, and a field that is not given stays. A quota is measured in its period, and v2 and systemd
// take both together. memory.swap counts memory and swap together where v2 counts swap alone, so a new limit moves v2's.
func (g *Group) complete(r *specs.LinuxResources) *specs.LinuxResources {
	if r == nil {
		return nil
	}
	all := *r
	if r.CPU != nil {
		cpu := *r.CPU
		g.completeBandwidth(&cpu)
		all.CPU = &cpu
	}
	if d, ok := g.Dir("memory"); ok && d.Version == 2 && r.Memory != nil {
		memory := *r.Memory
		completeSwap(&memory, reader{dir: d.Path})
		all.Memory = &memory
	}
	return &all
}

func (g *Group) completeBandwidth(c *specs.LinuxCPU) {
	d, ok := g.Dir("cpu")
	if !ok || set(c.Quota) == setU(c.Period) {
		return
	}
	r := reader{dir: d.Path}
	quota, period := r.text("cpu.cfs_quota_us"), r.text("cpu.cfs_period_us")
	if d.Version == 2 {
		quota, period, _ = strings.Cut(r.text("cpu.max"), " ")
	}
	if set(c.Quota) {
		if n, err := parseUint(period); err == nil {
			c.Period = &n
		}
		return
	}
	n, err := parseUint(quota)
	if err != nil {
		return
	}
	former := int64(n) // Unlimited is -1
	c.Quota = &former
}

func completeSwap(m *specs.LinuxMemory, r reader) {
	limit, swap := r.number("memory.max"), Unlimited
	if s := r.text("memory.swap.max"); s != "" {
		swap, _ = parseUint(s)
	}
	switch {
	case set(m.Swap) && *m.Swap > 0 && !set(m.Limit) && limit != Unlimited:
		former := int64(limit)
		m.Limit = &former
	case set(m.Limit) && *m.Limit > 0 && !set(m.Swap) && limit != Unlimited && swap != Unlimited:
		both := int64(limit + swap)
		m.Swap = &both
	}
}
