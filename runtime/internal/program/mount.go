package program

import (
	"fmt"
	"path"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/stub"
)

// Constants of the mount calls (linux/mount.h).
const (
	fsopenCloexec     = 1
	fsmountCloexec    = 1
	fsconfigFlag      = 0
	fsconfigString    = 1
	fsconfigCreate    = 6
	openTreeClone     = 1
	moveFromEmpty     = 4
	moveToEmpty       = 0x40
	mntDetach         = 2
	umountNoFollow    = 8
	spare             = 64 // a second scratch descriptor lies this far above the first
	mountAttrReadonly = 1
)

// openRoot makes the root filesystem a mount at its own path, where hooks look for it, and opens it: everything after finds
// it by the descriptor. A process whose user namespace may not reach the path puts it over the current root instead.
func (l *lowering) openRoot(s plan.OpenRoot) {
	root := reg(regRoot)
	if !l.host.Features.NewMount {
		l.call(stub.SysMount, l.str(s.Path), l.str(s.Path), imm(0), imm(spec.MS_BIND|spec.MS_REC), imm(0))
		if s.Private {
			l.call(stub.SysMount, imm(0), l.str(s.Path), imm(0), imm(spec.MS_PRIVATE), imm(0))
		}
		l.call(stub.SysOpenat, imm(noFD), l.str(s.Path), imm(oPATH|oDIRECTORY|oCLOEXEC), imm(0)).save(root)
		return
	}
	l.openTree(s.Path, s.Tree, true, root)
	attached := l.label()
	l.call(stub.SysMoveMount, root.arg(), l.str(""), imm(noFD), l.str(s.Path), imm(moveFromEmpty)).
		tolerate(syscall.EACCES).then(attached)
	l.call(stub.SysMount, imm(0), l.str("/"), imm(0), imm(spec.MS_PRIVATE), imm(0))
	l.call(stub.SysMoveMount, root.arg(), l.str(""), imm(noFD), l.str("/"), imm(moveFromEmpty))
	l.here(attached)
	switch {
	case s.Private:
		l.setPropagation(root, spec.MS_PRIVATE)
	case s.Tree >= 0: // copied by the runtime, so it is still a peer of the host's mount
		l.setPropagation(root, spec.MS_SLAVE|spec.MS_REC)
	}
}

// openTree makes a detached copy of a mount, or takes the one that was passed.
func (l *lowering) openTree(source string, tree int, recursive bool, into reg) {
	if tree >= 0 {
		l.set(into, imm(l.fd(plan.PassTree, tree)))
		return
	}
	flags := uint64(openTreeClone | oCLOEXEC)
	if recursive {
		flags |= atRecurse
	}
	l.call(stub.SysOpenTree, imm(noFD), l.str(source), imm(flags)).save(into)
}

// setPropagation changes a mount given by a descriptor of its root.
func (l *lowering) setPropagation(m reg, flags uintptr) {
	if l.host.Features.MountSetattr {
		attr := l.words(0, 0, uint64(flags&^spec.MS_REC), 0)
		l.call(stub.SysMountSetattr, m.arg(), l.str(""), imm(emptyPath(flags&spec.MS_REC != 0)), attr, imm(32))
		return
	}
	l.byPath(m, func(p arg) { l.call(stub.SysMount, imm(0), p, imm(0), imm(flags), imm(0)) })
}

func emptyPath(recursive bool) uint64 {
	if recursive {
		return atEmpty | atRecurse
	}
	return atEmpty
}

// byPath names a descriptor for calls that take paths only: through the runtime's own /proc, which is in sight until the
// pivot.
func (l *lowering) byPath(fd reg, use func(path arg)) {
	l.call(stub.SysDup3, fd.arg(), imm(l.scratch()), imm(oCLOEXEC))
	use(l.str(fmt.Sprintf("/proc/self/fd/%d", l.scratch())))
}

