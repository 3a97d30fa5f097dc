// Package cgroup decides where a container's processes are counted and limited, and does it.
//
// The parties: the config (untrusted; it names a path and limits), the host (a [Host] value, probed once: which hierarchies
// are mounted where, and in which group the caller itself is), and the kernel, whose cgroup filesystems are written to.
// With the systemd driver systemd is a fourth: it owns the directory, and is told over D-Bus what to limit.
//
// Deciding is apart from acting. [Decide] is pure: from the config and the host it makes a [Layout], a list of operations
// that prints itself and that golden tests compare. [Layout.Make] and [Layout.Apply] execute that list. The new process
// joins by itself ([Layout.Join]). What must be known later is a [State], which is saved before anything is made;
// [Open] turns it into a [Group], which is read, frozen, killed, updated and removed.
//
// A directory that was made for a container carries the owner's mark in an extended attribute. Kill and remove touch only
// directories with that mark, so that a create that failed because the path was taken cannot harm the one who has it.
package cgroup

import (
	"fmt"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// Request is what Decide decides from.
type Request struct {
	ID          string // the container's id
	Owner       string // the mark on what is made: must tell this container from one of the same id elsewhere. Empty: ID
	CgroupsPath string // linux.cgroupsPath as written, empty: chosen from ID
	Systemd     bool   // CgroupsPath is slice:prefix:name and systemd makes the group
	Resources   *specs.LinuxResources
	Delegate    bool              // the v2 group becomes DelegateUID's: the container has a new cgroup namespace and a writable cgroup mount
	DelegateUID int               // the container's process.user.uid, as the host numbers it
	Annotations map[string]string // org.systemd.property.NAME sets a property of the unit
	Host        Host
}

// Dir is the container's group in one hierarchy.
type Dir struct {
	Version     int      `json:"version"` // 1 or 2
	Controllers []string `json:"controllers"`
	Mountpoint  string   `json:"mountpoint"`
	Path        string   `json:"path"` // absolute, below Mountpoint
}

// Layout is the decision: what to make, what to write, where to join. It is data; nothing has happened yet.
type Layout struct {
	Mode     host.CgroupMode `json:"mode"`
	Owner    string          `json:"owner"`
	Dirs     []Dir           `json:"dirs"`
	Making   []Op            `json:"making"`   // directories and controllers, in order
	Settings []Op            `json:"settings"` // limits, in order
	Warnings []string        `json:"warnings,omitempty"`
	Unit     *Unit           `json:"unit,omitempty"` // systemd's unit, nil with the cgroupfs driver
	rootless bool
	holder   *holder
	noFork   bool // pids.limit is 0: not even the first process can be born in the group
}

// Join says how a process gets into the groups.
//
// A v2 group is joined at birth: clone(2) with CLONE_INTO_CGROUP and a descriptor of the directory CloneInto, or, where that
// is impossible, by writing "0" to its cgroup.procs. The v1 hierarchies have no such flag. There the cheapest way is that
// the new process, while it has one thread, writes "0" to each of Tasks: moving oneself takes no lock over all of the
// machine's processes, where a move by another process (or through cgroup.procs) does (kernel/cgroup/cgroup.c,
// cgroup_procs_write_start). The kernel checks the opener's rights, so a process that will lose them is given descriptors.
type Join struct {
	CloneInto string   `json:"cloneInto,omitempty"` // directory of the v2 group, empty if there is none
	Tasks     []string `json:"tasks,omitempty"`     // v1 files
}

// Decide makes the layout for a new container. It touches nothing. Its errors name the JSON field that cannot be honoured.
func Decide(r Request) (Layout, error) {
	l := Layout{Mode: r.Host.Mode(), Owner: r.Owner, rootless: r.Host.Rootless}
	if l.Owner == "" {
		l.Owner = r.ID
	}
	if r.Systemd {
		return decideSystemd(l, r)
	}
	p, err := parsePath(r.CgroupsPath, r.ID)
	if err != nil {
		return Layout{}, err
	}
	for _, h := range r.Host.Hierarchies {
		if r.Host.Rootless && p.chosen && h.Denied {
			continue // as other runtimes: a limit that needs it fails by its name
		}
		dir, err := p.in(h)
		if err != nil {
			return Layout{}, err
		}
		l.Dirs = append(l.Dirs, dir)
		l.Making = append(l.Making, making(h, dir, r.Host.Rootless && p.chosen)...)
	}
	l.noFork = noFork(r.Resources)
	l.Making = append(l.Making, delegation(l, r)...)
	l.Settings, l.Warnings, err = settings(r.Resources, l.Dirs, r.Host, fresh)
	return l, err
}

// delegation gives the v2 group away (config-linux.md "Cgroup ownership"); v1's never is, and neither is hybrid's.
func delegation(l Layout, r Request) []Op {
	if d, ok := l.Dir(""); ok && r.Delegate && l.Mode == host.CgroupV2 && !l.rootless {
		return []Op{{Kind: Chown, Path: d.Path, Value: strconv.Itoa(r.DelegateUID), Why: "the container may divide its own group"}}
	}
	return nil
}

func noFork(r *specs.LinuxResources) bool {
	return r != nil && r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit == 0
}

// making lists the operations that make one directory ready to be limited and joined.
func making(h Hierarchy, d Dir, optional bool) []Op {
	ops := []Op{{Kind: Mkdir, Path: d.Path, Root: d.Mountpoint, Optional: optional, Why: h.name()}}
	if d.Version == 1 && contains(d.Controllers, "cpuset") {
		ops = append(ops, Op{Kind: Inherit, Path: d.Path, Root: d.Mountpoint, Optional: optional,
			Why: "a v1 cpuset cannot be joined before it has cpus and mems"})
	}
	if d.Version == 2 && len(d.Controllers) > 0 {
		ops = append(ops, Op{Kind: Enable, Path: d.Path, Root: d.Mountpoint, Value: join(d.Controllers),
			Why: "cgroup.subtree_control of every directory above"})
	}
	return ops
}

// Join says where the container's first process, and every later one, has to be.
//
// With pids.limit 0 the kernel refuses a clone into the group (EAGAIN) but not a move; then the v2 group's cgroup.procs is
// among Tasks.
func (l Layout) Join() Join { return joinOf(l.Dirs, l.noFork) }

func joinOf(dirs []Dir, noFork bool) Join {
	var j Join
	for _, d := range dirs {
		switch {
		case d.Version == 1:
			j.Tasks = append(j.Tasks, d.Path+"/tasks")
		case noFork && contains(d.Controllers, "pids"):
			j.Tasks = append(j.Tasks, d.Path+"/cgroup.procs")
		default:
			j.CloneInto = d.Path
		}
	}
	return j
}

// Dir finds the directory whose hierarchy has the controller ("memory", "name=systemd"; "" is the v2 hierarchy).
func (l Layout) Dir(controller string) (Dir, bool) { return dirOf(l.Dirs, controller) }

func dirOf(dirs []Dir, controller string) (Dir, bool) {
	for _, d := range dirs {
		if controller == "" && d.Version == 2 || contains(d.Controllers, controller) {
			return d, true
		}
	}
	return Dir{}, false
}

// State is what a later command needs: save it before Make.
func (l Layout) State() State {
	s := State{Mode: l.Mode, Owner: l.Owner, Dirs: l.Dirs, Trust: l.rootless}
	if l.Unit != nil {
		s.Unit, s.User = l.Unit.Name, l.Unit.User
	}
	return s
}

// Ops are all operations in the order in which they are executed.
func (l Layout) Ops() []Op { return append(append([]Op(nil), l.Making...), l.Settings...) }

// String prints the layout as `berth plan` shows it, one operation a line.
func (l Layout) String() string {
	s := ""
	for _, op := range l.Ops() {
		s += op.String() + "\n"
	}
	j := l.Join()
	for _, t := range j.Tasks {
		s += fmt.Sprintf("join %s\n", t)
	}
	if j.CloneInto != "" {
		s += fmt.Sprintf("clone into %s\n", j.CloneInto)
	}
	return s
}
