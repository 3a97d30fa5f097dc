package spec

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) namespaces() {
	const clause = "config-linux.md, Namespaces"
	var seen [NamespaceKinds]bool
	for i, n := range c.linux.Namespaces {
		k, ok := KindOf(string(n.Type))
		if !ok {
			oneOf(c, clause, at("linux.namespaces", i)+".type", n.Type, Namespaces())
			continue
		}
		if seen[k] {
			c.refuse(clause, at("linux.namespaces", i)+".type", "keep one of them", "%s is given twice", q(n.Type))
		}
		if n.Path != "" && !filepath.IsAbs(n.Path) {
			c.refuse(clause, at("linux.namespaces", i)+".path", "begin it with /", "%s is not absolute", q(n.Path))
		}
		seen[k] = true
		c.ns[k] = Namespace{New: n.Path == "", Path: n.Path}
	}
	if c.ns[TimeNS].Own() && !c.h.Features.TimeNamespace {
		c.refuse(clause, "linux.namespaces", "leave it out", "has a time namespace, which needs Linux 5.6")
	}
	if c.h.EUID != 0 && !c.ns[UserNS].Own() {
		c.refuse("user_namespaces(7)", "linux.namespaces", `add {"type": "user"} with linux.uidMappings and linux.gidMappings, or run as root`, "has no user namespace, which a caller who is not root needs")
	}
	c.userMappings()
}

func (c *checker) userMappings() {
	const clause = "config-linux.md, User namespace mappings"
	l := c.linux
	given := len(l.UIDMappings) > 0 || len(l.GIDMappings) > 0
	switch user := c.ns[UserNS]; {
	case given && !user.Own():
		c.refuse(clause, "linux.uidMappings", `add {"type": "user"} to linux.namespaces`, "or gidMappings are given without a user namespace")
	case given && user.Path != "":
		c.warn(clause, "linux.uidMappings", "leave them out", "or gidMappings are given for a joined user namespace, which has its own")
	case user.New && len(l.UIDMappings) == 0:
		c.refuse(clause, "linux.uidMappings", "add a range", "is empty, and a new user namespace needs it")
	case user.New && len(l.GIDMappings) == 0:
		c.refuse(clause, "linux.gidMappings", "add a range", "is empty, and a new user namespace needs it")
	}
	c.mappings("linux.uidMappings", l.UIDMappings)
	c.mappings("linux.gidMappings", l.GIDMappings)
}

func (c *checker) platformLinux() {
	l := c.linux
	c.timeOffsets()
	c.devices()
	c.netDevices()
	c.cgroupsPath()
	if l.Resources != nil {
		c.resources(l.Resources)
	}
	c.intelRdt(l.IntelRdt)
	c.memoryPolicy(l.MemoryPolicy)
	for _, name := range slices.Sorted(maps.Keys(l.Sysctl)) {
		c.sysctl(name)
	}
	if l.Seccomp != nil {
		c.seccomp(l.Seccomp)
	}
	if l.RootfsPropagation != "" {
		oneOf(c, "config-linux.md, Rootfs Mount Propagation", "linux.rootfsPropagation", l.RootfsPropagation, names(rootfsPropagations))
	}
	c.paths("linux.maskedPaths", "config-linux.md, Masked Paths", l.MaskedPaths)
	c.paths("linux.readonlyPaths", "config-linux.md, Readonly Paths", l.ReadonlyPaths)
	if l.MountLabel != "" && !c.h.LSM.Selinux {
		c.refuse("config-linux.md, Mount Label", "linux.mountLabel", "leave it out", "is %s, but SELinux is not enabled on this machine", q(l.MountLabel))
	}
	if strings.ContainsAny(l.MountLabel, "\"\\\n\r") {
		c.refuse("config-linux.md, Mount Label", "linux.mountLabel", "", "is %s, and a label has neither quotes, backslashes nor line breaks", q(l.MountLabel))
	}
	if p := l.Personality; p != nil {
		oneOf(c, "config-linux.md, Personality", "linux.personality.domain", p.Domain, names(personalities))
		if len(p.Flags) > 0 {
			c.refuse("config-linux.md, Personality", "linux.personality.flags[0]", "leave flags out", "is %s, and no flag is defined", q(p.Flags[0]))
		}
	}
}

