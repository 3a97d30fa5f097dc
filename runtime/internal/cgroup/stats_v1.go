package cgroup

import (
	"strconv"
	"strings"
)

// v1 reads the files of the controllers of one v1 hierarchy.
func (r *reader) v1(s *Stats, d Dir) {
	for _, c := range d.Controllers {
		switch {
		case c == "cpuacct":
			r.cpuacct(s)
		case r.detail == Times:
		case c == "memory":
			r.memoryV1(s)
		case c == "pids":
			s.Pids = r.pids()
		case c == "blkio":
			s.BlockIO.Bytes = r.blkio("io_service_bytes_recursive", "io_service_bytes")
			if r.detail == Full {
				s.BlockIO.Ops = r.blkio("io_serviced_recursive", "io_serviced")
			}
		case r.detail == Full:
			r.restV1(s, c)
		}
	}
}

// restV1 reads what only a full sample has.
func (r *reader) restV1(s *Stats, controller string) {
	switch controller {
	case "cpu":
		t := r.table("cpu.stat")
		s.CPU.Throttling.Periods = t["nr_periods"]
		s.CPU.Throttling.ThrottledPeriods = t["nr_throttled"]
		s.CPU.Throttling.ThrottledTime = t["throttled_time"]
	case "cpuset":
		s.CPUSet = CPUSetStats{r.list("cpuset.cpus"), r.list("cpuset.mems")}
	case "hugetlb":
		for _, size := range r.pageSizes(".limit_in_bytes") {
			s.Hugetlb[size] = r.counterV1("hugetlb." + size)
		}
	case "rdma":
		s.Rdma = r.rdma()
	}
}

// cpuacct reads nanoseconds. cpuacct.usage_all (Linux 4.9) has both kinds of every CPU in lines of "CPU USER SYSTEM".
func (r *reader) cpuacct(s *Stats) {
	u := &s.CPU.Usage
	if r.detail < Full {
		u.Total = r.number("cpuacct.usage")
		return
	}
	u.PerCPU = r.numbers("cpuacct.usage_percpu")
	for line := range strings.SplitSeq(r.text("cpuacct.usage_all"), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "cpu" {
			continue
		}
		user, err1 := strconv.ParseUint(f[1], 10, 64)
		kernel, err2 := strconv.ParseUint(f[2], 10, 64)
		if err1 == nil && err2 == nil {
			u.PerCPUUser, u.PerCPUKernel = append(u.PerCPUUser, user), append(u.PerCPUKernel, kernel)
		}
	}
	u.Total, u.User, u.Kernel = sum(u.PerCPU), sum(u.PerCPUUser), sum(u.PerCPUKernel)
}

func sum(list []uint64) (n uint64) {
	for _, x := range list {
		n += x
	}
	return n
}

// counterV1 reads NAME.usage_in_bytes and its neighbours.
func (r *reader) counterV1(name string) Counter {
	return Counter{
		Usage: r.number(name + ".usage_in_bytes"), Max: r.number(name + ".max_usage_in_bytes"),
		Limit: limitV1(r.number(name + ".limit_in_bytes")), Failcnt: r.number(name + ".failcnt"),
	}
}

// limitV1 knows v1's "no limit", the highest multiple of a page.
func limitV1(n uint64) uint64 {
	if n >= 1<<63-1<<16 { // page sizes up to 64 KiB
		return Unlimited
	}
	return n
}

func (r *reader) memoryV1(s *Stats) {
	m := &s.Memory
	if r.detail < Full {
		m.Raw = r.table("memory.stat", "total_inactive_file")
		m.Usage.Usage, m.Usage.Limit = r.number("memory.usage_in_bytes"), limitV1(r.number("memory.limit_in_bytes"))
		return
	}
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
