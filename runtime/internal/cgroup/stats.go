package cgroup

import (
	"fmt"
	"strconv"
	"strings"
)

// Stats is one sample of a group's counters. The JSON is that of `runc events --stats`, which engines read.
type Stats struct {
	CPU     CPUStats            `json:"cpu"`
	CPUSet  CPUSetStats         `json:"cpuset"`
	Memory  MemoryStats         `json:"memory"`
	Pids    PidsStats           `json:"pids"`
	BlockIO BlockIOStats        `json:"blkio"`
	Hugetlb map[string]Counter  `json:"hugetlb"` // by page size: "2MB"
	Rdma    map[string]RdmaStat `json:"rdma,omitempty"`
}

// CPUStats are times in nanoseconds.
type CPUStats struct {
	Usage struct {
		Total        uint64   `json:"total,omitempty"`
		PerCPU       []uint64 `json:"percpu,omitempty"`        // v1
		PerCPUKernel []uint64 `json:"percpu_kernel,omitempty"` // v1
		PerCPUUser   []uint64 `json:"percpu_user,omitempty"`   // v1
		Kernel       uint64   `json:"kernel"`
		User         uint64   `json:"user"`
	} `json:"usage"`
	Throttling struct {
		Periods          uint64 `json:"periods,omitempty"`
		ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
		ThrottledTime    uint64 `json:"throttledTime,omitempty"`
	} `json:"throttling"`
	PSI *PSI `json:"psi,omitempty"`
}

// CPUSetStats are the CPUs and memory nodes that the group may use, as the kernel writes lists: "0-3,7".
type CPUSetStats struct {
	CPUs []uint16 `json:"cpus,omitempty"`
	Mems []uint16 `json:"mems,omitempty"`
}

// Counter is a use in bytes with its limit, its highest value and how often the limit was hit.
type Counter struct {
	Limit   uint64 `json:"limit"` // Unlimited: none
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// Unlimited is a limit that is none.
const Unlimited = ^uint64(0)

// MemoryStats are bytes. In both versions Swap counts memory and swap together, as the spec's memory.swap does.
type MemoryStats struct {
	Cache     uint64            `json:"cache,omitempty"`
	Usage     Counter           `json:"usage"`
	Swap      Counter           `json:"swap"`
	Kernel    Counter           `json:"kernel"`
	KernelTCP Counter           `json:"kernelTCP"`
	OOMKills  uint64            `json:"oomKills"`
	Raw       map[string]uint64 `json:"raw,omitempty"` // memory.stat
	PSI       *PSI              `json:"psi,omitempty"`
}

// WorkingSet is what a kubelet counts as used: what cannot be dropped at once, in bytes.
func (m MemoryStats) WorkingSet() uint64 {
	inactive := m.Raw["total_inactive_file"]
	if v, ok := m.Raw["inactive_file"]; ok && inactive == 0 {
		inactive = v
	}
	return m.Usage.Usage - min(inactive, m.Usage.Usage)
}

// PidsStats are numbers of tasks; a Limit of 0 is none, as in runc's output, and LimitZero tells a true 0 apart.
type PidsStats struct {
	Current   uint64 `json:"current,omitempty"`
	Limit     uint64 `json:"limit,omitempty"`
	LimitZero bool   `json:"limitZero,omitempty"`
}

// BlockIOStats are counters for each device and direction.
type BlockIOStats struct {
	Bytes []BlockIOEntry `json:"ioServiceBytesRecursive,omitempty"`
	Ops   []BlockIOEntry `json:"ioServicedRecursive,omitempty"`
	PSI   *PSI           `json:"psi,omitempty"`
}

// BlockIOEntry is one counter of one device.
type BlockIOEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"` // "Read", "Write", …
	Value uint64 `json:"value,omitempty"`
}

// RdmaStat is the use of one RDMA device.
type RdmaStat struct {
	Handles uint64 `json:"hcaHandles"`
	Objects uint64 `json:"hcaObjects"`
}

// PSI is how long tasks stood still for want of the resource (Documentation/accounting/psi.rst).
type PSI struct {
	Some Pressure `json:"some"`
	Full Pressure `json:"full"`
}

// Pressure is the share of time in percent over 10, 60 and 300 seconds, and the total in microseconds.
type Pressure struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

// Detail says how many of a group's files a sample reads: each costs some microseconds, and a machine has hundreds of groups.
type Detail int

// The details, each with all of the one before.
const (
	Times Detail = iota // the processor time in all, which a later sample is compared with
	Brief               // what a table of many groups shows: memory with its limit, pids, input and output, pressures
	Full                // everything that Stats has
)

// Stats reads one full sample.
func (g *Group) Stats() (Stats, error) { return g.Sample(Full) }