func (c *checker) paths(where, clause string, paths []string) {
	if len(paths) == 0 {
		return
	}
	c.needs(MountNS, where, clause)
	c.inContainer(clause, paths, where)
}

func (c *checker) timeOffsets() {
	const clause = "time_namespaces(7)"
	if len(c.linux.TimeOffsets) > 0 && !c.ns[TimeNS].New {
		c.refuse("config-linux.md, Offset for Time Namespace", "linux.timeOffsets", `add {"type": "time"} to linux.namespaces`, "needs a new time namespace")
	}
	for _, clock := range slices.Sorted(maps.Keys(c.linux.TimeOffsets)) {
		where := under("linux.timeOffsets", clock)
		oneOf(c, clause, where, clock, []string{"boottime", "monotonic"})
		if n := c.linux.TimeOffsets[clock].Nanosecs; n > 999_999_999 {
			c.refuse(clause, where+".nanosecs", "carry it over into secs", "is %d, must be at most 999999999", n)
		}
	}
}

func (c *checker) devices() {
	const clause = "config-linux.md, Devices"
	byPath := map[string]int{}
	byNumber := map[[3]int64]int{}
	for i := range c.linux.Devices {
		d := &c.linux.Devices[i]
		c.device(i, d)
		p := inside(d.Path)
		if j, ok := byPath[p]; ok && sameDevice(d, &c.linux.Devices[j]) {
			c.warn(clause, at("linux.devices", i), "", "is the same as linux.devices[%d]", j)
			continue
		} else if ok {
			c.refuse(clause, at("linux.devices", i)+".path", "keep one of them", "%s is given twice, first by linux.devices[%d]", q(d.Path), j)
		}
		byPath[p] = i
		if d.Type == "" || d.Type == "p" {
			continue
		}
		n := [3]int64{int64(d.Type[0]), d.Major, d.Minor}
		if j, ok := byNumber[n]; ok {
			c.warn(clause, at("linux.devices", i), "", "is the same device %d:%d as linux.devices[%d]", d.Major, d.Minor, j)
		}
		byNumber[n] = i
	}
}

func sameDevice(a, b *specs.LinuxDevice) bool {
	return a.Type == b.Type && a.Major == b.Major && a.Minor == b.Minor
}

func (c *checker) device(i int, d *specs.LinuxDevice) {
	const clause = "config-linux.md, Devices"
	oneOf(c, clause, at("linux.devices", i)+".type", d.Type, []string{"c", "b", "u", "p"})
	if !path.IsAbs(d.Path) || inside(d.Path) == "/" {
		c.refuse(clause, at("linux.devices", i)+".path", "give the path of a file in the container", "%s is no absolute path of a file", q(d.Path))
	}
	// MINORBITS is 20 and a dev_t has 32 bits (linux/kdev_t.h).
	if d.Type != "p" && (d.Major < 0 || d.Major > 4095 || d.Minor < 0 || d.Minor > 1<<20-1) {
		c.refuse("makedev(3)", at("linux.devices", i), "", "has the number %d:%d; major numbers go to 4095, minor ones to 1048575", d.Major, d.Minor)
	}
	if d.FileMode != nil && uint32(*d.FileMode)&^0o177777 != 0 {
		c.refuse(clause, at("linux.devices", i)+".fileMode", "mind that JSON knows decimal numbers only: 438 is 0666", "is %d, which is no file mode", uint32(*d.FileMode))
	}
	if d.UID != nil {
		c.id(at("linux.devices", i)+".uid", *d.UID, c.linux.UIDMappings)
	}
	if d.GID != nil {
		c.id(at("linux.devices", i)+".gid", *d.GID, c.linux.GIDMappings)
	}
}

