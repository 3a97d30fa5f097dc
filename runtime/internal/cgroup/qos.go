package cgroup

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

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
	if shares == 0 {
		shares = 2 // no request
		if quota > 0 && memory > 0 {
			shares = -1 // a request that is not given is the limit
		}
	}
	return classify(shares, quota, period, memory)
}

// QoS derives the class from the limits in force.
func (g *Group) QoS() QoS {
	limit := Unlimited
	if d, ok := g.Dir("memory"); ok {
		r := reader{dir: d.Path}
		limit = r.number(map[int]string{1: "memory.limit_in_bytes", 2: "memory.max"}[d.Version])
	}
	return g.QoSWith(limit)
}

// QoSWith is QoS with a memory limit in bytes that was read already, as a sample has it. A group's shares of 1024 are the
// kernel's own default, no request.
func (g *Group) QoSWith(limit uint64) QoS {
	var shares, quota, period, memory int64
	if limit < 1<<62 {
		memory = int64(limit)
	}
	d, ok := g.Dir("cpu")
	r := reader{dir: d.Path}
	switch {
	case ok && d.Version == 1:
		shares = int64(r.number("cpu.shares"))
		if quota, _ = strconv.ParseInt(r.text("cpu.cfs_quota_us"), 10, 64); quota > 0 {
			period = int64(r.number("cpu.cfs_period_us"))
		}
		if shares == 1024 && quota != period {
			shares = 2
		}
	case ok:
		max := strings.Fields(r.text("cpu.max"))
		if len(max) == 2 {
			quota, _ = strconv.ParseInt(max[0], 10, 64) // "max" reads as 0
			period, _ = strconv.ParseInt(max[1], 10, 64)
		}
		shares = sharesLike(r.number("cpu.weight"), quota, period)
	}
	return classify(shares, quota, period, memory)
}

// sharesLike finds what was asked for behind a weight: weights are coarser than shares, so the shares that the quota stands
// for are taken where they have this weight. The default weight is no request.
func sharesLike(weight uint64, quota, period int64) int64 {
	if quota > 0 && period > 0 && weightFromShares(uint64(max(quota*1024/period, 2))) == weight {
		return quota * 1024 / period
	}
	if weight <= 1 || weight == 100 {
		return 2
	}
	return 3 // some request, which is not the limit
}

// classify takes shares (2 or less: no request; negative: the limit), quota and period in microseconds, and bytes of memory.
func classify(shares, quota, period, memory int64) QoS {
	if period <= 0 {
		period = 100000 // the kernel's default, in microseconds
	}
	switch {
	case shares <= 2 && quota <= 0 && memory <= 0:
		return BestEffort
	case quota > 0 && memory > 0 && (shares < 0 || near(shares, max(quota*1024/period, 2))):
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
