package cgroup

import specs "github.com/opencontainers/runtime-spec/specs-go"

// QoS is Kubernetes' quality of service class.
type QoS string

// The classes, from the last to be evicted to the first.
const (
	Guaranteed QoS = "Guaranteed"
	Burstable  QoS = "Burstable"
	BestEffort QoS = "BestEffort"
)

// QoSOf derives the class from what a kubelet turns requests and limits into: a CPU request becomes shares (1024 for each
// core, 2 for none), a CPU limit becomes quota in period, a memory limit becomes limit. Guaranteed has both limits and a
// request equal to the limit; BestEffort has neither request nor limit; everything else is Burstable. A memory request
// leaves no trace in resources, so it is taken to equal the limit.
func QoSOf(r *specs.LinuxResources) QoS {
	var shares, quota, period, memory int64
	if r != nil && r.CPU != nil {
		shares, quota, period = int64(orZero(r.CPU.Shares)), orZero(r.CPU.Quota), int64(orZero(r.CPU.Period))
	}
	if r != nil && r.Memory != nil {
		memory = orZero(r.Memory.Limit)
	}
	if period <= 0 {
		period = 100000 // the kernel's default, in microseconds
	}
	switch {
	case shares <= 2 && quota <= 0 && memory <= 0:
		return BestEffort
	case quota > 0 && memory > 0 && (shares == 0 || near(shares, quota*1024/period)):
		return Guaranteed
	}
	return Burstable
}

// near allows for a kubelet's rounding of milli-CPUs to shares and to microseconds.
func near(a, b int64) bool { return a-b <= 1 && b-a <= 1 }

func orZero[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