func (c *checker) netDevices() {
	const clause = "config-linux.md, Network Devices"
	if len(c.linux.NetDevices) == 0 {
		return
	}
	c.needs(NetworkNS, "linux.netDevices", clause)
	if c.h.Rootless {
		c.refuse("network_namespaces(7)", "linux.netDevices", "run as root", "cannot be moved by a caller without rights over the host's network")
	}
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.linux.NetDevices)) {
		where := under("linux.netDevices", name)
		inner := c.linux.NetDevices[name].Name
		if why := badDevice(name); why != "" {
			c.refuse(clause, where, "", "the device's name %s", why)
		}
		if inner == "" {
			inner = name
		} else if why := badDevice(strings.TrimSuffix(inner, "%d")); why != "" || len(inner) > 15 {
			c.refuse(clause, where+".name", "", "%s is not usable: a name %s", q(inner), cmpOr(why, "has 15 bytes at most"))
		}
		if other, ok := taken[inner]; ok && !strings.HasSuffix(inner, "%d") {
			c.refuse(clause, where+".name", "", "%s is the name of %s as well", q(inner), q(other))
		}
		taken[inner] = name
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// badDevice says why the kernel would not take a name (dev_valid_name in net/core/dev.c), "" if it would.
func badDevice(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return `must not be empty, "." or ".."`
	case len(name) > 15:
		return "has 15 bytes at most"
	case strings.ContainsAny(name, "/:% \t\n\v\f\r"):
		return "has no slash, colon, percent sign or space in it"
	}
	return ""
}

func (c *checker) cgroupsPath() {
	const clause = "config-linux.md, Cgroups Path"
	p := c.linux.CgroupsPath
	c.singleLine(clause, "linux.cgroupsPath", p)
	if slices.Contains(strings.Split(p, "/"), "..") {
		c.refuse(clause, "linux.cgroupsPath", `leave ".." out`, "%s climbs up", q(p))
	}
}

func (c *checker) intelRdt(r *specs.LinuxIntelRdt) {
	const clause = "config-linux.md, IntelRdt"
	if r == nil {
		return
	}
	if c.h.Resctrl == "" {
		c.refuse(clause, "linux.intelRdt", "leave it out, or run: mount -t resctrl resctrl /sys/fs/resctrl", "is given, but no resctrl filesystem is mounted")
	}
	if id := r.ClosID; id == "." || id == ".." || id != "/" && strings.ContainsAny(id, "/\n") {
		c.refuse(clause, "linux.intelRdt.closID", `use a plain name, or "/" for the default class`, "%s is no name of a directory", q(id))
	}
	if r.MemBwSchema != "" && !strings.HasPrefix(r.MemBwSchema, "MB:") {
		c.refuse(clause, "linux.intelRdt.memBwSchema", "", `%s does not begin with "MB:"`, q(r.MemBwSchema))
	}
	if r.L3CacheSchema != "" && !strings.HasPrefix(r.L3CacheSchema, "L3") {
		c.warn(clause, "linux.intelRdt.l3CacheSchema", "", `%s does not begin with "L3:"`, q(r.L3CacheSchema))
	}
	c.singleLine(clause, "linux.intelRdt.memBwSchema", r.MemBwSchema)
	c.singleLine(clause, "linux.intelRdt.l3CacheSchema", r.L3CacheSchema)
	for i, line := range r.Schemata {
		c.singleLine(clause, at("linux.intelRdt.schemata", i), line)
	}
}

