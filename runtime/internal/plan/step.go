package plan

import (
	"fmt"
	"strings"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// Harden makes the process unreadable for others and closes every descriptor that the plan does not hand over
// (CVE-2016-9962, CVE-2024-21626). It is always first.
type Harden struct{}

// TakeSignals gives every signal that would end the process a handler that does, and unblocks all: the first process of a
// PID namespace is deaf to signals without one, yet a created container must be killable.
type TakeSignals struct{}

// JoinCgroup makes the process a member of a cgroup v1 group.
type JoinCgroup struct{ Path string }

// JoinNamespace enters a namespace by path.
type JoinNamespace struct {
	Kind spec.Kind
	Path string
}

// JoinInit enters namespaces of a running container's first process, all at once.
type JoinInit struct{ Kinds []spec.Kind }

// Fork goes on in a child that the runtime sees as its own: a joined PID or a new time namespace holds for children only.
type Fork struct{}

// Unshare makes a namespace that clone cannot make in the right place or order.
type Unshare struct{ Kind spec.Kind }

// EnterTime moves the process into the time namespace it has made, once its offsets are set.
type EnterTime struct{}

// BecomeRoot takes id 0 of the new or joined user namespace.
type BecomeRoot struct{}

// NewSession makes the process a session leader.
type NewSession struct{}

// Keyring gives the container a session keyring of its own, so that the caller's is not shared with it.
type Keyring struct{ Name string }

// Loopback brings the network namespace's lo up.
type Loopback struct{}

// SetPropagation changes the propagation of all mounts of the new mount namespace, so that none of the container's mounts
// shows on the host.
type SetPropagation struct{ Flags uintptr }

// OpenRoot makes the root filesystem a mount and opens it; all later paths are resolved below it.
type OpenRoot struct {
	Path    string
	Tree    int  // index among the passed trees, -1: open Path
	Private bool // cut it off from the host's mount: what pivot_root(2) needs where it is to be shared later
}

// MountFS mounts a filesystem.
type MountFS struct{ spec.Mount }

// Bind mounts a file or directory of the host.
type Bind struct {
	spec.Mount
	Source Source
	Tree   int // index among the passed trees, -1: open the mount's Source
}

// Remount changes the flags of what is mounted at a path.
type Remount struct{ spec.Mount }

// Device makes a device node, or checks the one that is there.
type Device struct {
	spec.Device
	Bind bool // bind the host's node of the same path: a user namespace may not make nodes
}

// Symlink makes a symbolic link unless there is something.
type Symlink struct{ Target, Path string }

// Console makes a terminal in the container's own devpts and puts it at /dev/console.
type Console struct {
	UID, GID      uint32
	Width, Height uint16
	Bind          bool // show it at /dev/console: create does, exec does not
	Make          bool // and make the file there: not in a /dev that is a volume
}

// Barrier waits until the runtime has done its part.
type Barrier struct {
	Name  BarrierName
	Index int // of the mount, for idmap and copy-up
}

// BarrierName tells the runtime what it is to do.
type BarrierName string

// The barriers of a plan.
const (
	BarrierTime    BarrierName = "time"    // write the time namespace's offsets
	BarrierLimits  BarrierName = "limits"  // set resource limits that only the host's side may raise
	BarrierHooks   BarrierName = "hooks"   // run prestart, createRuntime and createContainer hooks
	BarrierDevices BarrierName = "devices" // move network devices into the new network namespace
	BarrierReady   BarrierName = "ready"   // everything that create does is done
	BarrierListen  BarrierName = "listen"  // take the seccomp listener
	BarrierForked  BarrierName = "forked"  // learn the child's pid
	BarrierPid     BarrierName = "pid"     // tell the process its pid, for LISTEN_PID

	// These come within other steps.
	BarrierConsole BarrierName = "console" // take the terminal's master
	BarrierIDMap   BarrierName = "idmap"   // map the ids of a mount
	BarrierCopyUp  BarrierName = "copy-up" // fill a tmpfs with what it covers
)

// Pivot makes the root filesystem the root, and the host's root disappear.
type Pivot struct{ Move bool }

// Chroot changes the root directory, for a container without a mount namespace.
type Chroot struct{ Path string }

// SetHostname sets the UTS namespace's node name.
type SetHostname struct{ Name string }

// SetDomainname sets the UTS namespace's NIS domain name.
type SetDomainname struct{ Name string }

// Sysctl sets a kernel parameter of the container's own namespaces.
type Sysctl struct{ spec.Sysctl }

// Mask hides a path: a directory behind an empty read-only one, anything else behind the null device.
type Mask struct{ Path string }

// Protect makes a path, with all below it, read-only.
type Protect struct{ Path string }

// ProtectRoot makes the root filesystem read-only.
type ProtectRoot struct{}

// RootPropagation sets the root mount's propagation as linux.rootfsPropagation says.
type RootPropagation struct{ Flags uintptr }

// MakeCwd makes the working directory where it is missing.
type MakeCwd struct{ Path string }

// SetRlimit sets a resource limit.
type SetRlimit struct{ spec.Rlimit }

// SetScheduler sets policy and priority of the CPU scheduler.
type SetScheduler struct{ spec.Scheduler }

// SetIOPriority sets the I/O scheduling class and priority.
type SetIOPriority struct{ Value int }

// SetPersonality sets the execution domain.
type SetPersonality struct{ Value uint32 }

// SetMemoryPolicy sets the NUMA policy.
type SetMemoryPolicy struct{ spec.MemoryPolicy }

// SetAffinity sets the CPUs the process may run on.
type SetAffinity struct{ CPUs spec.Bits }

// Label asks a security module for a label at the next execve.
type Label struct {
	Module string // "apparmor" or "selinux"
	Value  string
}

// FindProgram fails early where the program to execute is not there.
type FindProgram struct {
	Name       string
	Candidates []string
}

// SetUser takes the process's ids, keeping permitted capabilities for the steps that follow.
type SetUser struct {
	spec.User
	KeepGroups bool // setgroups is denied in this user namespace
}

// LimitCapabilities drops from the bounding set.
type LimitCapabilities struct {
	Bounding uint64
	Last     int // the kernel's highest capability
}

// SetCapabilities sets the effective, permitted, inheritable and ambient sets.
type SetCapabilities struct{ spec.Capabilities }

// NoNewPrivileges forbids gaining privileges by execve.
type NoNewPrivileges struct{}

// Chdir enters the working directory and makes sure that it lies inside the container (CVE-2024-21626). It comes twice:
// before SetUser, where a directory that root may not enter is left for the second (Again), which does nothing otherwise.
type Chdir struct {
	Path  string
	Again bool
}

// AwaitStart waits for `start`; failures from here on are start's.
type AwaitStart struct{}

// Seccomp installs the filter.
type Seccomp struct {
	Program []byte // struct sock_filter array
	Flags   uint64
	Listen  bool
}

// Exec replaces the stub by the program.
type Exec struct {
	Candidates []string // tried in order
	Name       string   // as the config has it, for messages
	Args, Env  []string
}

func (Harden) String() string      { return "close foreign descriptors and become unreadable" }
func (TakeSignals) String() string { return "take signals" }
func (s JoinCgroup) String() string {
	return "join cgroup " + quote(strings.TrimSuffix(s.Path, "/tasks"))
}
func (s JoinNamespace) String() string {
	return fmt.Sprintf("join %s namespace %s", s.Kind, quote(s.Path))
}
func (s JoinInit) String() string {
	return "join the container's namespaces: " + join(s.Kinds)[len("new "):]
}
func (Fork) String() string       { return "fork" }
func (s Unshare) String() string  { return fmt.Sprintf("make a %s namespace", s.Kind) }
func (EnterTime) String() string  { return "enter the time namespace" }
func (BecomeRoot) String() string { return "become root of the user namespace" }
func (NewSession) String() string { return "start a session" }
func (s Keyring) String() string  { return "join session keyring " + quote(s.Name) }
func (Loopback) String() string   { return "bring lo up" }
func (s SetPropagation) String() string {
	return "make all mounts " + propagation(s.Flags)
}
func (s OpenRoot) String() string { return "open root filesystem " + quote(s.Path) }
func (s MountFS) String() string {
	return "mount " + quote(s.Type) + " on " + quote(s.Destination) + options(s.Mount)
}
func (s Bind) String() string {
	return "bind " + quote(s.Mount.Source) + " on " + quote(s.Destination) + options(s.Mount)
}
func (s Remount) String() string { return "remount " + quote(s.Destination) + options(s.Mount) }
func (s Device) String() string {
	if s.Bind {
		return "bind device " + quote(s.Path)
	}
	return fmt.Sprintf("make device %s (%c %d:%d, mode %#o, owner %d:%d)", quote(s.Path), s.Type, s.Major, s.Minor, s.Mode, s.UID, s.GID)
}
func (s Symlink) String() string { return "link " + quote(s.Path) + " to " + quote(s.Target) }
func (s Console) String() string {
	text := "make a terminal"
	if s.Bind {
		text += " at /dev/console"
	}
	if s.Bind && !s.Make {
		text += " if that is there"
	}
	if s.Width|s.Height != 0 {
		text += fmt.Sprintf(" of %d columns, %d rows", s.Width, s.Height)
	}
	return text
}
func (s Barrier) String() string {
	text := map[BarrierName]string{
		BarrierTime: "let the runtime set the time offsets", BarrierDevices: "let the runtime move the network devices", BarrierLimits: "let the runtime raise the resource limits", BarrierHooks: "let the runtime run the create hooks",
		BarrierReady: "tell the runtime that all is set up", BarrierListen: "hand over the seccomp listener",
		BarrierForked: "tell the runtime the pid", BarrierPid: "learn the own pid from the runtime",
	}[s.Name]
	return text
}
func (s Pivot) String() string {
	if s.Move {
		return "move the root filesystem to /"
	}
	return "pivot to the root filesystem"
}
func (s Chroot) String() string        { return "change root to " + quote(s.Path) }
func (s SetHostname) String() string   { return "set hostname " + quote(s.Name) }
func (s SetDomainname) String() string { return "set domainname " + quote(s.Name) }
func (s Sysctl) String() string        { return "set sysctl " + quote(s.Name) + " to " + quote(s.Value) }
func (s Mask) String() string          { return "mask " + quote(s.Path) }
func (s Protect) String() string       { return "make " + quote(s.Path) + " read-only" }
func (ProtectRoot) String() string     { return "make the root filesystem read-only" }
func (s RootPropagation) String() string {
	return "make the root filesystem " + propagation(s.Flags)
}
func (s MakeCwd) String() string { return "make working directory " + quote(s.Path) }
func (s SetRlimit) String() string {
	return fmt.Sprintf("set %s to %s:%s", s.Name, limit(s.Soft), limit(s.Hard))
}
func (s SetScheduler) String() string    { return fmt.Sprintf("set scheduler policy %d", s.Policy) }
func (s SetIOPriority) String() string   { return fmt.Sprintf("set I/O priority %#x", s.Value) }
func (s SetPersonality) String() string  { return fmt.Sprintf("set personality %#x", s.Value) }
func (s SetMemoryPolicy) String() string { return fmt.Sprintf("set memory policy %#x", s.Mode) }
func (s SetAffinity) String() string     { return "set CPU affinity" }
func (s Label) String() string           { return "ask for " + s.Module + " label " + quote(s.Value) }
func (s FindProgram) String() string     { return "find " + quote(s.Name) }
func (s SetUser) String() string {
	text := fmt.Sprintf("become user %d:%d", s.UID, s.GID)
	if len(s.AdditionalGids) > 0 {
		text += " with groups " + strings.Trim(fmt.Sprint(s.AdditionalGids), "[]")
	}
	return text
}
func (s LimitCapabilities) String() string {
	return fmt.Sprintf("limit capabilities to %#x", s.Bounding)
}
func (s SetCapabilities) String() string {
	return fmt.Sprintf("set capabilities effective %#x permitted %#x inheritable %#x ambient %#x",
		s.Effective, s.Permitted, s.Inheritable, s.Ambient)
}
func (NoNewPrivileges) String() string { return "forbid new privileges" }
func (s Chdir) String() string {
	if s.Again {
		return "change to working directory " + quote(s.Path) + " as that user"
	}
	return "change to working directory " + quote(s.Path)
}
func (AwaitStart) String() string { return "wait for start" }
func (s Seccomp) String() string {
	return fmt.Sprintf("install a seccomp filter of %d instructions", len(s.Program)/8)
}
func (s Exec) String() string { return "execute " + quote(s.Name) }

func limit(v uint64) string {
	if v == spec.RlimInfinity {
		return "infinity"
	}
	return fmt.Sprint(v)
}

func propagation(flags uintptr) string {
	text := ""
	if flags&spec.MS_REC != 0 {
		text = "r"
	}
	for _, p := range []struct {
		flag uintptr
		name string
	}{{spec.MS_SHARED, "shared"}, {spec.MS_SLAVE, "slave"}, {spec.MS_PRIVATE, "private"}, {spec.MS_UNBINDABLE, "unbindable"}} {
		if flags&p.flag != 0 {
			return text + p.name
		}
	}
	return fmt.Sprintf("%#x", flags)
}

func options(m spec.Mount) string {
	if len(m.Options) == 0 {
		return ""
	}
	return " (" + quote(strings.Join(m.Options, ",")) + ")"
}
