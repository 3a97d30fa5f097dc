package spec

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Resolve turns a raw config into a Spec. bundle must be an absolute path. A config in which Validate found no error
// always resolves; for any other the error names the first value that has no meaning.
func Resolve(raw *specs.Spec, bundle string) (Spec, error) {
	if !filepath.IsAbs(bundle) {
		return Spec{}, fmt.Errorf("the bundle's path %q is not absolute", bundle)
	}
	if raw.Root == nil {
		return Spec{}, errors.New("root: is missing")
	}
	s := Spec{
		Version: raw.Version, Bundle: filepath.Clean(bundle),
		Root:     Root{Path: below(bundle, raw.Root.Path), Readonly: raw.Root.Readonly},
		Hostname: raw.Hostname, Domainname: raw.Domainname,
		Annotations: raw.Annotations,
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	if err := s.resolveParts(raw); err != nil {
		return Spec{}, err
	}
	return s, nil
}

func (s *Spec) resolveParts(raw *specs.Spec) (err error) {
	if raw.Process != nil {
		s.HasProcess = true
		if s.Process, err = ResolveProcess(raw.Process); err != nil {
			return err
		}
	}
	if raw.Linux != nil {
		if err := s.Linux.resolve(raw.Linux); err != nil {
			return err
		}
	}
	s.Mounts = make([]Mount, len(raw.Mounts))
	for i := range raw.Mounts {
		s.Mounts[i] = resolveMount(i, &raw.Mounts[i], s.Bundle, &s.Linux)
	}
	s.Hooks = resolveHooks(raw.Hooks)
	return nil
}

// below makes a host path absolute: relative ones count from the bundle (config.md "Root", "Mounts").
func below(bundle, p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(bundle, p)
}

// inside makes a path in the container absolute and cleaned. Since ".." cannot climb above "/", it names the same place
// whatever symlinks the root filesystem holds, or a place inside it at the least.
func inside(p string) string { return path.Clean("/" + p) }

func bad(at string, value any) error {
	return fmt.Errorf("%s: is %q, which has no meaning here", at, value)
}

// ResolveProcess resolves a process alone, as exec needs it.
func ResolveProcess(raw *specs.Process) (Process, error) {
	p := Process{
		Terminal: raw.Terminal, Args: raw.Args, Env: raw.Env, Cwd: inside(raw.Cwd),
		User:            User{UID: raw.User.UID, GID: raw.User.GID, AdditionalGids: raw.User.AdditionalGids},
		NoNewPrivileges: raw.NoNewPrivileges, ApparmorProfile: raw.ApparmorProfile, SelinuxLabel: raw.SelinuxLabel,
	}
	if raw.User.Umask != nil {
		p.User.HasUmask, p.User.Umask = true, *raw.User.Umask&0o777
	}
	if raw.Terminal && raw.ConsoleSize != nil {
		p.ConsoleWidth, p.ConsoleHeight = uint16(raw.ConsoleSize.Width), uint16(raw.ConsoleSize.Height)
	}
	if raw.OOMScoreAdj != nil {
		p.HasOOMScoreAdj, p.OOMScoreAdj = true, *raw.OOMScoreAdj
	}
	if raw.Capabilities != nil {
		p.HasCapabilities, p.Capabilities = true, resolveCapabilities(raw.Capabilities)
	}
	return p, p.resolveLimits(raw)
}

func (p *Process) resolveLimits(raw *specs.Process) error {
	for i, l := range raw.Rlimits {
		n := slices.Index(rlimits[:], l.Type)
		if n < 0 {
			return bad(fmt.Sprintf("process.rlimits[%d].type", i), l.Type)
		}
		p.Rlimits = append(p.Rlimits, Rlimit{Name: l.Type, Resource: n, Soft: l.Soft, Hard: l.Hard})
	}
	if raw.Scheduler != nil {
		if err := p.resolveScheduler(raw.Scheduler); err != nil {
			return err
		}
	}
	if raw.IOPriority != nil {
		class, ok := lookup(ioClasses, raw.IOPriority.Class)
		if !ok {
			return bad("process.ioPriority.class", raw.IOPriority.Class)
		}
		p.HasIOPriority, p.IOPriority = true, class<<13|raw.IOPriority.Priority
	}
	if a := raw.ExecCPUAffinity; a != nil {
		var err1, err2 error
		p.ExecAffinityInitial, err1 = parseBits(a.Initial, maxCPU)
		p.ExecAffinityFinal, err2 = parseBits(a.Final, maxCPU)
		return errors.Join(err1, err2)
	}
	return nil
}

func (p *Process) resolveScheduler(raw *specs.Scheduler) error {
	policy, ok := lookup(schedulerPolicies, raw.Policy)
	if !ok {
		return bad("process.scheduler.policy", raw.Policy)
	}
	p.HasScheduler = true
	p.Scheduler = Scheduler{
		Policy: policy, Nice: raw.Nice, Priority: uint32(raw.Priority),
		Runtime: raw.Runtime, Deadline: raw.Deadline, Period: raw.Period,
	}
	for i, f := range raw.Flags {
		bit, ok := lookup(schedulerFlags, f)
		if !ok {
			return bad(fmt.Sprintf("process.scheduler.flags[%d]", i), f)
		}
		p.Scheduler.Flags |= bit
	}
	return nil
}

// resolveCapabilities leaves out what the kernel would refuse to grant (capset(2), capabilities(7)), for config.md "Linux
// Process" wants a warning for it and not a failure: effective only what is permitted, inheritable only what is bounding,
// ambient only what is both permitted and inheritable.
func resolveCapabilities(raw *specs.LinuxCapabilities) Capabilities {
	c := Capabilities{
		Bounding: capabilityBits(raw.Bounding), Effective: capabilityBits(raw.Effective),
		Inheritable: capabilityBits(raw.Inheritable), Permitted: capabilityBits(raw.Permitted),
		Ambient: capabilityBits(raw.Ambient),
	}
	c.Effective &= c.Permitted
	c.Inheritable &= c.Bounding
	c.Ambient &= c.Permitted & c.Inheritable
	return c
}

func capabilityBits(names []string) (set uint64) {
	for _, name := range names {
		if n, ok := Capability(name); ok {
			set |= 1 << n
		}
	}
	return set
}

// CapabilityList are the names of the capabilities in set, in the kernel's order.
func CapabilityList(set uint64) []string {
	l := make([]string, 0, bits.OnesCount64(set))
	for n, name := range capabilities {
		if set>>n&1 == 1 {
			l = append(l, name)
		}
	}
	return l
}

func resolveMount(i int, raw *specs.Mount, bundle string, l *Linux) Mount {
	m := Mount{
		Index: i, Destination: inside(raw.Destination), Source: raw.Source, Type: raw.Type, Options: raw.Options,
	}
	m.applyOptions(raw.Options)
	if raw.Type == "bind" {
		m.Flags |= MS_BIND
	}
	if m.Flags&MS_BIND != 0 {
		m.IsBind, m.Recursive, m.Type = true, m.Flags&MS_REC != 0, "bind"
		if m.Flags&MS_REMOUNT == 0 {
			m.Source = below(bundle, raw.Source)
		}
	}
	m.resolveIDMap(raw, l)
	return m
}

// resolveIDMap takes the mount's own mappings, else the container's (config.md "idmap"). With a joined user namespace the
// container's are not in the config: HasIDMap with no mappings then means that very namespace.
func (m *Mount) resolveIDMap(raw *specs.Mount, l *Linux) {
	if len(raw.UIDMappings) > 0 || len(raw.GIDMappings) > 0 {
		m.HasIDMap = true
		m.UIDMappings, m.GIDMappings = resolveMappings(raw.UIDMappings), resolveMappings(raw.GIDMappings)
		return
	}
	if m.HasIDMap && l.Namespaces[UserNS].New {
		m.UIDMappings, m.GIDMappings = l.UIDMappings, l.GIDMappings
	}
}

func resolveMappings(raw []specs.LinuxIDMapping) []IDMapping {
	l := make([]IDMapping, len(raw))
	for i, m := range raw {
		l[i] = IDMapping(m)
	}
	return l
}

func (l *Linux) resolve(raw *specs.Linux) error {
	*l = Linux{
		UIDMappings: resolveMappings(raw.UIDMappings), GIDMappings: resolveMappings(raw.GIDMappings),
		CgroupsPath: raw.CgroupsPath, Resources: raw.Resources, Seccomp: raw.Seccomp, MountLabel: raw.MountLabel,
	}
	for i, n := range raw.Namespaces {
		k, ok := KindOf(string(n.Type))
		if !ok {
			return bad(fmt.Sprintf("linux.namespaces[%d].type", i), n.Type)
		}
		l.Namespaces[k] = Namespace{New: n.Path == "", Path: n.Path}
	}
	for _, p := range raw.MaskedPaths {
		l.MaskedPaths = append(l.MaskedPaths, inside(p))
	}
	for _, p := range raw.ReadonlyPaths {
		l.ReadonlyPaths = append(l.ReadonlyPaths, inside(p))
	}
	l.resolveTables(raw)
	return l.resolveWords(raw)
}

func (l *Linux) resolveTables(raw *specs.Linux) {
	for i := range raw.Devices {
		l.Devices = append(l.Devices, resolveDevice(i, &raw.Devices[i]))
	}
	for _, host := range slices.Sorted(maps.Keys(raw.NetDevices)) {
		d := NetDevice{HostName: host, Name: raw.NetDevices[host].Name}
		if d.Name == "" {
			d.Name = host
		}
		l.NetDevices = append(l.NetDevices, d)
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Sysctl)) {
		l.Sysctl = append(l.Sysctl, Sysctl{Name: name, File: sysctlFile(name), Value: raw.Sysctl[name]})
	}
	for _, clock := range slices.Sorted(maps.Keys(raw.TimeOffsets)) {
		o := raw.TimeOffsets[clock]
		l.TimeOffsets = append(l.TimeOffsets, TimeOffset{Clock: clock, Secs: o.Secs, Nanosecs: o.Nanosecs})
	}
	if r := raw.IntelRdt; r != nil {
		l.HasIntelRdt, l.IntelRdt = true, resolveIntelRdt(r)
	}
}