func (c *checker) memoryPolicy(p *specs.LinuxMemoryPolicy) {
	const clause = "set_mempolicy(2)"
	if p == nil {
		return
	}
	known := oneOf(c, "config-linux.md, Memory policy", "linux.memoryPolicy.mode", p.Mode, MemoryPolicyModes())
	flags := 0
	for i, f := range p.Flags {
		oneOf(c, "config-linux.md, Memory policy", at("linux.memoryPolicy.flags", i), f, MemoryPolicyFlags())
		bit, _ := lookup(memoryPolicyFlags, f)
		flags |= bit
	}
	c.numbers("linux.memoryPolicy.nodes", p.Nodes, maxNode)
	if known {
		mode, _ := lookup(memoryPolicyModes, p.Mode)
		c.memoryPolicyRules(p, mode, flags)
	}
	if flags&MPOL_F_STATIC_NODES != 0 && flags&MPOL_F_RELATIVE_NODES != 0 {
		c.refuse(clause, "linux.memoryPolicy.flags", "keep one of them", "has both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES")
	}
}

func (c *checker) memoryPolicyRules(p *specs.LinuxMemoryPolicy, mode, flags int) {
	const clause = "set_mempolicy(2)"
	const fixed = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES
	alone := mode == MPOL_DEFAULT || mode == MPOL_LOCAL
	switch {
	case alone && p.Nodes != "":
		c.refuse(clause, "linux.memoryPolicy.nodes", "leave it out", "is %s, and %s takes no nodes", q(p.Nodes), p.Mode)
	case !alone && mode != MPOL_PREFERRED && p.Nodes == "":
		c.refuse(clause, "linux.memoryPolicy.nodes", `write it like "0-1"`, "is empty, and %s needs a node at least", p.Mode)
	case flags&fixed != 0 && p.Nodes == "":
		c.refuse(clause, "linux.memoryPolicy.flags", "", "are about nodes, and there are none")
	}
	if flags&MPOL_F_NUMA_BALANCING != 0 && mode != MPOL_BIND && mode != MPOL_PREFERRED_MANY {
		c.refuse(clause, "linux.memoryPolicy.flags", "use MPOL_BIND", "has MPOL_F_NUMA_BALANCING, which %s does not take", p.Mode)
	}
	if mode == MPOL_WEIGHTED_INTERLEAVE && !c.h.Features.MempolicyWeights {
		c.refuse(clause, "linux.memoryPolicy.mode", "use MPOL_INTERLEAVE", "is MPOL_WEIGHTED_INTERLEAVE, which needs Linux 6.9")
	}
	if mode == MPOL_PREFERRED_MANY && !c.h.Kernel.AtLeast(5, 15) {
		c.refuse(clause, "linux.memoryPolicy.mode", "use MPOL_PREFERRED", "is MPOL_PREFERRED_MANY, which needs Linux 5.15")
	}
}

// sysctlOwners are the parameters that belong to a namespace; all others are the machine's (namespaces(7), ipc_namespaces(7),
// network_namespaces(7)). A name that ends in "/" stands for everything below it.
var sysctlOwners = []word[Kind]{
	{"kernel/msgmax", IPCNS}, {"kernel/msgmnb", IPCNS}, {"kernel/msgmni", IPCNS}, {"kernel/sem", IPCNS},
	{"kernel/shmall", IPCNS}, {"kernel/shmmax", IPCNS}, {"kernel/shmmni", IPCNS}, {"kernel/shm_rmid_forced", IPCNS},
	{"kernel/msg_next_id", IPCNS}, {"kernel/sem_next_id", IPCNS}, {"kernel/shm_next_id", IPCNS}, {"kernel/auto_msgmni", IPCNS},
	{"fs/mqueue/", IPCNS}, {"net/", NetworkNS}, {"kernel/domainname", UTSNS}, {"user/", UserNS},
}

// SysctlOwner is the kind of namespace that a kernel parameter belongs to, given as a path below /proc/sys.
func SysctlOwner(file string) (Kind, bool) {
	for _, o := range sysctlOwners {
		if file == o.name || strings.HasSuffix(o.name, "/") && strings.HasPrefix(file, o.name) {
			return o.value, true
		}
	}
	return 0, false
}

