package spec

import (
	"slices"
	"strings"
)

// option is what one mount option does. Most do one thing.
type option struct {
	name       string
	set, clear uintptr // MS_…
	propagate  uintptr // MS_SHARED … with MS_REC
	rec        Attr    // mount_setattr with AT_RECURSIVE
	apply      func(*Mount)
}

const msAtime = MS_NOATIME | MS_RELATIME | MS_STRICTATIME

// mountOptions are config.md's "Linux mount options", all of them. Access times are one choice of three: setting one takes
// back the others, and clearing one leaves the kernel's default, relatime.
var mountOptions = []option{
	{name: "async", clear: MS_SYNCHRONOUS},
	{name: "atime", clear: MS_NOATIME},
	{name: "bind", set: MS_BIND},
	{name: "defaults"},
	{name: "dev", clear: MS_NODEV},
	{name: "diratime", clear: MS_NODIRATIME},
	{name: "dirsync", set: MS_DIRSYNC},
	{name: "exec", clear: MS_NOEXEC},
	{name: "idmap", apply: func(m *Mount) { m.HasIDMap = true }},
	{name: "iversion", set: MS_I_VERSION},
	{name: "lazytime", set: MS_LAZYTIME},
	{name: "loud", clear: MS_SILENT},
	{name: "mand", set: MS_MANDLOCK},
	{name: "noatime", set: MS_NOATIME},
	{name: "nodev", set: MS_NODEV},
	{name: "nodiratime", set: MS_NODIRATIME},
	{name: "noexec", set: MS_NOEXEC},
	{name: "noiversion", clear: MS_I_VERSION},
	{name: "nolazytime", clear: MS_LAZYTIME},
	{name: "nomand", clear: MS_MANDLOCK},
	{name: "norelatime", clear: MS_RELATIME},
	{name: "nostrictatime", clear: MS_STRICTATIME},
	{name: "nosuid", set: MS_NOSUID},
	{name: "nosymfollow", set: MS_NOSYMFOLLOW},
	{name: "private", propagate: MS_PRIVATE},
	{name: "ratime", rec: Attr{Clr: MOUNT_ATTR__ATIME}},
	{name: "rbind", set: MS_BIND | MS_REC},
	{name: "rdev", rec: Attr{Clr: MOUNT_ATTR_NODEV}},
	{name: "rdiratime", rec: Attr{Clr: MOUNT_ATTR_NODIRATIME}},
	{name: "relatime", set: MS_RELATIME},
	{name: "remount", set: MS_REMOUNT},
	{name: "rexec", rec: Attr{Clr: MOUNT_ATTR_NOEXEC}},
	{name: "ridmap", apply: func(m *Mount) { m.HasIDMap, m.IDMapRecurse = true, true }},
	{name: "rnoatime", rec: Attr{Set: MOUNT_ATTR_NOATIME, Clr: MOUNT_ATTR__ATIME}},
	{name: "rnodev", rec: Attr{Set: MOUNT_ATTR_NODEV}},
	{name: "rnodiratime", rec: Attr{Set: MOUNT_ATTR_NODIRATIME}},
	{name: "rnoexec", rec: Attr{Set: MOUNT_ATTR_NOEXEC}},
	{name: "rnorelatime", rec: Attr{Clr: MOUNT_ATTR__ATIME}},
	{name: "rnostrictatime", rec: Attr{Clr: MOUNT_ATTR__ATIME}},
	{name: "rnosuid", rec: Attr{Set: MOUNT_ATTR_NOSUID}},
	{name: "rnosymfollow", rec: Attr{Set: MOUNT_ATTR_NOSYMFOLLOW}},
	{name: "ro", set: MS_RDONLY},
	{name: "rprivate", propagate: MS_PRIVATE | MS_REC},
	{name: "rrelatime", rec: Attr{Set: MOUNT_ATTR_RELATIME, Clr: MOUNT_ATTR__ATIME}},
	{name: "rro", rec: Attr{Set: MOUNT_ATTR_RDONLY}},
	{name: "rrw", rec: Attr{Clr: MOUNT_ATTR_RDONLY}},
	{name: "rshared", propagate: MS_SHARED | MS_REC},
	{name: "rslave", propagate: MS_SLAVE | MS_REC},
	{name: "rstrictatime", rec: Attr{Set: MOUNT_ATTR_STRICTATIME, Clr: MOUNT_ATTR__ATIME}},
	{name: "rsuid", rec: Attr{Clr: MOUNT_ATTR_NOSUID}},
	{name: "rsymfollow", rec: Attr{Clr: MOUNT_ATTR_NOSYMFOLLOW}},
	{name: "runbindable", propagate: MS_UNBINDABLE | MS_REC},
	{name: "rw", clear: MS_RDONLY},
	{name: "shared", propagate: MS_SHARED},
	{name: "silent", set: MS_SILENT},
	{name: "slave", propagate: MS_SLAVE},
	{name: "strictatime", set: MS_STRICTATIME},
	{name: "suid", clear: MS_NOSUID},
	{name: "symfollow", clear: MS_NOSYMFOLLOW},
	{name: "sync", set: MS_SYNCHRONOUS},
	{name: "tmpcopyup", apply: func(m *Mount) { m.TmpCopyUp = true }},
	{name: "unbindable", propagate: MS_UNBINDABLE},
}

// MountOptions are the names of the options the runtime itself understands, sorted; any other goes to the filesystem.
func MountOptions() []string {
	l := make([]string, len(mountOptions))
	for i := range mountOptions {
		l[i] = mountOptions[i].name
	}
	return l
}

func findOption(name string) *option {
	i, ok := slices.BinarySearchFunc(mountOptions, name, func(o option, name string) int { return strings.Compare(o.name, name) })
	if !ok {
		return nil
	}
	return &mountOptions[i]
}

// applyOptions fills in what the options say; the later of two that contradict each other wins, as with mount(8).
func (m *Mount) applyOptions(options []string) {
	var data []string
	for _, name := range options {
		if o := findOption(name); o != nil {
			m.applyOption(o)
		} else if name != "" {
			data = append(data, name)
		}
	}
	m.Data = strings.Join(data, ",")
}

func (m *Mount) applyOption(o *option) {
	if o.set&msAtime != 0 {
		m.Flags &^= msAtime
	}
	m.Flags = m.Flags&^o.clear | o.set
	m.ClearFlags = m.ClearFlags&^o.set | o.clear
	if o.propagate != 0 {
		m.Propagation = append(m.Propagation, o.propagate)
	}
	m.Rec.Set = m.Rec.Set&^o.rec.Clr | o.rec.Set
	m.Rec.Clr = m.Rec.Clr&^(o.rec.Set&^MOUNT_ATTR__ATIME) | o.rec.Clr
	if o.apply != nil {
		o.apply(m)
	}
}
