package cgroup

import (
	"path"
	"strings"
)

// MountKind is what becomes of one place below the container's cgroup mount.
type MountKind string

// The kinds of mounts.
const (
	MountTmpfs   MountKind = "tmpfs"   // a new tmpfs; read-only, if at all, after all others
	MountFS      MountKind = "mount"   // a new mount of a cgroup filesystem
	MountBind    MountKind = "bind"    // a bind of a host directory
	MountSymlink MountKind = "symlink" // a symbolic link inside the tmpfs
)

// Mount is one step of the config's mount of type "cgroup". The caller adds the flags of the mount's options to each.
type Mount struct {
	Kind     MountKind `json:"kind"`
	Source   string    `json:"source"` // MountBind: directory of the host; MountSymlink: where it leads; else the mount's source
	Target   string    `json:"target"` // absolute, in the container
	Type     string    `json:"type,omitempty"`
	Data     string    `json:"data,omitempty"`
	ReadOnly bool      `json:"readOnly,omitempty"` // whatever the options say
	Or       *Mount    `json:"or,omitempty"`       // where the kernel refuses this one (EPERM, EBUSY)
}

// ContainerMounts says what a mount of type "cgroup" (or "cgroup2") at destination is, in this world. cgroupns says that
// the container gets or joins a cgroup namespace of its own.
//
//	v2, namespace       a cgroup2 mount: its root is the container's group
//	v2, no namespace    a cgroup2 mount: all groups of the machine, as runc shows them; a rootless caller, whose container
//	                    could write to its user's other groups (CVE-2023-25809), gets its own group alone and read-only
//	v1, hybrid          a tmpfs with one directory for each hierarchy, named as on the host: with a namespace a mount of the
//	                    hierarchy, else a bind of the container's own group (read-only for a rootless caller); links for
//	                    the single names of "cpu,cpuacct"
func (l Layout) ContainerMounts(destination string, cgroupns bool) []Mount {
	if len(l.Dirs) == 1 && l.Dirs[0].Version == 2 {
		return []Mount{l.unifiedMount(l.Dirs[0], destination, cgroupns)}
	}
	ms := []Mount{{Kind: MountTmpfs, Source: "cgroup", Target: destination, Type: "tmpfs", Data: "mode=755"}}
	for _, d := range l.Dirs {
		m := hierarchyMount(d, destination, cgroupns)
		m.ReadOnly = l.rootless && !cgroupns
		ms = append(ms, m)
		ms = append(ms, links(d, destination)...)
	}
	return ms
}

func (l Layout) unifiedMount(d Dir, destination string, cgroupns bool) Mount {
	bind := Mount{Kind: MountBind, Source: d.Path, Target: destination}
	if l.rootless && !cgroupns {
		bind.ReadOnly = true
		return bind
	}
	if !cgroupns {
		bind.Source = d.Mountpoint
	}
	return Mount{Kind: MountFS, Source: "cgroup", Target: destination, Type: "cgroup2", Or: &bind}
}

func hierarchyMount(d Dir, destination string, cgroupns bool) Mount {
	target := path.Join(destination, path.Base(d.Mountpoint))
	bind := Mount{Kind: MountBind, Source: d.Path, Target: target}
	if !cgroupns {
		return bind
	}
	m := Mount{Kind: MountFS, Source: path.Base(d.Mountpoint), Target: target, Type: "cgroup2", Or: &bind}
	if d.Version == 1 {
		m.Type, m.Data = "cgroup", strings.Join(d.Controllers, ",")
	}
	return m
}

// links are the names of co-mounted controllers: programs look for .../cpu where the mount is .../cpu,cpuacct.
func links(d Dir, destination string) []Mount {
	base := path.Base(d.Mountpoint)
	if d.Version != 1 || !strings.Contains(base, ",") {
		return nil
	}
	var ms []Mount
	for _, c := range d.Controllers {
		if c != base && !strings.Contains(c, "=") {
			ms = append(ms, Mount{Kind: MountSymlink, Source: base, Target: path.Join(destination, c)})
		}
	}
	return ms
}

// String is the step in one line.
func (m Mount) String() string {
	s := string(m.Kind) + " " + m.Source + " on " + m.Target
	if m.Kind == MountFS || m.Kind == MountTmpfs {
		s = "mount " + m.Type + " on " + m.Target
	}
	if m.Data != "" {
		s += " with " + m.Data
	}
	if m.ReadOnly {
		s += " read-only"
	}
	if m.Or != nil {
		s += " or " + m.Or.String()
	}
	return s
}
