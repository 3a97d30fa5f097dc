package program

import (
	"encoding/binary"
	"math"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/stub"
)

// Messages that the stub sends are sixteen bytes: a kind and a value, little-endian. A kind below the first operation's
// offset is a barrier (its number, and from bit 16 on an index); any other is the offset of the operation that failed, and
// the value its errno.
//
//	stub → runtime   kind, value     runtime → stub   one byte: go on
var barriers = map[plan.BarrierName]uint64{
	plan.BarrierTime: 1, plan.BarrierHooks: 2, plan.BarrierReady: 3, plan.BarrierListen: 4, plan.BarrierForked: 5,
	plan.BarrierConsole: 6, plan.BarrierIDMap: 7, plan.BarrierCopyUp: 8, plan.BarrierLimits: 9, plan.BarrierDevices: 10,
	plan.BarrierPid: 11,
}

// Message is one message of the stub.
type Message struct {
	Barrier plan.BarrierName // empty: a failure
	Index   int              // of the mount
	Value   uint64           // of a barrier: a descriptor's number in the process, or a pid
	Offset  uint64           // of a failure: which operation
	Errno   syscall.Errno    // of a failure
}

// MessageSize is a message's length in bytes.
const MessageSize = 16

// Parse reads a message.
func Parse(b [MessageSize]byte) Message {
	kind, value := binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
	for name, code := range barriers {
		if kind&0xffff == code && stub.OpIndex(kind&0xffff) < 0 {
			return Message{Barrier: name, Index: int(kind >> 16), Value: value}
		}
	}
	return Message{Offset: kind, Errno: syscall.Errno(value)}
}

// say sends a message to whoever is waiting: create's runtime, or start's once it is there.
func (l *lowering) say(name plan.BarrierName, index int, value arg) {
	l.set(regMessage, imm(barriers[name]|uint64(index)<<16))
	l.set(regMessage+1, value)
	l.call(stub.SysWrite, reg(stub.RegReport).arg(), reg(regMessage).address(), imm(MessageSize)).least(MessageSize)
}

// waitFor sends a message and waits for the answer. A runtime that goes away ends the process.
func (l *lowering) waitFor(name plan.BarrierName, index int, value arg) {
	l.say(name, index, value)
	l.call(stub.SysRead, reg(stub.RegReport).arg(), l.space(8), imm(1)).least(1)
}

func (l *lowering) barrier(s plan.Barrier) {
	switch s.Name {
	case plan.BarrierForked: // fork has said it
	case plan.BarrierPid:
		l.listenPid = l.bytes(make([]byte, ListenPidSize))
		l.say(s.Name, 0, imm(0))
		l.call(stub.SysRead, reg(stub.RegReport).arg(), l.listenPid, imm(ListenPidSize)).least(ListenPidSize)
		l.call(stub.SysRead, reg(stub.RegReport).arg(), l.space(8), imm(1)).least(1)
	default:
		l.waitFor(s.Name, s.Index, imm(0))
	}
}

// ListenPidSize is the length of what the runtime sends at the pid barrier before its usual byte: the whole variable, and zero
// bytes behind it.
const ListenPidSize = 32

const (
	tiocsptlck  = 0x40045431
	tiocgptpeer = 0x5441
	tiocswinsz  = 0x5414
	tiocsctty   = 0x540e
)

// console makes a terminal in the container's devpts. The peer is opened from the master, by no path (TIOCGPTPEER,
// ioctl_tty(2)), and the runtime fetches the master's descriptor while the process waits.
func (l *lowering) console(s plan.Console) {
	master, peer := l.take(), l.take()
	l.openPtmx(s, master)
	l.call(stub.SysIoctl, master.arg(), imm(tiocsptlck), l.words(0))
	l.call(stub.SysIoctl, master.arg(), imm(tiocgptpeer), imm(oRDWR|oNOCTTY|oCLOEXEC)).save(peer)
	if s.Width|s.Height != 0 {
		l.call(stub.SysIoctl, master.arg(), imm(tiocswinsz), l.words(uint64(s.Height)|uint64(s.Width)<<16))
	}
	l.call(stub.SysFchown, peer.arg(), imm(s.UID), imm(uint32(math.MaxUint32))).tolerate(syscall.EPERM, syscall.EINVAL)
	if s.Bind {
		l.bindConsole(s, peer)
	}
	l.waitFor(plan.BarrierConsole, 0, master.arg())
	l.close(master)
	for fd := range 3 {
		l.call(stub.SysDup3, peer.arg(), imm(fd), imm(0))
	}
	l.close(peer)
	l.call(stub.SysIoctl, imm(0), imm(tiocsctty), imm(0))
	l.free(master, peer)
}