func (l *Linux) resolveWords(raw *specs.Linux) error {
	var ok bool
	if raw.RootfsPropagation != "" {
		if l.RootfsPropagation, ok = lookup(rootfsPropagations, raw.RootfsPropagation); !ok {
			return bad("linux.rootfsPropagation", raw.RootfsPropagation)
		}
	}
	if p := raw.Personality; p != nil {
		if l.Personality, ok = lookup(personalities, p.Domain); !ok {
			return bad("linux.personality.domain", p.Domain)
		}
		l.HasPersonality = true
	}
	if p := raw.MemoryPolicy; p != nil {
		return l.resolveMemoryPolicy(p)
	}
	return nil
}

func (l *Linux) resolveMemoryPolicy(raw *specs.LinuxMemoryPolicy) (err error) {
	mode, ok := lookup(memoryPolicyModes, raw.Mode)
	if !ok {
		return bad("linux.memoryPolicy.mode", raw.Mode)
	}
	for i, f := range raw.Flags {
		bit, ok := lookup(memoryPolicyFlags, f)
		if !ok {
			return bad(fmt.Sprintf("linux.memoryPolicy.flags[%d]", i), f)
		}
		mode |= bit
	}
	l.HasMemoryPolicy, l.MemoryPolicy.Mode = true, mode
	if l.MemoryPolicy.Nodes, err = parseBits(raw.Nodes, maxNode); err != nil {
		return fmt.Errorf("linux.memoryPolicy.nodes: %w", err)
	}
	return nil
}

