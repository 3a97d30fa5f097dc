// Package spec turns a bundle's config.json into a value the rest of the runtime can trust.
//
// Three steps, each a file: load (bytes to the runtime-spec's own Go types, with the facts of JSON checked), validate
// (every finding, with its JSON path) and resolve (defaults and names become numbers). Whoever wrote config.json is
// trusted to say what the container may do, as it already names host paths, but not to be careful: sizes are bounded, and a
// value that cannot be applied is refused with its JSON path, never dropped in silence.
//
// Only a [Spec] leaves the package. It holds no optional pointers: a field is either meaningful at its zero value, which
// its comment then says, or has a Has… companion. Resolve is pure: the same raw config and bundle path give the same Spec
// on every machine, so plans made from it can be compared with golden files.
package spec

import (
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Spec is a resolved container configuration (runtime-spec 1.3.0, config.md and config-linux.md).
type Spec struct {
	Version     string            // ociVersion as written
	Bundle      string            // absolute path of the folder that holds config.json
	Config      string            `json:"-"` // the text of config.json, where Open has read it
	Root        Root              // the root filesystem
	Hostname    string            // empty: leave the UTS namespace's name
	Domainname  string            // empty: leave the UTS namespace's name
	Annotations map[string]string // never nil
	HasProcess  bool              // false: create succeeds, start fails (config.md "Process")
	Process     Process           // the zero value unless HasProcess
	Mounts      []Mount           // in the order they must be mounted
	Linux       Linux
	Hooks       Hooks
}

// Root is the root filesystem on the host.
type Root struct {
	Path     string // absolute and cleaned; symlinks are not resolved
	Readonly bool
}

// Process is the container's process, or one that exec adds.
type Process struct {
	Terminal      bool
	ConsoleWidth  uint16 // characters; 0 with ConsoleHeight 0: leave the terminal's size. Always 0 without Terminal
	ConsoleHeight uint16
	User          User
	Args          []string // at least one
	Env           []string // as written: duplicates and entries without "=" kept
	Cwd           string   // absolute and cleaned, in the container

	HasCapabilities bool // false: the property is absent. runc and crun then drop every capability, and so must berth
	Capabilities    Capabilities
	Rlimits         []Rlimit // as listed, each resource at most once
	NoNewPrivileges bool

	ApparmorProfile string // empty: none
	SelinuxLabel    string // empty: none

	HasOOMScoreAdj bool
	OOMScoreAdj    int // -1000…1000

	HasScheduler  bool
	Scheduler     Scheduler
	HasIOPriority bool
	IOPriority    int // ioprio_set's value: class<<13 | priority

	// ExecAffinity holds for exec only, never for the container's first process (config.md "execCPUAffinity").
	ExecAffinityInitial Bits // nil: leave as it is
	ExecAffinityFinal   Bits // nil: leave as it is
}

// User is the process's identity, in the container's user namespace.
type User struct {
	UID, GID       uint32
	HasUmask       bool
	Umask          uint32 // 0…0777
	AdditionalGids []uint32
}

// Capabilities are the five sets as bits: capability N is bit N (capabilities(7), linux/capability.h). Names that this
// package does not know, and capabilities the kernel does not have, are left out; Validate warns about each.
type Capabilities struct {
	Bounding, Effective, Inheritable, Permitted, Ambient uint64
}

// Rlimit is one resource limit. Resource is the kernel's number (RLIMIT_…), which amd64 and arm64 share.
type Rlimit struct {
	Name       string // as in the config, for messages: "RLIMIT_NOFILE"
	Resource   int
	Soft, Hard uint64 // RlimInfinity: none
}

// Scheduler holds sched_setattr(2)'s arguments, for a struct sched_attr of size 48 (the first version).
type Scheduler struct {
	Policy                    uint32
	Flags                     uint64
	Nice                      int32
	Priority                  uint32
	Runtime, Deadline, Period uint64 // nanoseconds
}

// Bits is a set of small numbers (CPUs, memory nodes): number N is bit N%64 of word N/64. Laid out in memory it is the
// kernel's own mask on 64-bit little-endian machines. nil means that nothing was given.
type Bits []uint64

// Mount is one entry of mounts, ready for mount(2) or for fsmount and mount_setattr(2).
type Mount struct {
	Index       int    // position in the config's mounts, for messages: mounts[Index]
	Destination string // absolute and cleaned, in the container's root
	Source      string // absolute and cleaned for binds; as written otherwise (a dummy, a device, a server)
	Type        string // filesystem type; "bind" for every bind
	Options     []string

	IsBind    bool
	Recursive bool // rbind

	// Flags are the MS_… bits that options set: MS_BIND, MS_REC and MS_REMOUNT among them, propagation never. Without an
	// access time option it has none of their bits, which the kernel reads as relatime.
	Flags uintptr
	// ClearFlags are the MS_… bits an option explicitly cleared ("rw", "dev" …): on a bind they must go even if the source
	// mount has them; bits in neither Flags nor ClearFlags stay as the source mount has them.
	ClearFlags uintptr
	// Propagation are the changes to make after mounting, each MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE with or
	// without MS_REC, in the listed order, for one mount(2) call each.
	Propagation []uintptr
	// Rec are the recursive options (rro …), for mount_setattr(2) with AT_RECURSIVE.
	Rec Attr
	// Data are the filesystem's own options, joined with commas: mount(2)'s fifth argument.
	Data string

	TmpCopyUp bool // fill the tmpfs with what the directory below holds

	HasIDMap     bool
	IDMapRecurse bool // ridmap
	UIDMappings  []IDMapping
	GIDMappings  []IDMapping // from the mount, else the container's; none with HasIDMap: the joined user namespace itself
}

// Attr is a change of mount attributes (MOUNT_ATTR_…), as struct mount_attr's attr_set and attr_clr want them. A change of
// access time has MOUNT_ATTR__ATIME in Clr, as mount_setattr(2) demands.
type Attr struct{ Set, Clr uint64 }

// IDMapping is one range of a user namespace's mapping.
type IDMapping struct{ ContainerID, HostID, Size uint32 }

// Linux is the platform's part.
type Linux struct {
	Namespaces        [NamespaceKinds]Namespace // indexed by Kind
	UIDMappings       []IDMapping
	GIDMappings       []IDMapping
	Devices           []Device    // as listed; the default devices are not among them
	NetDevices        []NetDevice // sorted by HostName
	CgroupsPath       string      // as written, empty: the runtime chooses
	Resources         *specs.LinuxResources
	RootfsPropagation uintptr // MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, with MS_REC for the r… names; 0: not given
	Seccomp           *specs.LinuxSeccomp
	Sysctl            []Sysctl // sorted by Name
	MaskedPaths       []string // absolute and cleaned, in the container
	ReadonlyPaths     []string // absolute and cleaned, in the container
	MountLabel        string   // empty: none
	HasPersonality    bool
	Personality       uint32       // personality(2)'s argument
	TimeOffsets       []TimeOffset // sorted by clock name
	HasIntelRdt       bool
	IntelRdt          IntelRdt
	HasMemoryPolicy   bool
	MemoryPolicy      MemoryPolicy
}

// Namespace says what becomes of one kind of namespace. The zero value inherits the runtime's.
type Namespace struct {
	New  bool   // make a new one
	Path string // join this one; absolute, and empty unless joining
}

// Own says that the container does not share the runtime's namespace: it gets a new one or joins one by path.
func (n Namespace) Own() bool { return n.New || n.Path != "" }

// Device is a node that must be available in the container.
type Device struct {
	Index        int    // position in the config's linux.devices, for messages
	Path         string // absolute and cleaned, in the container
	Type         byte   // 'c', 'b' or 'p'; 'u' is resolved to 'c'
	Major, Minor uint32 // 0 for 'p'
	Mode         uint32 // permission bits; 0666 if not given, as runc
	UID, GID     uint32 // in the container's user namespace
}

// NetDevice is a host network device to move into the container's network namespace.
type NetDevice struct {
	HostName string
	Name     string // in the container; may end in %d as a template
}

// Sysctl is one kernel parameter.
type Sysctl struct {
	Name  string // as written
	File  string // below /proc/sys: "net/ipv4/ip_forward"
	Value string
}

// TimeOffset is one line for /proc/PID/timens_offsets.
type TimeOffset struct {
	Clock    string // "monotonic" or "boottime"
	Secs     int64
	Nanosecs uint32
}

// IntelRdt is the container's class of service in resctrl.
type IntelRdt struct {
	ClosID           string   // empty: the container's id; "/": the default class
	Schemata         []string // lines to write, in order: L3, MB, then the schemata list. Empty: write none
	Fixed            int      // how many of them, from the first, a class that exists must have already: L3 and MB
	EnableMonitoring bool
}

// MemoryPolicy holds set_mempolicy(2)'s arguments.
type MemoryPolicy struct {
	Mode  int // MPOL_… with MPOL_F_… flags or-ed in
	Nodes Bits
}

// Hooks are the six lists, in the order they were given.
type Hooks struct {
	Prestart        []Hook // deprecated, runs before CreateRuntime
	CreateRuntime   []Hook
	CreateContainer []Hook
	StartContainer  []Hook
	Poststart       []Hook
	Poststop        []Hook
}

// Hook is one program to run.
type Hook struct {
	Kind    string // the list's name in the config, for messages: "createRuntime"
	Index   int    // position in that list
	Path    string // absolute
	Args    []string
	Env     []string      // the whole environment: nothing is inherited
	Timeout time.Duration // 0: none
}

// FileMode is the mode to give mknod(2): type and permission bits.
func (d Device) FileMode() uint32 {
	switch d.Type {
	case 'b':
		return S_IFBLK | d.Mode
	case 'p':
		return S_IFIFO | d.Mode
	}
	return S_IFCHR | d.Mode
}

// Has says whether number n is in the set.
func (b Bits) Has(n int) bool { return n >= 0 && n/64 < len(b) && b[n/64]>>(n%64)&1 == 1 }

// Attr gives a mount's own flags as mount_setattr(2) wants them; MS_ flags that are not attributes of a mount but of its
// filesystem (sync, mand …) are not in it.
func (m Mount) Attr() Attr {
	a := Attr{Set: attrBits(m.Flags), Clr: attrBits(m.ClearFlags)}
	if (m.Flags|m.ClearFlags)&(MS_NOATIME|MS_RELATIME|MS_STRICTATIME) != 0 {
		a.Clr |= MOUNT_ATTR__ATIME
	}
	return a
}

func attrBits(ms uintptr) (bits uint64) {
	for _, p := range [...]struct {
		ms   uintptr
		attr uint64
	}{
		{MS_RDONLY, MOUNT_ATTR_RDONLY}, {MS_NOSUID, MOUNT_ATTR_NOSUID}, {MS_NODEV, MOUNT_ATTR_NODEV},
		{MS_NOEXEC, MOUNT_ATTR_NOEXEC}, {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
		{MS_NOATIME, MOUNT_ATTR_NOATIME}, {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
	} {
		if ms&p.ms != 0 {
			bits |= p.attr
		}
	}
	return bits
}