// openPtmx opens the multiplexer of the devpts that the plan has mounted, or the one that is there, if it is one.
func (l *lowering) openPtmx(s plan.Console, master reg) {
	const flags = oRDWR | oNOCTTY | oCLOEXEC
	switch {
	case l.pts >= 0:
		l.call(stub.SysOpenat, reg(l.pts).arg(), l.str("ptmx"), imm(flags), imm(0)).save(master)
	case s.Bind:
		l.reopen(spec.Mount{Destination: "/dev/pts"}, master, true)
		l.call(stub.SysOpenat, master.arg(), l.str("ptmx"), imm(flags|oNOFOLLOW), imm(0)).save(master)
	default:
		l.call(stub.SysOpenat, imm(noFD), l.str("/dev/pts/ptmx"), imm(flags|oNOFOLLOW), imm(0)).save(master)
	}
	l.expectDevice(master, spec.Device{Type: 'c', Major: 5, Minor: 2})
}

// bindConsole shows the terminal at /dev/console. In a /dev where nothing may be made it is shown only if there is a file.
func (l *lowering) bindConsole(s plan.Console, peer reg) {
	const name = "/dev/console"
	missing := l.label()
	var target reg
	if s.Make {
		target = l.target(name, false)
	} else {
		target = l.find(name, strictly(name), missing)
	}
	if l.host.Features.NewMount {
		m := l.take()
		l.call(stub.SysOpenTree, peer.arg(), l.str(""), imm(openTreeClone|oCLOEXEC|atEmpty)).save(m)
		l.attach(m, target)
		l.close(m)
		l.free(m)
	} else {
		l.bindByPath(peer, target)
	}
	l.close(target)
	l.here(missing)
	l.free(target)
}

const prSetSecurebits, noSetuidFixup = 28, 1 << 2

// setUser takes the ids. Securebits keep the kernel from touching the capabilities, which the steps that follow need and
// setCapabilities then sets (capabilities(7), SECBIT_NO_SETUID_FIXUP).
func (l *lowering) setUser(s plan.SetUser) {
	l.prctl(prSetSecurebits, noSetuidFixup)
	groups := make([]byte, 0, 4*len(s.AdditionalGids))
	for _, g := range s.AdditionalGids {
		groups = binary.LittleEndian.AppendUint32(groups, g)
	}
	set := l.call(stub.SysSetgroups, imm(len(s.AdditionalGids)), l.bytes(groups))
	if len(s.AdditionalGids) == 0 {
		set.tolerate(syscall.EPERM) // denied in a user namespace made without privilege, where there is nothing to drop
	}
	l.call(stub.SysSetresgid, imm(s.GID), imm(s.GID), imm(s.GID))
	l.call(stub.SysSetresuid, imm(s.UID), imm(s.UID), imm(s.UID))
	if s.HasUmask {
		l.call(stub.SysUmask, imm(s.Umask))
	} else {
		l.call(stub.SysUmask, imm(0022))
	}
}

// limitCapabilities drops what the bounding set must not have.
func (l *lowering) limitCapabilities(s plan.LimitCapabilities) {
	for c := 0; c <= s.Last; c++ {
		if s.Bounding&(1<<c) == 0 {
			l.prctl(prCapbsetDrop, uint64(c))
		}
	}
}

func (l *lowering) setCapabilities(s plan.SetCapabilities) {
	const version3 = 0x20080522
	l.prctl(prSetSecurebits, 0)
	low := func(v uint64) uint64 { return v & math.MaxUint32 }
	data := l.words(low(s.Effective)|low(s.Permitted)<<32, low(s.Inheritable)|s.Effective>>32<<32,
		s.Permitted>>32|s.Inheritable>>32<<32)
	l.prctl(prCapAmbient, ambientClearAll)
	l.call(stub.SysCapset, l.words(version3), data)
	for c := range 64 {
		if s.Ambient&(1<<c) != 0 {
			l.prctl(prCapAmbient, ambientRaise, uint64(c))
		}
	}
}

// chdir enters a directory. Where it lies outside the root the kernel says so in front of its name (getcwd(2)).
func (l *lowering) chdir(s plan.Chdir) {
	done := l.label()
	if s.Again {
		l.expect(l.chdirLater.address(), math.MaxUint64, 1, syscall.EAGAIN).tolerate(syscall.EAGAIN).orElse(done)
		l.enterDirectory(s.Path, 0)
	} else {
		denied := l.label()
		l.chdirLater = l.take()
		l.enterDirectory(s.Path, denied)
		l.jump(done)
		l.here(denied)
		l.set(l.chdirLater, imm(1))
	}
	l.here(done)
}

