package program

import (
	"encoding/binary"
	"math"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/stub"
)

const (
	prSetDumpable     = 4
	prSetKeepCaps     = 8
	prCapbsetDrop     = 24
	prSetNoNewPrivs   = 38
	prCapAmbient      = 47
	ambientRaise      = 2
	ambientClearAll   = 4
	fSetFD            = 2
	fdCloexec         = 1
	closeRangeCloexec = 4
	keyctlJoinSession = 1
)

func (l *lowering) prctl(option int, args ...uint64) handle {
	all := [5]arg{imm(option)}
	for i := range 4 {
		all[i+1] = imm(0)
		if i < len(args) {
			all[i+1] = imm(args[i])
		}
	}
	return l.call(stub.SysPrctl, all[:]...)
}

// harden closes what nobody handed over, keeps the rest from the program, and reserves the scratch descriptor.
func (l *lowering) harden() {
	l.prctl(prSetDumpable, 0)
	l.call(stub.SysCloseRange, imm(l.scratch()), imm(uint64(math.MaxUint32)), imm(0))
	for fd := l.plan.First(); fd < l.scratch(); fd++ {
		l.call(stub.SysFcntl, imm(fd), imm(fSetFD), imm(fdCloexec))
	}
	l.call(stub.SysDup3, imm(l.plan.First()), imm(l.scratch()), imm(oCLOEXEC))
	l.call(stub.SysUmask, imm(0))
}

// takeSignals installs the stub's handler. execve restores the default actions of signals with a handler, so nothing the
// caller ignored stays ignored.
func (l *lowering) takeSignals() {
	h := stub.HandlerAddress()
	end := l.words(h, stub.SigactionFlags, h, 0)
	for sig := 1; sig <= 31; sig++ {
		switch syscall.Signal(sig) {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH,
			syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
			continue
		}
		l.call(stub.SysRtSigaction, imm(sig), end, imm(0), imm(8))
	}
	for _, sig := range []syscall.Signal{syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH,
		syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
		l.call(stub.SysRtSigaction, imm(int(sig)), l.words(0, 0, 0, 0), imm(0), imm(8))
	}
	const setMask = 2
	l.call(stub.SysRtSigprocmask, imm(setMask), l.words(0), imm(0), imm(8))
}

// joinCgroup writes 0, oneself, to a tasks file: a single thread that moves itself takes no lock over all processes.
func (l *lowering) joinCgroup() {
	fd := l.fd(plan.PassTasks, l.tasks)
	l.tasks++
	l.call(stub.SysWrite, imm(fd), l.str("0"), imm(1)).least(1)
	l.call(stub.SysClose, imm(fd)) // nothing of the host is to be held once the container can look
}

func (l *lowering) joinNamespace(s plan.JoinNamespace) {
	fd := l.fd(plan.PassNamespace, l.namespaces)
	l.namespaces++
	l.call(stub.SysSetns, imm(fd), imm(s.Kind.CloneFlag()))
	l.call(stub.SysClose, imm(fd))
}

func (l *lowering) joinInit(s plan.JoinInit) {
	var flags uintptr
	for _, k := range s.Kinds {
		flags |= k.CloneFlag()
	}
	l.call(stub.SysSetns, imm(l.fd(plan.PassInit, 0)), imm(flags))
	l.call(stub.SysClose, imm(l.fd(plan.PassInit, 0)))
}

// fork continues in a child whose parent is the runtime. The old process tells the runtime the child's pid, which it sees
// in the runtime's own PID namespace, and ends; the child waits until
// the runtime has turned to it.
func (l *lowering) fork() {
	const cloneParent = 0x8000
	pid, child := l.take(), l.label()
	l.call(stub.SysClone, imm(cloneParent|int(syscall.SIGCHLD)), imm(0), imm(0), imm(0), imm(0)).save(pid)
	old := l.label()
	l.expect(pid.address(), math.MaxUint64, 0, syscall.ESRCH).tolerate(syscall.ESRCH).orElse(old).then(child)
	l.here(old)
	l.say(plan.BarrierForked, 0, pid.arg())
	l.exit()
	l.here(child)
	l.call(stub.SysRead, reg(stub.RegReport).arg(), l.space(8), imm(1)).least(1)
	l.free(pid)
}

func (l *lowering) enterTime() {
	fd := l.take()
	l.call(stub.SysOpenat, imm(noFD), l.str("/proc/self/ns/time_for_children"), imm(oRDONLY|oCLOEXEC), imm(0)).save(fd)
	l.call(stub.SysSetns, fd.arg(), imm(uint64(spec.CLONE_NEWTIME)))
	l.close(fd)
	l.free(fd)
}

func (l *lowering) becomeRoot() {
	l.call(stub.SysSetgroups, imm(0), imm(0)).tolerate(syscall.EPERM)
	l.call(stub.SysSetresgid, imm(0), imm(0), imm(0))
	l.call(stub.SysSetresuid, imm(0), imm(0), imm(0))
}

// loopback sets IFF_UP on lo (netdevice(7)).
func (l *lowering) loopback() {
	const afInet, sockDgram, siocsifflags, iffUp = 2, 2, 0x8914, 1
	request := make([]byte, 40)
	copy(request, "lo")
	binary.LittleEndian.PutUint16(request[16:], iffUp)
	fd := l.take()
	l.call(stub.SysSocket, imm(afInet), imm(sockDgram|oCLOEXEC), imm(0)).save(fd)
	l.call(stub.SysIoctl, fd.arg(), imm(siocsifflags), l.bytes(request))
	l.close(fd)
	l.free(fd)
}

// writeFile writes a file of the host's /proc.
func (l *lowering) writeFile(name, value string) {
	fd := l.take()
	l.call(stub.SysOpenat, imm(noFD), l.str(name), imm(oWRONLY|oCLOEXEC), imm(0)).save(fd)
	l.call(stub.SysWrite, fd.arg(), l.str(value), imm(len(value))).least(len(value))
	l.close(fd)
	l.free(fd)
}