// mountFS mounts a filesystem on a path of the root filesystem.
func (l *lowering) mountFS(s plan.MountFS) {
	if !l.host.Features.NewMount || oddFlags(s.Flags) {
		l.mountFSOld(s)
		return
	}
	m := l.filesystem(s.Mount)
	if s.TmpCopyUp {
		l.copyUp(s.Mount, m)
	}
	if s.HasIDMap {
		l.waitFor(plan.BarrierIDMap, s.Index, m.arg())
	}
	target := l.target(s.Destination, true)
	l.coverable(s.Destination, target)
	l.attach(m, target)
	l.recursive(s.Mount, m)
	l.propagate(s.Mount, m)
	l.close(target)
	l.free(target)
	if s.Destination == "/dev/pts" && s.Type == "devpts" {
		l.pts = int(m)
		return
	}
	l.close(m)
	l.free(m)
}

// oddFlags are those of mount(2) for which the newer calls have no name.
func oddFlags(flags uintptr) bool {
	return flags&(spec.MS_I_VERSION|spec.MS_SILENT) != 0
}

// filesystem configures and makes a mount that is attached nowhere yet.
func (l *lowering) filesystem(m spec.Mount) reg {
	fs := l.take()
	l.call(stub.SysFsopen, l.str(m.Type), imm(fsopenCloexec)).save(fs)
	if m.Source != "" {
		l.config(fs, "source", m.Source)
	}
	for _, name := range superblockFlags(m) {
		l.config(fs, name, "")
	}
	for _, option := range splitData(m.Data) {
		key, value, _ := strings.Cut(option, "=")
		l.config(fs, key, value)
	}
	l.call(stub.SysFsconfig, fs.arg(), imm(fsconfigCreate), imm(0), imm(0), imm(0))
	mnt := l.take()
	attr := m.Attr().Set
	if m.TmpCopyUp {
		attr &^= mountAttrReadonly
	}
	l.call(stub.SysFsmount, fs.arg(), imm(fsmountCloexec), imm(attr)).save(mnt)
	l.close(fs)
	l.free(fs)
	return mnt
}

func (l *lowering) config(fs reg, key, value string) {
	if value == "" {
		l.call(stub.SysFsconfig, fs.arg(), imm(fsconfigFlag), l.str(key), imm(0), imm(0))
		return
	}
	l.call(stub.SysFsconfig, fs.arg(), imm(fsconfigString), l.str(key), l.str(value), imm(0))
}

