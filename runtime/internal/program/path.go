package program

import (
	"math"
	"path"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/stub"
)

// Flags of open(2) and openat2(2) that both architectures share.
const (
	oRDONLY   = 0
	oWRONLY   = 1
	oRDWR     = 2
	oCREAT    = 0x40
	oEXCL     = 0x80
	oNOCTTY   = 0x100
	oCLOEXEC  = 0x80000
	oPATH     = 0x200000
	atEmpty   = 0x1000
	atNoFol   = 0x100
	atRecurse = 0x8000

	resolveNoMagic    = 0x02
	resolveNoSymlinks = 0x04
	resolveInRoot     = 0x10
)

// below opens a path in the root filesystem. Whatever the image or a race puts there, symbolic links cannot lead out of it
// and the magic ones of proc are not followed (openat2(2), RESOLVE_IN_ROOT).
func (l *lowering) below(name string, flags uint64, resolve uint64) handle {
	how := l.words(flags|oCLOEXEC, 0, resolveInRoot|resolveNoMagic|resolve)
	return l.call(stub.SysOpenat2, reg(regRoot).arg(), l.str(relative(name)), how, imm(24)).retry(syscall.EAGAIN)
}

func relative(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}

// strictly are paths without any symbolic link: what is mounted or made there is later trusted by its path (CVE-2019-19921),
// and a link from /dev into a volume would let device nodes appear on the host.
func strictly(name string) uint64 {
	name = path.Clean("/" + name)
	if name == "/proc" || name == "/sys" || name == "/dev" || strings.HasPrefix(name, "/dev/") {
		return resolveNoSymlinks
	}
	return 0
}

// target opens a mount's destination, making it where it is missing, and leaves an O_PATH descriptor in a register.
func (l *lowering) target(name string, dir bool) reg {
	r := l.take()
	if !l.host.Features.Openat2 {
		l.walk(name, dir, r)
		return r
	}
	done, missing := l.label(), l.label()
	l.below(name, oPATH, strictly(name)).save(r).tolerate(syscall.ENOENT).orElse(missing).then(done)
	l.here(missing)
	l.makeBelow(name, dir)
	l.below(name, oPATH, strictly(name)).save(r)
	l.here(done)
	if dir {
		l.know(name)
		l.forget(name)
	}
	return r
}

// know remembers that a directory, and with it those above, is there from now on: nothing has to be made for them again.
func (l *lowering) know(name string) {
	for name = path.Clean("/" + name); name != "/"; name = path.Dir(name) {
		l.known[name] = true
	}
}

// forget drops what is known below a directory: something is about to be mounted over it.
func (l *lowering) forget(name string) {
	for known := range l.known {
		if strings.HasPrefix(known, strings.TrimSuffix(path.Clean("/"+name), "/")+"/") {
			delete(l.known, known)
		}
	}
}

// makeBelow makes a path and its parents in the root filesystem. Every part is opened anew from the root, so a symbolic
// link among them is followed inside it and a dangling one is an error.
func (l *lowering) makeBelow(name string, dir bool) {
	parts := strings.Split(relative(name), "/")
	parent := l.parent(path.Dir(path.Clean("/"+name)), 0755)
	last := parts[len(parts)-1]
	if dir {
		l.call(stub.SysMkdirat, parent.arg(), l.str(last), imm(0755)).tolerate(syscall.EEXIST)
	} else {
		l.makeFile(parent, last)
	}
	l.close(parent)
	l.free(parent)
}

// parent opens a directory in the root filesystem, making what is missing of it.
func (l *lowering) parent(name string, mode uint64) reg {
	at, next := l.take(), l.take()
	if !l.host.Features.Openat2 {
		l.walk(name, true, at)
		l.free(next)
		return at
	}
	if l.known[path.Clean("/"+name)] {
		l.below(name, oPATH|oDIRECTORY, 0).save(at)
		l.free(next)
		return at
	}
	ready := l.label()
	if name != "/" {
		l.below(name, oPATH|oDIRECTORY, strictly(name)).save(at).tolerate(syscall.ENOENT).then(ready)
	}
	l.below("/", oPATH|oDIRECTORY, 0).save(at)
	if name != "/" {
		parts := strings.Split(relative(name), "/")
		for i, part := range parts {
			have := l.label()
			prefix := strings.Join(parts[:i+1], "/")
			l.below(prefix, oPATH|oDIRECTORY, strictly(prefix)).save(next).tolerate(syscall.ENOENT).then(have)
			l.call(stub.SysMkdirat, at.arg(), l.str(part), imm(mode)).tolerate(syscall.EEXIST)
			l.below(prefix, oPATH|oDIRECTORY, strictly(prefix)).save(next)
			l.here(have)
			l.close(at)
			l.set(at, next.arg())
		}
	}
	l.here(ready)
	l.free(next)
	l.know(name)
	return at
}

