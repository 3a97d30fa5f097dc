package cgroup

import (
	"strconv"
	"strings"
)

// v2 reads the files of the v2 group. cpu.stat and the pressures need no controller; in a hybrid world they are all that is
// read here besides what the hierarchy has.
func (r *reader) v2(s *Stats, d Dir) {
	if s.CPU.Usage.Total == 0 {
		r.cpuV2(s)
	}
	if r.detail == Times {
		return
	}
	s.CPU.PSI, s.Memory.PSI, s.BlockIO.PSI = r.pressure("cpu.pressure"), r.pressure("memory.pressure"), r.pressure("io.pressure")
	for _, c := range d.Controllers {
		switch {
		case c == "memory":
			r.memoryV2(s)
		case c == "pids":
			s.Pids = r.pids()
		case c == "io":
			r.io(s)
		case r.detail == Full:
			r.restV2(s, c)
		}
	}
}

// restV2 reads what only a full sample has.
func (r *reader) restV2(s *Stats, controller string) {
	switch controller {
	case "cpuset":
		s.CPUSet = CPUSetStats{r.list("cpuset.cpus.effective"), r.list("cpuset.mems.effective")}
	case "hugetlb":
		for _, size := range r.pageSizes(".max") {
			name := "hugetlb." + size
			s.Hugetlb[size] = Counter{Usage: r.number(name + ".current"), Limit: r.number(name + ".max"),
				Failcnt: r.table(name + ".events")["max"]}
		}
	case "rdma":
		s.Rdma = r.rdma()
	}
}

// cpuV2 converts microseconds.
func (r *reader) cpuV2(s *Stats) {
	t := r.table("cpu.stat")
	s.CPU.Usage.Total = t["usage_usec"] * 1000
	s.CPU.Usage.User = t["user_usec"] * 1000
	s.CPU.Usage.Kernel = t["system_usec"] * 1000
	if _, ok := t["nr_periods"]; ok {
		s.CPU.Throttling.Periods = t["nr_periods"]
		s.CPU.Throttling.ThrottledPeriods = t["nr_throttled"]
		s.CPU.Throttling.ThrottledTime = t["throttled_usec"] * 1000
	}
}

func (r *reader) memoryV2(s *Stats) {
	m := &s.Memory
	if r.detail < Full {
		m.Raw = r.table("memory.stat", "inactive_file")
		m.Usage.Usage, m.Usage.Limit = r.number("memory.current"), r.number("memory.max")
		return
	}
	events := r.table("memory.events")
	m.Raw = r.table("memory.stat")
	m.Cache = m.Raw["file"]
	m.Usage = Counter{Usage: r.number("memory.current"), Limit: r.number("memory.max"), Max: r.number("memory.peak"),
		Failcnt: events["max"]}
	m.OOMKills = events["oom_kill"]
	m.Swap = Counter{Usage: m.Usage.Usage + r.number("memory.swap.current"), Limit: Unlimited,
		Failcnt: r.table("memory.swap.events")["max"]}
	if swap := r.text("memory.swap.max"); swap != "max" && m.Usage.Limit != Unlimited {
		m.Swap.Limit = m.Usage.Limit + r.number("memory.swap.max")
	}
}

// io reads io.stat: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
func (r *reader) io(s *Stats) {
	for line := range strings.SplitSeq(r.text("io.stat"), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		major, minor, ok := device(f[0])
		for _, x := range f[1:] {
			name, value, _ := strings.Cut(x, "=")
			n, err := strconv.ParseUint(value, 10, 64)
			if !ok || err != nil {
				continue
			}
			switch name {
			case "rbytes":
				s.BlockIO.Bytes = append(s.BlockIO.Bytes, BlockIOEntry{major, minor, "Read", n})
			case "wbytes":
				s.BlockIO.Bytes = append(s.BlockIO.Bytes, BlockIOEntry{major, minor, "Write", n})
			case "dbytes":
				s.BlockIO.Bytes = append(s.BlockIO.Bytes, BlockIOEntry{major, minor, "Discard", n})
			case "rios":
				s.BlockIO.Ops = append(s.BlockIO.Ops, BlockIOEntry{major, minor, "Read", n})
			case "wios":
				s.BlockIO.Ops = append(s.BlockIO.Ops, BlockIOEntry{major, minor, "Write", n})
			case "dios":
				s.BlockIO.Ops = append(s.BlockIO.Ops, BlockIOEntry{major, minor, "Discard", n})
			}
		}
	}
}
