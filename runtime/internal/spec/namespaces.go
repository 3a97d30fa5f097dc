package spec

import "slices"

// Kind is a kind of namespace. The order is the one in which a process joins them one by one: the user namespace first, since
// it gives the right to join the others, the mount namespace late, since paths mean something else afterwards.
type Kind int

// The kinds of namespaces(7).
const (
	UserNS Kind = iota
	IPCNS
	UTSNS
	NetworkNS
	PIDNS
	CgroupNS
	TimeNS
	MountNS
	NamespaceKinds = iota
)

type kind struct {
	name  string // in config.json
	file  string // below /proc/PID/ns
	clone uintptr
}

var kinds = [NamespaceKinds]kind{
	UserNS:    {"user", "user", CLONE_NEWUSER},
	IPCNS:     {"ipc", "ipc", CLONE_NEWIPC},
	UTSNS:     {"uts", "uts", CLONE_NEWUTS},
	NetworkNS: {"network", "net", CLONE_NEWNET},
	PIDNS:     {"pid", "pid", CLONE_NEWPID},
	CgroupNS:  {"cgroup", "cgroup", CLONE_NEWCGROUP},
	TimeNS:    {"time", "time", CLONE_NEWTIME},
	MountNS:   {"mount", "mnt", CLONE_NEWNS},
}

// String is the kind's name in config.json.
func (k Kind) String() string { return kinds[k].name }

// File is the kind's name below /proc/PID/ns.
func (k Kind) File() string { return kinds[k].file }

// CloneFlag is the kind's CLONE_NEW… flag.
func (k Kind) CloneFlag() uintptr { return kinds[k].clone }

// KindOf finds the kind that config.json calls name.
func KindOf(name string) (Kind, bool) {
	for k := range kinds {
		if kinds[k].name == name {
			return Kind(k), true
		}
	}
	return 0, false
}

// Namespaces are the names config.json may use, sorted.
func Namespaces() []string {
	names := make([]string, len(kinds))
	for k := range kinds {
		names[k] = kinds[k].name
	}
	slices.Sort(names)
	return names
}