// makeFile makes an empty file for something to be mounted on.
func (l *lowering) makeFile(dir reg, name string) {
	fd, done := l.take(), l.label()
	l.call(stub.SysOpenat, dir.arg(), l.str(name), imm(oCREAT|oEXCL|oNOFOLLOW|oCLOEXEC), imm(0644)).
		save(fd).tolerate(syscall.EEXIST).orElse(done)
	l.close(fd)
	l.here(done)
	l.free(fd)
}

// walk is target and parent for kernels that refuse openat2: part by part, and no part may be a symbolic link.
func (l *lowering) walk(name string, dir bool, into reg) {
	next := l.take()
	parts := strings.Split(relative(name), "/")
	l.call(stub.SysOpenat, reg(regRoot).arg(), l.str("."), imm(oPATH|oDIRECTORY|oCLOEXEC), imm(0)).save(into)
	for i, part := range parts {
		if part == "." {
			break
		}
		flags := uint64(oPATH | oNOFOLLOW | oCLOEXEC)
		asDir := dir || i < len(parts)-1
		if asDir {
			flags |= oDIRECTORY
		}
		have := l.label()
		l.call(stub.SysOpenat, into.arg(), l.str(part), imm(flags), imm(0)).save(next).tolerate(syscall.ENOENT).then(have)
		if asDir {
			l.call(stub.SysMkdirat, into.arg(), l.str(part), imm(0755)).tolerate(syscall.EEXIST)
		} else {
			l.makeFile(into, part)
		}
		l.call(stub.SysOpenat, into.arg(), l.str(part), imm(flags), imm(0)).save(next)
		l.here(have)
		if !asDir {
			l.refuseSymlink(next)
		}
		l.close(into)
		l.set(into, next.arg())
	}
	l.free(next)
}

// refuseSymlink fails with ELOOP where an O_PATH descriptor is one of a symbolic link.
func (l *lowering) refuseSymlink(fd reg) {
	st := l.stat(fd)
	done := l.label()
	l.expect(st.within(statMode), sIFMT<<32, sIFLNK<<32, syscall.ELOOP).tolerate(syscall.ELOOP).orElse(done)
	l.raise(syscall.ELOOP)
	l.here(done)
}

// Offsets in struct statx, rounded down to eight bytes, and what stands there.
const (
	statMode = 24 // gid, and the mode from bit 32 on
	statRdev = 128
	statSize = 256

	sIFMT  = 0xf000
	sIFDIR = 0x4000
	sIFLNK = 0xa000
)

const (
	procMagic  = 0x9fa0 // statfs(2), f_type
	procRoot   = 1      // the inode of a proc filesystem's root
	statInode  = 32
	statfsSize = 120
)

// coverable fails with ELOOP where a mount's target lies in a proc filesystem and the destination does not say so: links of the image
// may lead there, and what is written to a covered file of proc goes astray (CVE-2019-16884).
func (l *lowering) coverable(destination string, target reg) {
	if destination == "/proc" || strings.HasPrefix(destination, "/proc/") { // the config's validation has allowed it
		return
	}
	done := l.label()
	l.expect(l.statfs(target), math.MaxUint64, procMagic, syscall.ELOOP).tolerate(syscall.ELOOP).orElse(done)
	l.raise(syscall.ELOOP)
	l.here(done)
}

// genuine fails with EINVAL where what is bound on /proc is no whole proc filesystem.
func (l *lowering) genuine(destination string, m reg) {
	if destination == "/proc" {
		l.expect(l.statfs(m), math.MaxUint64, procMagic, syscall.EINVAL)
		l.expect(l.stat(m).within(statInode), math.MaxUint64, procRoot, syscall.EINVAL)
	}
}

func (l *lowering) statfs(fd reg) arg {
	buf := l.space(statfsSize)
	l.call(stub.SysFstatfs, fd.arg(), buf)
	return buf
}

// stat fills a struct statx about a descriptor.
func (l *lowering) stat(fd reg) arg {
	buf := l.space(statSize)
	l.call(stub.SysStatx, fd.arg(), l.str(""), imm(atEmpty), imm(0x7ff), buf)
	return buf
}