func resolveDevice(i int, raw *specs.LinuxDevice) Device {
	d := Device{Index: i, Path: inside(raw.Path), Mode: 0o666}
	if raw.Type != "" {
		d.Type = raw.Type[0]
	}
	if d.Type == 'u' {
		d.Type = 'c'
	}
	if d.Type != 'p' {
		d.Major, d.Minor = uint32(raw.Major), uint32(raw.Minor)
	}
	if raw.FileMode != nil {
		d.Mode = uint32(*raw.FileMode) & 0o7777
	}
	if raw.UID != nil {
		d.UID = *raw.UID
	}
	if raw.GID != nil {
		d.GID = *raw.GID
	}
	return d
}

// resolveIntelRdt keeps the order config-linux.md "IntelRdt" demands: L3 first, MB after it, schemata last.
func resolveIntelRdt(raw *specs.LinuxIntelRdt) IntelRdt {
	r := IntelRdt{ClosID: raw.ClosID, EnableMonitoring: raw.EnableMonitoring}
	for _, line := range []string{raw.L3CacheSchema, raw.MemBwSchema} {
		if line != "" {
			r.Schemata = append(r.Schemata, line)
		}
	}
	r.Fixed = len(r.Schemata)
	r.Schemata = append(r.Schemata, raw.Schemata...)
	return r
}

func resolveHooks(raw *specs.Hooks) (h Hooks) {
	if raw == nil {
		return h
	}
	for _, list := range hookLists {
		to := list.to(&h)
		for i, r := range list.raw(raw) {
			hook := Hook{Kind: list.name, Index: i, Path: r.Path, Args: r.Args, Env: r.Env}
			if r.Timeout != nil {
				hook.Timeout = time.Duration(*r.Timeout) * time.Second
			}
			*to = append(*to, hook)
		}
	}
	return h
}

// sysctlFile turns a name into a path below /proc/sys as sysctl(8) does: whichever of "." and "/" comes first separates, and
// the other one is then part of a component ("net.ipv4.conf.eth0/1.forwarding" is about the interface "eth0.1").
func sysctlFile(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '/' {
		return name
	}
	return strings.Map(func(c rune) rune {
		switch c {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return c
	}, name)
}

// The largest numbers a list of CPUs or memory nodes may hold: what the largest kernel configurations allow.
const (
	maxCPU  = 8191
	maxNode = 1023
)

// parseBits reads a list such as "0-3,7". An empty one gives nil.
func parseBits(list string, most int) (Bits, error) {
	if list == "" {
		return nil, nil
	}
	if len(list) > 64<<10 {
		return nil, errors.New("is longer than 64 KiB")
	}
	var b Bits
	for item := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(item, "-")
		if !isRange {
			last = first
		}
		lo, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 31)
		hi, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 31)
		if err1 != nil || err2 != nil || hi < lo {
			return nil, fmt.Errorf("%q in %q is neither a number nor a range", clip(item), clip(list))
		}
		if hi > uint64(most) {
			return nil, fmt.Errorf("%d is above the highest possible number, %d", hi, most)
		}
		b = b.with(int(lo), int(hi))
	}
	return b, nil
}

func (b Bits) with(lo, hi int) Bits {
	for len(b) <= hi/64 {
		b = append(b, 0)
	}
	for w := lo / 64; w <= hi/64; w++ {
		b[w] |= ^uint64(0) << max(0, lo-w*64) & (^uint64(0) >> (63 - min(63, hi-w*64)))
	}
	return b
}
