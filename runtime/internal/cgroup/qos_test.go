package cgroup

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestClassOfARunningGroupIsThatOfItsConfig(t *testing.T) {
	memory := &specs.LinuxMemory{Limit: ptr[int64](64 * mib)}
	for name, c := range map[string]struct {
		r    *specs.LinuxResources
		want QoS
	}{
		"nothing":      {nil, BestEffort},
		"least shares": {&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](2)}}, BestEffort},
		"shares":       {&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](512)}}, Burstable},
		"memory":       {&specs.LinuxResources{Memory: memory}, Burstable},
		"half a CPU": {&specs.LinuxResources{Memory: memory, CPU: &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](50000),
			Period: ptr[uint64](100000)}}, Guaranteed},
		"one CPU": {&specs.LinuxResources{Memory: memory, CPU: &specs.LinuxCPU{Shares: ptr[uint64](1024), Quota: ptr[int64](100000),
			Period: ptr[uint64](100000)}}, Guaranteed},
		"more limit than request": {&specs.LinuxResources{Memory: memory, CPU: &specs.LinuxCPU{Shares: ptr[uint64](256), Quota: ptr[int64](100000),
			Period: ptr[uint64](100000)}}, Burstable},
	} {
		t.Run(name, func(t *testing.T) {
			_, g := made(t, c.r)
			if got := g.QoS(); got != c.want || QoSOf(c.r) != c.want {
				t.Errorf("running %s, from the config %s, want %s", got, QoSOf(c.r), c.want)
			}
		})
	}
}
