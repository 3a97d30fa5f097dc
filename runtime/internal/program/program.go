// Package program turns a plan into a list of system calls that the stub executes.
//
// One function per kind of [plan.Step] lowers it to operations; [Lower] lays the operations and their data out as an ELF
// image. Nothing is decided here that the plan has not decided: where an operation branches, it is because only the kernel
// can answer (is this path a directory, is that one missing). A failure that the stub reports names an operation, and
// [Program.Step] turns it back into the step of the plan that a person can read.
package program

import (
	"fmt"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/stub"
)

// lowering is a plan on its way to a program.
type lowering struct {
	*builder
	plan       *plan.Plan
	host       host.Host
	tasks      int // cgroups joined so far
	namespaces int // namespaces joined so far
	pts        int // register of the mounted devpts, -1: none
	chdirLater reg
	listenPid  arg             // where the variable LISTEN_PID is read to; zero: nowhere
	known      map[string]bool // directories of the root filesystem that are certainly there
	dir        string          // the directory that is kept open for nodes and links; empty: none
	dirReg     reg
}

// Lower makes the program of a plan. Its errors mean a plan too large for the stub.
func Lower(p *plan.Plan) (*Program, error) {
	l := &lowering{builder: newBuilder(len(p.Steps)), plan: p, host: p.Host, pts: -1, known: map[string]bool{}}
	l.registers[stub.RegReport] = uint64(l.fd(plan.PassSync, 0))
	for i, step := range p.Steps {
		l.step = int32(i)
		l.leaveDir(step)
		if err := l.lower(step); err != nil {
			return nil, fmt.Errorf("cannot %s: %w", step, err)
		}
	}
	l.exit()
	return l.layout()
}

// exit ends a program that does not end in an execve: that of a container without a process.
func (l *lowering) exit() { l.call(stub.SysExitGroup, imm(0)) }

// fd is the number that the n-th passed descriptor of a kind has.
func (l *lowering) fd(kind plan.PassKind, n int) int {
	i := l.plan.Index(kind, n)
	if i < 0 {
		l.fail("the plan passes no %s descriptor %d", kind, n)
	}
	return l.plan.First() + i
}

// scratch is a descriptor number that is the program's own, for paths of the form /proc/self/fd/N.
func (l *lowering) scratch() int { return l.plan.Scratch() }

func (l *lowering) lower(step plan.Step) error {
	switch s := step.(type) {
	case plan.Harden:
		l.harden()
	case plan.TakeSignals:
		l.takeSignals()
	case plan.JoinCgroup:
		l.joinCgroup()
	case plan.JoinNamespace:
		l.joinNamespace(s)
	case plan.JoinInit:
		l.joinInit(s)
	case plan.Fork:
		l.fork()
	case plan.Unshare:
		l.call(stub.SysUnshare, imm(s.Kind.CloneFlag()))
	case plan.EnterTime:
		l.enterTime()
	case plan.BecomeRoot:
		l.becomeRoot()
	case plan.NewSession:
		l.call(stub.SysSetsid).tolerate(syscall.EPERM)
	case plan.Keyring:
		l.call(stub.SysKeyctl, imm(keyctlJoinSession), l.str(s.Name)).tolerate(syscall.ENOSYS, syscall.EDQUOT)
	case plan.Loopback:
		l.loopback()
	case plan.SetPropagation:
		l.call(stub.SysMount, imm(0), l.str("/"), imm(0), imm(s.Flags), imm(0))
	case plan.OpenRoot:
		l.openRoot(s)
	case plan.MountFS:
		l.mountFS(s)
	case plan.Bind:
		l.bind(s)
	case plan.Remount:
		l.remount(s)
	case plan.Device:
		l.device(s)
	case plan.Symlink:
		l.symlink(s)
	case plan.Console:
		l.console(s)
	case plan.Barrier:
		l.barrier(s)
	case plan.Pivot:
		l.pivot(s)
	case plan.Chroot:
		l.chroot(s)
	case plan.OpenOwnRoot:
		l.call(stub.SysOpenat, imm(noFD), l.str("/"), imm(oPATH|oDIRECTORY|oCLOEXEC), imm(0)).save(reg(regRoot))
	case plan.Unmount:
		l.unmount(s)
	default:
		return l.lowerProcess(step)
	}
	return l.err
}

func (l *lowering) lowerProcess(step plan.Step) error {
	switch s := step.(type) {
	case plan.RootPropagation:
		l.call(stub.SysMount, imm(0), l.str("/"), imm(0), imm(s.Flags), imm(0))
	case plan.SetHostname:
		l.call(stub.SysSethostname, l.str(s.Name), imm(len(s.Name)))
	case plan.SetDomainname:
		l.call(stub.SysSetdomainname, l.str(s.Name), imm(len(s.Name)))
	case plan.Sysctl:
		l.writeFile("/proc/sys/"+s.File, s.Value)
	case plan.Mask:
		l.mask(s)
	case plan.Protect:
		l.protect(s)
	case plan.ProtectRoot:
		l.setReadonly(reg(regRoot))
	case plan.MakeCwd:
		l.makeCwd(s)
	case plan.SetRlimit:
		l.call(stub.SysPrlimit, imm(0), imm(s.Resource), l.words(s.Soft, s.Hard), imm(0))
	case plan.SetScheduler:
		l.scheduler(s)
	case plan.SetIOPriority:
		l.call(stub.SysIoprioSet, imm(1), imm(0), imm(s.Value))
	case plan.SetPersonality:
		l.call(stub.SysPersonality, imm(s.Value))
	case plan.SetMemoryPolicy:
		l.memoryPolicy(s)
	case plan.SetAffinity:
		l.call(stub.SysSchedSetaffinity, imm(0), imm(len(s.CPUs)*8), l.words(s.CPUs...))
	case plan.Label:
		l.lsmLabel(s)
	case plan.FindProgram:
		l.findProgram(s)
	case plan.SetUser:
		l.setUser(s)
	case plan.LimitCapabilities:
		l.limitCapabilities(s)
	case plan.SetCapabilities:
		l.setCapabilities(s)
	case plan.NoNewPrivileges:
		l.prctl(prSetNoNewPrivs, 1)
	case plan.Chdir:
		l.chdir(s)
	case plan.AwaitStart:
		l.awaitStart()
	case plan.Seccomp:
		l.seccomp(s)
	case plan.Exec:
		l.exec(s)
	default:
		return fmt.Errorf("the step %T is unknown", step)
	}
	return l.err
}