func (l *lowering) enterDirectory(name string, denied label) {
	c := l.call(stub.SysChdir, l.str(name))
	if denied != 0 {
		c.tolerate(syscall.EACCES).orElse(denied)
	}
	const pathMax = 4096
	cwd := l.space(pathMax)
	l.call(stub.SysGetcwd, cwd, imm(pathMax))
	l.expect(cwd, 0xff, '/', syscall.ENOENT)
}

// findProgram looks for an executable file with the ids that will execute it.
func (l *lowering) findProgram(s plan.FindProgram) {
	const xOK = 1
	found := l.label()
	for i, c := range s.Candidates {
		h := l.call(stub.SysFaccessat, imm(noFD), l.str(c), imm(xOK)).then(found)
		if len(s.Candidates) > 1 {
			h.tolerate(syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES)
		}
		if i == len(s.Candidates)-1 {
			l.raise(syscall.ENOENT)
		}
	}
	l.here(found)
}

// exec tries the candidates as execvp(3) does.
func (l *lowering) exec(s plan.Exec) {
	args, env := l.vector(s.Args), l.vector(s.Env)
	if last := len(s.Env) - 1; l.listenPid != (arg{}) && s.Env[last] == plan.ListenPid {
		l.repoint(env, last*8, l.listenPid)
	}
	for _, c := range s.Candidates {
		h := l.call(stub.SysExecve, l.str(c), args, env)
		if len(s.Candidates) > 1 {
			h.tolerate(syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES)
		}
	}
	l.raise(syscall.ENOENT)
}

// awaitStart accepts start's connection. One that is closed before its byte has come was a start that died: the next is
// awaited.
func (l *lowering) awaitStart() {
	again, gone, ready := l.label(), l.label(), l.label()
	listen, start := imm(l.fd(plan.PassStart, 0)), reg(regStart)
	l.here(again)
	l.call(stub.SysAccept4, listen, imm(0), imm(0), imm(oCLOEXEC)).save(start)
	l.call(stub.SysRead, start.arg(), l.space(8), imm(1)).least(1).
		tolerate(syscall.EPIPE, syscall.ECONNRESET).orElse(gone).then(ready)
	l.here(gone)
	l.close(start)
	l.jump(again)
	l.here(ready)
	l.call(stub.SysClose, listen)
	l.set(stub.RegReport, start.arg())
}

func (l *lowering) seccomp(s plan.Seccomp) {
	const setModeFilter = 1
	fprog := l.words(uint64(len(s.Program)/8), 0)
	l.pointer(fprog, 8, l.bytes(s.Program))
	fd := l.take()
	l.call(stub.SysSeccomp, imm(setModeFilter), imm(s.Flags), fprog).save(fd)
	if s.Listen {
		l.waitFor(plan.BarrierListen, 0, fd.arg())
		l.close(fd)
	}
	l.free(fd)
}

func (l *lowering) scheduler(s plan.SetScheduler) {
	attr := l.words(48|uint64(s.Policy)<<32, s.Flags, uint64(uint32(s.Nice))|uint64(s.Priority)<<32, s.Runtime, s.Deadline, s.Period)
	l.call(stub.SysSchedSetattr, imm(0), attr, imm(0))
}

func (l *lowering) memoryPolicy(s plan.SetMemoryPolicy) {
	if len(s.Nodes) == 0 {
		l.call(stub.SysSetMempolicy, imm(s.Mode), imm(0), imm(0))
		return
	}
	l.call(stub.SysSetMempolicy, imm(s.Mode), l.words(s.Nodes...), imm(64*len(s.Nodes)+1))
}

// lsmLabel writes to the process's own attributes through the runtime's /proc. The newer place of AppArmor's file keeps it
// apart from other modules that share the old one.
func (l *lowering) lsmLabel(s plan.Label) {
	fd, opened := l.take(), l.label()
	value := s.Value
	open := func(name string) handle {
		return l.call(stub.SysOpenat, imm(noFD), l.str(name), imm(oWRONLY|oCLOEXEC), imm(0)).save(fd)
	}
	if s.Module == "apparmor" {
		value = "exec " + strings.TrimPrefix(value, "exec ")
		open("/proc/self/attr/apparmor/exec").tolerate(syscall.ENOENT).then(opened)
	}
	open("/proc/self/attr/exec")
	l.here(opened)
	l.call(stub.SysWrite, fd.arg(), l.str(value), imm(len(value))).least(len(value))
	l.close(fd)
	l.free(fd)
}
