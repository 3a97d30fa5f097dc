package cgroup

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpu lowers linux.resources.cpu. The order is the kernel's: realtime before processes join, a period before the quota that
// is measured in it, the quota before the burst that it bounds, and weights before idle, which forbids setting them.
func (lo *lowering) cpu(c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	lo.cpuset(c)
	if setU(c.RealtimePeriod) {
		lo.write("cpu.realtimePeriod", unsigned(*c.RealtimePeriod), "")
	}
	if set(c.RealtimeRuntime) {
		lo.write("cpu.realtimeRuntime", signed(*c.RealtimeRuntime), "")
	}
	if c.Idle != nil && *c.Idle == 0 && lo.when == update {
		lo.write("cpu.idle", "0", "0")
	}
	if setU(c.Shares) {
		lo.write("cpu.shares", unsigned(*c.Shares), unsigned(weightFromShares(*c.Shares)))
	}
	lo.bandwidth(c)
	if c.Idle != nil && *c.Idle != 0 {
		lo.write("cpu.idle", signed(*c.Idle), signed(*c.Idle))
	}
}

// bandwidth writes quota, period and burst.
func (lo *lowering) bandwidth(c *specs.LinuxCPU) {
	if c.Burst != nil && set(c.Quota) && *c.Quota > 0 && *c.Burst > uint64(*c.Quota) {
		lo.fail("cpu.burst", "%d is more than cpu.quota %d", *c.Burst, *c.Quota)
		return
	}
	switch lo.version("cpu") {
	case 2:
		lo.cpuMax(c)
	default:
		if setU(c.Period) {
			lo.write("cpu.period", unsigned(*c.Period), "")
		}
		if set(c.Quota) {
			lo.write("cpu.quota", signed(*c.Quota), "")
		}
	}
	if c.Burst != nil && (*c.Burst > 0 || lo.when == update) {
		lo.write("cpu.burst", unsigned(*c.Burst), unsigned(*c.Burst))
	}
}

// cpuMax writes "QUOTA PERIOD"; the file keeps a part that is not given: "QUOTA" alone keeps the period.
func (lo *lowering) cpuMax(c *specs.LinuxCPU) {
	if !set(c.Quota) && !setU(c.Period) {
		return
	}
	field, value := "cpu.quota", "max"
	if !set(c.Quota) {
		field = "cpu.period"
	} else if *c.Quota > 0 {
		value = signed(*c.Quota)
	}
	if setU(c.Period) {
		value += " " + unsigned(*c.Period)
	}
	lo.write(field, "", value)
}

func (lo *lowering) cpuset(c *specs.LinuxCPU) {
	if c.Cpus != "" {
		lo.write("cpu.cpus", c.Cpus, c.Cpus)
	}
	if c.Mems != "" {
		lo.write("cpu.mems", c.Mems, c.Mems)
	}
}