func (c *checker) sysctl(name string) {
	const clause = "config-linux.md, Sysctl"
	file, where := sysctlFile(name), under("linux.sysctl", name)
	for part := range strings.SplitSeq(file, "/") {
		if part == "" || part == "." || part == ".." {
			c.refuse(clause, where, "", "is no name of a kernel parameter")
			return
		}
	}
	if file == "kernel/hostname" {
		c.refuse(clause, where, "use hostname", "is set by the property hostname")
		return
	}
	if owner, ok := SysctlOwner(file); ok {
		c.needs(owner, where, clause)
		return
	}
	c.refuse(clause, where, "set it on the host", "belongs to no namespace: it would change the whole machine")
}

func (c *checker) seccomp(s *specs.LinuxSeccomp) {
	const clause = "config-linux.md, Seccomp"
	if !c.h.Seccomp {
		c.refuse("seccomp(2)", "linux.seccomp", "leave it out", "cannot be applied: this kernel has no seccomp filters")
	}
	if oneOf(c, clause, "linux.seccomp.defaultAction", s.DefaultAction, seccompActions) {
		c.errnoRet("linux.seccomp.defaultErrnoRet", s.DefaultAction, s.DefaultErrnoRet)
	}
	if s.DefaultAction == specs.ActNotify {
		c.refuse("seccomp_unotify(2)", "linux.seccomp.defaultAction", "name the system calls to report", "is SCMP_ACT_NOTIFY, which would stop the process before its listener is passed on")
	}
	for i, a := range s.Architectures {
		oneOf(c, clause, at("linux.seccomp.architectures", i), a, seccompArchitectures)
	}
	for i, f := range s.Flags {
		oneOf(c, clause, at("linux.seccomp.flags", i), f, seccompFlags)
	}
	if s.ListenerMetadata != "" && s.ListenerPath == "" {
		c.refuse(clause, "linux.seccomp.listenerMetadata", "set listenerPath", "is given without listenerPath")
	}
	for i := range s.Syscalls {
		c.seccompRule(i, s)
	}
}

func (c *checker) seccompRule(i int, s *specs.LinuxSeccomp) {
	const clause = "config-linux.md, Seccomp"
	r := &s.Syscalls[i]
	where := func(rest string) string { return at("linux.seccomp.syscalls", i) + rest }
	if len(r.Names) == 0 {
		c.refuse(clause, where(".names"), "", "is empty")
	}
	if !slices.Contains(seccompActions, string(r.Action)) {
		oneOf(c, clause, where(".action"), r.Action, seccompActions)
	} else if r.ErrnoRet != nil {
		c.errnoRet(where(".errnoRet"), r.Action, r.ErrnoRet)
	}
	if r.Action == specs.ActNotify && s.ListenerPath == "" {
		c.refuse(clause, where(".action"), "set linux.seccomp.listenerPath", "is SCMP_ACT_NOTIFY, and nobody would listen")
	}
	for j, a := range r.Args {
		if a.Index > 5 {
			c.refuse(clause, where(fmt.Sprintf(".args[%d].index", j)), "", "is %d, and a system call has the arguments 0 to 5", a.Index)
		}
		if !slices.Contains(seccompOperators, string(a.Op)) {
			oneOf(c, clause, where(fmt.Sprintf(".args[%d].op", j)), a.Op, seccompOperators)
		}
	}
}

// errnoRet refuses an error number where the action has none to return. ERRNO carries at most MAX_ERRNO, TRACE 16 bits.
func (c *checker) errnoRet(where string, action specs.LinuxSeccompAction, n *uint) {
	const clause = "config-linux.md, Seccomp"
	if n == nil {
		return
	}
	switch {
	case action != specs.ActErrno && action != specs.ActTrace:
		c.refuse(clause, where, "leave it out", "is given, and %s returns no error number", action)
	case action == specs.ActErrno && *n > 4095 || *n > 65535:
		c.refuse(clause, where, "", "is %d, which is no error number", *n)
	}
}