// Sample reads one sample. A file that this kernel lacks leaves its numbers at 0; a group that is gone is an error.
func (g *Group) Sample(detail Detail) (Stats, error) {
	var s Stats
	if detail == Full {
		s.Hugetlb = map[string]Counter{}
	}
	if !g.Exists() {
		return s, fmt.Errorf("cannot read the container's statistics: its cgroup does not exist")
	}
	for _, d := range g.dirs {
		r := reader{dir: d.Path, detail: detail}
		if d.Version == 2 {
			r.v2(&s, d)
		} else {
			r.v1(&s, d)
		}
		if r.err != nil {
			return s, fmt.Errorf("cannot read the container's statistics: %w", r.err)
		}
	}
	return s, nil
}

// reader reads the files of one directory. A missing file is no error.
type reader struct {
	dir    string
	detail Detail
	err    error
}

func (r *reader) text(file string) string {
	s, err := readRecord(r.dir + "/" + file)
	if err != nil && !isGone(err) && !isThreaded(err) && r.err == nil {
		r.err = err
	}
	if err != nil {
		return ""
	}
	return s
}

func (r *reader) number(file string) uint64 {
	n, err := parseUint(r.text(file))
	if err != nil {
		return 0
	}
	return n
}

// table reads "name number" lines: all, or those of the given names.
func (r *reader) table(file string, names ...string) map[string]uint64 {
	t := map[string]uint64{}
	for line := range strings.SplitSeq(r.text(file), "\n") {
		name, value, ok := strings.Cut(line, " ")
		if len(names) > 0 && !contains(names, name) {
			continue
		}
		if n, err := strconv.ParseUint(value, 10, 64); ok && err == nil {
			t[name] = n
		}
	}
	return t
}

func (r *reader) numbers(file string) []uint64 {
	var out []uint64
	for _, f := range strings.Fields(r.text(file)) {
		if n, err := strconv.ParseUint(f, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// list reads "0-3,7".
func (r *reader) list(file string) []uint16 {
	var out []uint16
	for part := range strings.SplitSeq(r.text(file), ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(from, 10, 16)
		if err != nil {
			continue
		}
		b := a
		if isRange {
			if b, err = strconv.ParseUint(to, 10, 16); err != nil {
				continue
			}
		}
		for ; a <= b; a++ {
			out = append(out, uint16(a))
		}
	}
	return out
}

// pressure reads a PSI file: two lines of "some avg10=0.00 avg60=0.00 avg300=0.00 total=0". nil where the kernel has none
// (EOPNOTSUPP where it was switched off).
func (r *reader) pressure(file string) *PSI {
	s := r.text(file)
	if s == "" {
		return nil
	}
	var p PSI
	for line := range strings.SplitSeq(s, "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "some":
			p.Some = parsePressure(rest)
		case "full":
			p.Full = parsePressure(rest)
		}
	}
	return &p
}

func parsePressure(s string) Pressure {
	var p Pressure
	for f := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(f, "=")
		x, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "avg10":
			p.Avg10 = x
		case "avg60":
			p.Avg60 = x
		case "avg300":
			p.Avg300 = x
		case "total":
			p.Total, _ = strconv.ParseUint(value, 10, 64)
		}
	}
	return p
}

// pageSizes are the huge page sizes for which the directory has files: "2MB".
func (r *reader) pageSizes(suffix string) []string {
	var sizes []string
	for _, name := range fileNames(r.dir, "hugetlb.") {
		size, ok := strings.CutSuffix(strings.TrimPrefix(name, "hugetlb."), suffix)
		if ok && !strings.Contains(size, ".") {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

func (r *reader) rdma() map[string]RdmaStat {
	var out map[string]RdmaStat
	for line := range strings.SplitSeq(r.text("rdma.current"), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		if out == nil {
			out = map[string]RdmaStat{}
		}
		out[f[0]] = RdmaStat{numberAfter(f[1], "hca_handle="), numberAfter(f[2], "hca_object=")}
	}
	return out
}

func numberAfter(s, prefix string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimPrefix(s, prefix), 10, 64)
	return n
}

// pids reads the tasks' numbers; both versions have the same files.
func (r *reader) pids() PidsStats {
	p := PidsStats{Current: r.number("pids.current"), Limit: r.number("pids.max")}
	if p.Limit == Unlimited {
		p.Limit = 0
	} else if p.Limit == 0 {
		p.LimitZero = r.text("pids.max") == "0"
	}
	return p
}

func device(s string) (major, minor uint64, ok bool) {
	a, b, ok := strings.Cut(s, ":")
	major, err1 := strconv.ParseUint(a, 10, 32)
	minor, err2 := strconv.ParseUint(b, 10, 32)
	return major, minor, ok && err1 == nil && err2 == nil
}

func fileNames(dir, prefix string) []string {
	var names []string
	for _, e := range entries(dir) {
		if strings.HasPrefix(e, prefix) {
			names = append(names, e)
		}
	}
	return names
}
