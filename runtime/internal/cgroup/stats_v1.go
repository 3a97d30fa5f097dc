package cgroup

import (
	"strconv"
	"strings"
)

// v1 reads the files of the controllers of one v1 hierarchy.
func (r *reader) v1(s *Stats, d Dir) {
	for _, c := range d.Controllers {
		switch c {
		case "cpu":
			t := r.table("cpu.stat")
			s.CPU.Throttling.Periods = t["nr_periods"]
			s.CPU.Throttling.ThrottledPeriods = t["nr_throttled"]
			s.CPU.Throttling.ThrottledTime = t["throttled_time"]
		case "cpuacct":
			r.cpuacct(s)
		case "cpuset":
			s.CPUSet = CPUSetStats{r.list("cpuset.cpus"), r.list("cpuset.mems")}
		case "memory":
			r.memoryV1(s)
		case "pids":
			s.Pids = r.pids()
		case "blkio":
			s.BlockIO.Bytes = r.blkio("io_service_bytes_recursive", "io_service_bytes")
			s.BlockIO.Ops = r.blkio("io_serviced_recursive", "io_serviced")
		case "hugetlb":
			for _, size := range r.pageSizes(".limit_in_bytes") {
				s.Hugetlb[size] = r.counterV1("hugetlb." + size)
			}
		case "rdma":
			s.Rdma = r.rdma()
		}
	}
}

func (r *reader) cpuacct(s *Stats) {
	s.CPU.Usage.Total = r.number("cpuacct.usage")
	s.CPU.Usage.PerCPU = r.numbers("cpuacct.usage_percpu")
	s.CPU.Usage.PerCPUUser = r.numbers("cpuacct.usage_percpu_user")
	s.CPU.Usage.PerCPUKernel = r.numbers("cpuacct.usage_percpu_sys")
	s.CPU.Usage.User = r.number("cpuacct.usage_user")
	s.CPU.Usage.Kernel = r.number("cpuacct.usage_sys")
}

// counterV1 reads NAME.usage_in_bytes and its neighbours. v1 spells "no limit" as the highest multiple of a page.
func (r *reader) counterV1(name string) Counter {
	c := Counter{
		Usage: r.number(name + ".usage_in_bytes"), Max: r.number(name + ".max_usage_in_bytes"),
		Limit: r.number(name + ".limit_in_bytes"), Failcnt: r.number(name + ".failcnt"),
	}
	if c.Limit >= 1<<63-1<<16 { // page sizes up to 64 KiB
		c.Limit = Unlimited
	}
	return c
}

func (r *reader) memoryV1(s *Stats) {
	m := &s.Memory
	m.Raw = r.table("memory.stat")
	m.Cache = m.Raw["cache"]
	m.Usage = r.counterV1("memory")
	m.Swap = r.counterV1("memory.memsw")
	m.Kernel = r.counterV1("memory.kmem")
	m.KernelTCP = r.counterV1("memory.kmem.tcp")
	m.OOMKills = r.table("memory.oom_control")["oom_kill"]
}

// blkio reads "MAJOR:MINOR OPERATION NUMBER" lines: of BFQ where it is at work, else of the throttler.
func (r *reader) blkio(bfq, throttle string) []BlockIOEntry {
	entries := parseBlkio(r.text("blkio.bfq." + bfq))
	if len(entries) == 0 {
		entries = parseBlkio(r.text("blkio.throttle." + throttle))
	}
	return entries
}

func parseBlkio(text string) []BlockIOEntry {
	var out []BlockIOEntry
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue // the last line is "Total N"
		}
		major, minor, ok := device(f[0])
		n, err := strconv.ParseUint(f[2], 10, 64)
		if ok && err == nil {
			out = append(out, BlockIOEntry{major, minor, f[1], n})
		}
	}
	return out
}
