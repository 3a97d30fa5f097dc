package cgroup

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/cgroup/dbus"
	"github.com/berth-oci/berth/runtime/internal/host"
)

// unitProperties are what systemd has to know: what the unit is, and every limit that it could otherwise overwrite when it
// writes its own idea of the group again (daemon-reload, set-property on a neighbour).
func unitProperties(l Layout, p unitPath, r Request) ([]dbus.Property, error) {
	props := []dbus.Property{{Name: "Description", Value: "container " + r.ID}}
	if l.Unit.isSlice() {
		props = append(props, dbus.Property{Name: "Wants", Value: []string{p.slice}})
	} else {
		props = append(props, dbus.Property{Name: "Slice", Value: p.slice}, dbus.Property{Name: "Delegate", Value: true})
	}
	for _, name := range []string{"MemoryAccounting", "CPUAccounting", "TasksAccounting"} {
		props = append(props, dbus.Property{Name: name, Value: true})
	}
	io := map[bool]string{true: "IOAccounting", false: "BlockIOAccounting"}[l.Mode == host.CgroupV2]
	props = append(props, dbus.Property{Name: io, Value: true}, dbus.Property{Name: "DefaultDependencies", Value: false})
	limits, err := limitProperties(r.Resources, l.Mode)
	if err != nil {
		return nil, err
	}
	rules, err := parseRules(devicesOf(r.Resources))
	if err != nil {
		return nil, err
	}
	props = append(props, limits...)
	if !l.Unit.User { // a user's manager has no rights over devices
		props = append(props, deviceProperties(append(rules, defaultRules...))...)
	}
	asked, err := annotated(r.Annotations)
	return append(props, asked...), err
}

func devicesOf(r *specs.LinuxResources) []specs.LinuxDeviceCgroup {
	if r == nil {
		return nil
	}
	return r.Devices
}

// deviceProperties tell systemd the device rules, so that a daemon-reload writes the same ones. What it cannot say (all but
// some, one minor of every major) leaves its own policy open: then the rules stand in the group alone.
func deviceProperties(rules []Rule) []dbus.Property {
	open := []dbus.Property{{Name: "DevicePolicy", Value: "auto"}, {Name: "DeviceAllow", Value: [][2]string{}}}
	l, err := listOf(rules)
	if err != nil || l.allow {
		return open
	}
	allow := [][2]string{}
	for _, r := range l.sorted() {
		kind := map[byte]string{'b': "block", 'c': "char"}[r.Type]
		switch {
		case r.Major == anyNumber && r.Minor == anyNumber:
			allow = append(allow, [2]string{kind + "-*", r.Access.String()})
		case r.Major == anyNumber:
			return open
		case r.Minor == anyNumber:
			allow = append(allow, [2]string{kind + "-" + number(r.Major), r.Access.String()})
		default:
			allow = append(allow, [2]string{fmt.Sprintf("/dev/%s/%d:%d", kind, r.Major, r.Minor), r.Access.String()})
		}
	}
	return []dbus.Property{{Name: "DevicePolicy", Value: "strict"}, {Name: "DeviceAllow", Value: allow}}
}

// limitProperties translates resources to systemd.resource-control(5). What it has no property for is written to the group
// alone, which Delegate= leaves to us.
func limitProperties(r *specs.LinuxResources, mode host.CgroupMode) ([]dbus.Property, error) {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	v2 := mode == host.CgroupV2
	var props []dbus.Property
	add := func(name string, value any) { props = append(props, dbus.Property{Name: name, Value: value}) }
	if m := r.Memory; m != nil {
		memoryProperties(m, v2, add)
	}
	if c := r.CPU; c != nil {
		if err := cpuProperties(c, v2, add); err != nil {
			return nil, err
		}
	}
	if p := r.Pids; p != nil && p.Limit != nil {
		// TasksMax=0 means infinity on some versions; 1 is the least it takes, and the group's own file has the 0.
		add("TasksMax", map[bool]uint64{true: Unlimited, false: uint64(max(*p.Limit, 1))}[*p.Limit < 0])
	}
	if b := r.BlockIO; b != nil && b.Weight != nil && *b.Weight != 0 {
		if v2 {
			add("IOWeight", ioWeight(*b.Weight))
		} else {
			add("BlockIOWeight", uint64(*b.Weight))
		}
	}
	return props, nil
}

func memoryProperties(m *specs.LinuxMemory, v2 bool, add func(string, any)) {
	unlimited := func(n int64) uint64 {
		if n < 0 {
			return Unlimited
		}
		return uint64(n)
	}
	if set(m.Limit) {
		add(map[bool]string{true: "MemoryMax", false: "MemoryLimit"}[v2], unlimited(*m.Limit))
	}
	if !v2 {
		return
	}
	if set(m.Reservation) {
		add("MemoryLow", unlimited(*m.Reservation))
	}
	if set(m.Swap) {
		if swap, err := swapV2(*m.Swap, m.Limit); err == nil { // an error is reported by the field's own write
			add("MemorySwapMax", unlimited(swap))
		}
	}
}