// superblockFlags are the flags that concern the filesystem itself. Read-only is one of them only where the filesystem is
// the container's own: those of the kernel are one superblock for many mounts.
func superblockFlags(m spec.Mount) (names []string) {
	if m.Flags&spec.MS_RDONLY != 0 && !kernelFS[m.Type] && !m.TmpCopyUp {
		names = append(names, "ro")
	}
	for _, f := range []struct {
		flag uintptr
		name string
	}{{spec.MS_SYNCHRONOUS, "sync"}, {spec.MS_DIRSYNC, "dirsync"}, {spec.MS_MANDLOCK, "mand"}, {spec.MS_LAZYTIME, "lazytime"}} {
		if m.Flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

var kernelFS = map[string]bool{
	"proc": true, "sysfs": true, "cgroup": true, "cgroup2": true, "mqueue": true, "devpts": true, "devtmpfs": true,
	"debugfs": true, "tracefs": true, "securityfs": true, "binfmt_misc": true, "bpf": true, "configfs": true,
	"efivarfs": true, "fusectl": true, "pstore": true, "selinuxfs": true, "resctrl": true,
}

// splitData splits mount(2)'s option string at commas outside double quotes, which SELinux contexts need, and drops the
// quotes.
func splitData(data string) (options []string) {
	quoted, start := false, 0
	for i := 0; i <= len(data); i++ {
		switch {
		case i < len(data) && data[i] == '"':
			quoted = !quoted
		case i == len(data) || data[i] == ',' && !quoted:
			if o := strings.ReplaceAll(data[start:i], `"`, ""); o != "" {
				options = append(options, o)
			}
			start = i + 1
		}
	}
	return options
}

func (l *lowering) attach(m, target reg) {
	l.call(stub.SysMoveMount, m.arg(), l.str(""), target.arg(), l.str(""), imm(moveFromEmpty|moveToEmpty))
}

func (l *lowering) mountFSOld(s plan.MountFS) {
	if s.TmpCopyUp || s.HasIDMap {
		l.fail("mounts[%d]: tmpcopyup and idmap need a kernel with fsmount(2)", s.Index)
		return
	}
	target := l.target(s.Destination, true)
	l.coverable(s.Destination, target)
	source := imm(0)
	if s.Source != "" {
		source = l.str(s.Source)
	}
	l.byPath(target, func(p arg) {
		l.call(stub.SysMount, source, p, l.str(s.Type), imm(s.Flags), l.str(s.Data))
	})
	l.close(target)
	l.reopen(s.Mount, target, true)
	l.recursive(s.Mount, target)
	l.propagate(s.Mount, target)
	l.close(target)
	l.free(target)
}

// reopen opens what now lies on top at the destination.
func (l *lowering) reopen(m spec.Mount, into reg, dir bool) {
	if l.host.Features.Openat2 {
		l.below(m.Destination, oPATH, strictly(m.Destination)).save(into)
		return
	}
	l.walk(m.Destination, dir, into)
}

// recursive applies rro and its like to a mount and all below it.
func (l *lowering) recursive(m spec.Mount, at reg) {
	if m.Rec.Set|m.Rec.Clr == 0 {
		return
	}
	if !l.host.Features.MountSetattr {
		l.fail("mounts[%d].options: recursive options need a kernel with mount_setattr(2), 5.12", m.Index)
		return
	}
	l.setattr(at, m.Rec, true)
}

func (l *lowering) setattr(at reg, a spec.Attr, recursive bool) {
	l.call(stub.SysMountSetattr, at.arg(), l.str(""), imm(emptyPath(recursive)), l.words(a.Set, a.Clr, 0, 0), imm(32))
}

func (l *lowering) propagate(m spec.Mount, at reg) {
	for _, f := range m.Propagation {
		l.setPropagation(at, f)
	}
}

// bind mounts a copy of a host's path. Its flags are set before it can be seen, where the kernel can do that.
func (l *lowering) bind(s plan.Bind) {
	if !l.host.Features.NewMount {
		l.bindOld(s)
		return
	}
	m := l.take()
	l.openTree(s.Mount.Source, s.Tree, s.Recursive, m)
	if a := s.Attr(); l.host.Features.MountSetattr && a.Set|a.Clr != 0 {
		l.setattr(m, a, false)
	}
	if s.Tree >= 0 {
		l.setPropagation(m, spec.MS_SLAVE|spec.MS_REC)
	}
	l.recursive(s.Mount, m)
	if s.HasIDMap {
		l.waitFor(plan.BarrierIDMap, s.Index, m.arg())
	}
	l.genuine(s.Destination, m)
	target := l.target(s.Destination, s.Source.Dir)
	l.coverable(s.Destination, target)
	l.attach(m, target)
	if s.Attr() != (spec.Attr{}) && !l.host.Features.MountSetattr {
		l.rebind(m, s)
	}
	l.propagate(s.Mount, m)
	l.close(target)
	l.close(m)
	l.free(target, m)
}

func (l *lowering) bindOld(s plan.Bind) {
	target := l.target(s.Destination, s.Source.Dir)
	l.coverable(s.Destination, target)
	rec := uintptr(0)
	if s.Recursive {
		rec = spec.MS_REC
	}
	l.byPath(target, func(p arg) { l.call(stub.SysMount, l.str(s.Mount.Source), p, imm(0), imm(spec.MS_BIND|rec), imm(0)) })
	l.close(target)
	l.reopen(s.Mount, target, s.Source.Dir)
	l.genuine(s.Destination, target)
	if s.Attr() != (spec.Attr{}) {
		l.rebind(target, s)
	}
	l.recursive(s.Mount, target)
	l.propagate(s.Mount, target)
	l.close(target)
	l.free(target)
}

// rebind sets a bind's flags on kernels before 5.12, where all of them are given anew: those of the source's mount stay
// unless the config says otherwise.
func (l *lowering) rebind(m reg, s plan.Bind) {
	const kept = spec.MS_RDONLY | spec.MS_NOSUID | spec.MS_NODEV | spec.MS_NOEXEC | spec.MS_NOATIME | spec.MS_NODIRATIME | spec.MS_RELATIME
	flags := s.Source.Flags&kept&^s.ClearFlags | s.Flags&^(spec.MS_REC|spec.MS_BIND)
	l.byPath(m, func(p arg) {
		l.call(stub.SysMount, imm(0), p, imm(0), imm(flags|spec.MS_BIND|spec.MS_REMOUNT), imm(0))
	})
}

func (l *lowering) remount(s plan.Remount) {
	at := l.take()
	l.reopen(s.Mount, at, true)
	l.byPath(at, func(p arg) { l.call(stub.SysMount, imm(0), p, imm(0), imm(s.Flags), l.str(s.Data)) })
	l.recursive(s.Mount, at)
	l.propagate(s.Mount, at)
	l.close(at)
	l.free(at)
}

// copyUp lets the runtime fill a fresh tmpfs with what the directory below holds, which it finds at the scratch descriptor.
func (l *lowering) copyUp(m spec.Mount, mnt reg) {
	from := l.target(m.Destination, true)
	l.call(stub.SysDup3, from.arg(), imm(l.scratch()), imm(oCLOEXEC))
	l.waitFor(plan.BarrierCopyUp, m.Index, mnt.arg())
	if m.Flags&spec.MS_RDONLY != 0 {
		l.setReadonly(mnt)
	}
	l.close(from)
	l.free(from)
}

// device makes a node, or finds one that is the same (config-linux.md, "Devices": an existing file that does not match is
// an error).
func (l *lowering) device(s plan.Device) {
	if s.Bind {
		l.bindDevice(s)
		return
	}
	dir, name := l.parentOf(s.Path)
	exists, done := l.label(), l.label()
	number := makedev(s.Major, s.Minor)
	l.call(stub.SysMknodat, dir.arg(), l.str(name), imm(s.FileMode()), imm(number)).tolerate(syscall.EEXIST).orElse(exists)
	if s.UID|s.GID != 0 {
		l.call(stub.SysFchownat, dir.arg(), l.str(name), imm(s.UID), imm(s.GID), imm(atNoFol))
	}
	l.jump(done)
	l.here(exists)
	l.sameDevice(s, dir, name)
	l.here(done)
}

// parentOf opens the directory for a node or link and keeps it for the next one that wants it.
func (l *lowering) parentOf(name string) (dir reg, base string) {
	i := strings.LastIndexByte(name, '/')
	if l.dir != "" && l.dir != "/"+name[:i] {
		l.closeDir()
	}
	if l.dir == "" {
		l.dir = "/" + name[:i]
		l.dirReg = l.parent(l.dir, 0755)
	}
	return l.dirReg, name[i+1:]
}

// leaveDir closes the kept directory before a step that has no use for it.
func (l *lowering) leaveDir(next plan.Step) {
	switch s := next.(type) {
	case plan.Device:
		if !s.Bind {
			return
		}
	case plan.Symlink:
		return
	}
	if l.dir != "" {
		l.closeDir()
	}
}

func (l *lowering) closeDir() {
	l.close(l.dirReg)
	l.free(l.dirReg)
	l.dir = ""
}

func (l *lowering) sameDevice(s plan.Device, dir reg, name string) {
	fd := l.take()
	l.call(stub.SysOpenat, dir.arg(), l.str(name), imm(oPATH|oNOFOLLOW|oCLOEXEC), imm(0)).save(fd)
	l.expectDevice(fd, s.Device)
	l.close(fd)
	l.free(fd)
}

func (l *lowering) expectDevice(fd reg, d spec.Device) {
	st := l.stat(fd)
	l.expect(st.within(statMode), sIFMT<<32, uint64(d.FileMode()&sIFMT)<<32, syscall.EEXIST)
	if d.Type != 'p' {
		l.expect(st.within(statRdev), ^uint64(0), uint64(d.Major)|uint64(d.Minor)<<32, syscall.EEXIST)
	}
}

// bindDevice shows the host's node, since a user namespace may not make any.
func (l *lowering) bindDevice(s plan.Device) {
	m := l.take()
	l.call(stub.SysOpenTree, imm(noFD), l.str(s.Path), imm(openTreeClone|oCLOEXEC)).save(m)
	l.expectDevice(m, s.Device)
	target := l.target(s.Path, false)
	l.attach(m, target)
	l.close(target)
	l.close(m)
	l.free(target, m)
}

// makedev is the kernel's encoding of a device number (linux/kdev_t.h, new_encode_dev).
func makedev(major, minor uint32) uint64 {
	return uint64(minor&0xff | major<<8 | minor>>8<<20)
}

func (l *lowering) symlink(s plan.Symlink) {
	dir, name := l.parentOf(s.Path)
	l.call(stub.SysSymlinkat, l.str(s.Target), dir.arg(), l.str(name)).tolerate(syscall.EEXIST)
}

// pivot makes the root filesystem the root. The old root lies over the new one's "." for a moment and goes
// (pivot_root(2), "pivot_root(".", ".")"). It is no peer of the host's any more, so its disappearance stays here.
func (l *lowering) pivot(s plan.Pivot) {
	l.call(stub.SysFchdir, reg(regRoot).arg())
	if s.Move {
		l.call(stub.SysMount, l.str("."), l.str("/"), imm(0), imm(spec.MS_MOVE), imm(0)).tolerate(syscall.EINVAL)
		l.call(stub.SysChroot, l.str("."))
	} else {
		l.call(stub.SysPivotRoot, l.str("."), l.str("."))
		l.call(stub.SysUmount, l.str("."), imm(mntDetach))
	}
	l.call(stub.SysChdir, l.str("/"))
}

func (l *lowering) chroot(s plan.Chroot) {
	l.call(stub.SysChroot, l.str(s.Path))
	l.call(stub.SysChdir, l.str("/"))
}

// unmount takes a mount away by its name in the directory that holds it. No link is followed on the way: the container could lead
// to one of its masks by it.
func (l *lowering) unmount(s plan.Unmount) {
	dir, name := path.Split(s.Destination)
	at := l.take()
	l.below(dir, oPATH|oDIRECTORY, resolveNoSymlinks).save(at)
	l.call(stub.SysFchdir, at.arg())
	l.call(stub.SysUmount, l.str(name), imm(mntDetach|umountNoFollow))
	l.close(at)
	l.free(at)
}

// setReadonly makes one mount read-only and leaves its other flags.
func (l *lowering) setReadonly(m reg) {
	if l.host.Features.MountSetattr {
		l.setattr(m, spec.Attr{Set: spec.MOUNT_ATTR_RDONLY}, false)
		return
	}
	l.byPath(m, func(p arg) {
		l.call(stub.SysMount, imm(0), p, imm(0), imm(spec.MS_BIND|spec.MS_REMOUNT|spec.MS_RDONLY), imm(0))
	})
}

// find opens what is at a path in the root filesystem, or goes on elsewhere where there is nothing.
func (l *lowering) find(name string, resolve uint64, missing label) reg {
	r := l.take()
	if l.host.Features.Openat2 {
		l.below(name, oPATH, resolve).save(r).tolerate(syscall.ENOENT, syscall.ENOTDIR).orElse(missing)
		return r
	}
	next := l.take()
	l.call(stub.SysOpenat, reg(regRoot).arg(), l.str("."), imm(oPATH|oDIRECTORY|oCLOEXEC), imm(0)).save(r)
	for _, part := range strings.Split(relative(name), "/") {
		l.call(stub.SysOpenat, r.arg(), l.str(part), imm(oPATH|oNOFOLLOW|oCLOEXEC), imm(0)).
			save(next).tolerate(syscall.ENOENT, syscall.ENOTDIR).orElse(missing)
		l.refuseSymlink(next) // else what lies behind the link would count as missing and stay open
		l.close(r)
		l.set(r, next.arg())
	}
	l.free(next)
	return r
}

// protect binds a path over itself, read-only with all that is mounted below.
func (l *lowering) protect(s plan.Protect) {
	missing := l.label()
	at := l.find(s.Path, 0, missing)
	if l.host.Features.NewMount && l.host.Features.MountSetattr {
		m := l.take()
		l.call(stub.SysOpenTree, at.arg(), l.str(""), imm(openTreeClone|oCLOEXEC|atEmpty|atRecurse)).save(m)
		l.setattr(m, spec.Attr{Set: spec.MOUNT_ATTR_RDONLY}, true)
		l.attach(m, at)
		l.close(m)
		l.free(m)
	} else {
		l.bindByPath(at, at)
		l.close(at)
		l.reopen(spec.Mount{Destination: s.Path}, at, false)
		const flags = spec.MS_BIND | spec.MS_REMOUNT | spec.MS_RDONLY | spec.MS_NOSUID | spec.MS_NODEV | spec.MS_NOEXEC
		l.byPath(at, func(p arg) { l.call(stub.SysMount, imm(0), p, imm(0), imm(flags), imm(0)) })
	}
	l.close(at)
	l.here(missing)
	l.free(at)
}

// bindByPath binds one descriptor's file over another's with mount(2), which takes paths only.
func (l *lowering) bindByPath(from, to reg) {
	l.call(stub.SysDup3, from.arg(), imm(l.scratch()+spare), imm(oCLOEXEC))
	l.byPath(to, func(p arg) {
		l.call(stub.SysMount, l.str(fmt.Sprintf("/proc/self/fd/%d", l.scratch()+spare)), p, imm(0), imm(spec.MS_BIND|spec.MS_REC), imm(0))
	})
	l.call(stub.SysClose, imm(l.scratch()+spare))
}

// mask hides a path. The cover of a file is the null device of the host: the image's own could be anything
// (CVE-2025-31133).
func (l *lowering) mask(s plan.Mask) {
	missing, done, file := l.label(), l.label(), l.label()
	at := l.find(s.Path, 0, missing)
	st := l.stat(at)
	l.expect(st.within(statMode), sIFMT<<32, sIFDIR<<32, syscall.ENOTDIR).tolerate(syscall.ENOTDIR).orElse(file)
	l.maskDirectory(at)
	l.jump(done)
	l.here(file)
	l.maskFile(at)
	l.here(done)
	l.close(at)
	l.here(missing)
	l.free(at)
}

func (l *lowering) maskDirectory(at reg) {
	if !l.host.Features.NewMount {
		l.byPath(at, func(p arg) {
			l.call(stub.SysMount, l.str("tmpfs"), p, l.str("tmpfs"), imm(spec.MS_RDONLY), l.str("nr_inodes=2,size=4k"))
		})
		return
	}
	m := l.filesystem(spec.Mount{Type: "tmpfs", Source: "tmpfs", Data: "nr_inodes=2,size=4k", Flags: spec.MS_RDONLY})
	l.attach(m, at)
	l.close(m)
	l.free(m)
}

func (l *lowering) maskFile(at reg) {
	if !l.host.Features.NewMount {
		l.byPath(at, func(p arg) { l.call(stub.SysMount, l.str("/dev/null"), p, imm(0), imm(spec.MS_BIND), imm(0)) })
		return
	}
	m := l.take()
	l.call(stub.SysOpenTree, imm(noFD), l.str("/dev/null"), imm(openTreeClone|oCLOEXEC)).save(m)
	l.attach(m, at)
	l.close(m)
	l.free(m)
}

func (l *lowering) makeCwd(s plan.MakeCwd) {
	at := l.target(s.Path, true)
	l.close(at)
	l.free(at)
}