func cpuProperties(c *specs.LinuxCPU, v2 bool, add func(string, any)) error {
	if setU(c.Shares) {
		if v2 {
			add("CPUWeight", weightFromShares(*c.Shares))
		} else {
			add("CPUShares", *c.Shares)
		}
	}
	if setU(c.Period) {
		add("CPUQuotaPeriodUSec", *c.Period)
	}
	if set(c.Quota) {
		add("CPUQuotaPerSecUSec", quotaPerSecond(*c.Quota, orZero(c.Period)))
	}
	if !v2 {
		return nil
	}
	for _, s := range []struct{ name, field, list string }{{"AllowedCPUs", "cpu.cpus", c.Cpus}, {"AllowedMemoryNodes", "cpu.mems", c.Mems}} {
		if s.list == "" {
			continue
		}
		bits, err := listBits(s.list)
		if err != nil {
			return fmt.Errorf("cannot apply %s%s: %w", resourcesPath, s.field, err)
		}
		add(s.name, bits)
	}
	return nil
}

// quotaPerSecond is microseconds of CPU time in a second. systemd writes it back as a multiple of 10 ms; rounding up keeps
// the container from being held below its limit.
func quotaPerSecond(quota int64, period uint64) uint64 {
	if quota < 0 {
		return Unlimited
	}
	if period == 0 {
		period = 100000
	}
	per := uint64(quota) * 1000000 / period
	return (per + 9999) / 10000 * 10000
}

// listBits turns "0-2,5" into systemd's mask: bit N%8 of byte N/8.
func listBits(list string) ([]byte, error) {
	var bits []byte
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.ParseUint(from, 10, 13)
		b, err2 := strconv.ParseUint(to, 10, 13)
		if err1 != nil || err2 != nil || a > b {
			return nil, fmt.Errorf("%q is no list of numbers such as 0-3,7", list)
		}
		for ; a <= b; a++ {
			for uint64(len(bits)) <= a/8 {
				bits = append(bits, 0)
			}
			bits[a/8] |= 1 << (a % 8)
		}
	}
	return bits, nil
}

// annotationPrefix is how engines hand properties of the unit to a runtime.
const annotationPrefix = "org.systemd.property."

// allowedProperties may be set by annotations, with their D-Bus types. All others are refused: annotations come from images
// and users, and a property such as ExecStopPost runs a program on the host (CVE-2024-3154).
var allowedProperties = map[string]string{
	"After": "as", "Before": "as", "CollectMode": "s", "DefaultDependencies": "b", "TimeoutStopUSec": "t", "RuntimeMaxUSec": "t",
	"OOMPolicy": "s", "ManagedOOMMemoryPressure": "s", "ManagedOOMSwap": "s",
}

func annotated(annotations map[string]string) ([]dbus.Property, error) {
	var props []dbus.Property
	for _, key := range sortedKeys(annotations) {
		name, ok := strings.CutPrefix(key, annotationPrefix)
		if !ok {
			continue
		}
		text, seconds := annotations[key], false
		if base, ok := strings.CutSuffix(name, "Sec"); ok && !strings.HasSuffix(base, "U") {
			name, seconds = base+"USec", true
		}
		kind, ok := allowedProperties[name]
		if !ok {
			return nil, fmt.Errorf("cannot apply annotations[%q]: only %s may be set by annotations", key, strings.Join(sortedKeys(allowedProperties), ", "))
		}
		value, err := gvariant(kind, text)
		if err != nil {
			return nil, fmt.Errorf("cannot apply annotations[%q]: %w", key, err)
		}
		if n, ok := value.(uint64); ok && seconds {
			if n > math.MaxUint64/1000000 {
				return nil, fmt.Errorf("cannot apply annotations[%q]: %d seconds are more than systemd can count; use %d or less", key, n, uint64(math.MaxUint64/1000000))
			}
			value = n * 1000000
		}
		props = append(props, dbus.Property{Name: name, Value: value})
	}
	return props, nil
}

// gvariant reads the text form of one of the types above: 'text', uint64 5, true, ['a', 'b'].
func gvariant(kind, text string) (any, error) {
	text = strings.TrimSpace(text)
	switch kind {
	case "b":
		return strconv.ParseBool(text)
	case "t":
		for _, prefix := range []string{"uint64 ", "int64 ", "uint32 ", "int32 "} {
			text = strings.TrimPrefix(text, prefix)
		}
		return strconv.ParseUint(strings.TrimSpace(text), 10, 63)
	case "as":
		inner, ok := strings.CutPrefix(text, "[")
		inner, ok2 := strings.CutSuffix(inner, "]")
		if !ok || !ok2 {
			return nil, fmt.Errorf("%q is no list such as ['a', 'b']", text)
		}
		var list []string
		for part := range strings.SplitSeq(inner, ",") {
			s, err := quoted(part)
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		}
		return list, nil
	}
	return quoted(text)
}

// quoted reads 'text' or "text"; nothing that would need an escape is allowed in it.
func quoted(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' || strings.ContainsAny(s[1:len(s)-1], "'\"\\\n\x00%") {
		return "", fmt.Errorf("%q is no quoted text such as 'a'", s)
	}
	return s[1 : len(s)-1], nil
}
