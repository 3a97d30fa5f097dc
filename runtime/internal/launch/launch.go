// Package launch starts a stub and answers it.
//
// The runtime opens what the plan passes, clones, and from then on only answers: the stub executes its program, sends a
// message where it needs the host's side (a barrier) or where an operation failed, and waits. A stub whose runtime goes
// away finds its socket closed and ends, so a runtime that is killed leaves no half-made process behind.
package launch

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/stub"
)

// Options are what the plan cannot say: descriptors of this process.
type Options struct {
	Stdio    [3]uintptr
	CgroupFD int // directory of the cgroup v2 group to be born in, -1: none
	StartFD  int // the listening socket, for a plan that passes one
	InitFD   int // pidfd of the container's first process, for a plan that passes one

	Edit func(*program.Program) // changes the program before it runs; for tests, nil elsewhere
}

// Process is a running stub.
type Process struct {
	Pid   int // the process that will execute the program
	Pidfd int
	sync  int
	first int // the process that was cloned; not Pid where a PID namespace was joined
	plan  *plan.Plan
	prog  *program.Program
}

// StepError is a step of a plan that failed.
type StepError struct {
	Step  plan.Step
	Errno syscall.Errno
}

func (e *StepError) Error() string { return Describe(e.Step, e.Errno) }

// Unwrap gives the errno.
func (e *StepError) Unwrap() error { return e.Errno }

// Start clones a process that executes the plan. The caller serves it and closes it.
func Start(p *plan.Plan, o Options) (*Process, error) {
	prog, err := program.Lower(p)
	if err != nil {
		return nil, err
	}
	if o.Edit != nil {
		o.Edit(prog)
	}
	image, err := stub.Carry("berth-init", &prog.Image)
	if err != nil {
		return nil, err
	}
	defer func() { syscall.Close(image) }()
	ours, theirs, err := kernel.Socketpair()
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket pair: %w", err)
	}
	defer syscall.Close(theirs)
	files, err := openPasses(p, theirs, o)
	defer files.close()
	if err == nil {
		image, err = outOfTheWay(image, files.list)
	}
	if err == nil {
		var process *Process
		if process, err = fork(p, prog, image, ours, files.list, o); err == nil {
			return process, nil
		}
	}
	syscall.Close(ours)
	return nil, err
}

// outOfTheWay gives the image a number that survives the fork. In the child the files take the numbers from 0 on, and to get there
// some of them, and the pipe that reports a failing exec, move to the numbers behind the highest (syscall.forkAndExecInChild).
func outOfTheWay(image int, files []uintptr) (int, error) {
	highest := uintptr(len(files))
	for _, fd := range files {
		highest = max(highest, fd)
	}
	if image >= len(files) && image < int(highest) {
		return image, nil
	}
	const pipeAndNext = 3
	return kernel.MoveAbove(image, int(highest)+len(files)+pipeAndNext)
}

func fork(p *plan.Plan, prog *program.Program, image, sync int, files []uintptr, o Options) (*Process, error) {
	process := &Process{Pidfd: -1, sync: sync, plan: p, prog: prog}
	sys := &syscall.SysProcAttr{Cloneflags: p.CloneFlags(), PidFD: &process.Pidfd}
	if o.CgroupFD >= 0 {
		sys.UseCgroupFD, sys.CgroupFD = true, o.CgroupFD
	}
	for _, m := range p.UIDs {
		sys.UidMappings = append(sys.UidMappings, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	for _, m := range p.GIDs {
		sys.GidMappings = append(sys.GidMappings, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	if len(p.UIDs) > 0 { // as any other id it would lose its capabilities when it executes the stub
		privileged := syscall.Geteuid() == 0
		sys.GidMappingsEnableSetgroups = privileged
		sys.Credential = &syscall.Credential{NoSetGroups: !privileged}
	}
	pid, err := syscall.ForkExec(stub.Path(image), []string{"init"}, &syscall.ProcAttr{Dir: "/", Files: files, Sys: sys, Env: []string{}})
	if err != nil {
		return nil, explainClone(p, err)
	}
	process.Pid, process.first = pid, pid
	return process, nil
}

func explainClone(p *plan.Plan, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EPERM) && len(p.UIDs) == 0:
		hint = "\nhint: without root a container needs a user namespace: berth spec --rootless"
	case errors.Is(err, syscall.ENOSPC):
		hint = "\nhint: a limit of /proc/sys/user/max_*_namespaces is reached"
	}
	return fmt.Errorf("cannot start the container's process: %w%s", err, hint)
}

// Serve answers the stub's messages until the ready barrier, which it leaves unanswered. A failed step is a *StepError.
func (p *Process) Serve(answer func(m program.Message) error) error {
	for {
		m, err := p.next()
		switch {
		case err != nil:
			return err
		case m.Barrier == plan.BarrierForked && m.Value != 0:
			if err := p.forked(int(m.Value)); err != nil {
				return err
			}
			continue
		case m.Barrier == plan.BarrierReady:
			return nil
		}
		if err := answer(m); err != nil {
			return p.Cause(err)
		}
		if err := p.Continue(); err != nil {
			return p.Cause(err)
		}
	}
}

// Cause is why the runtime's part failed: if the stub has failed meanwhile, its report says more than what followed from
// it.
func (p *Process) Cause(err error) error {
	if ready, perr := kernel.Readable(p.sync); perr != nil || !ready {
		return err
	}
	if m, rerr := ReadMessage(p.sync); rerr == nil && m.Barrier == "" {
		return p.failure(m)
	}
	return err
}

// next reads one message.
func (p *Process) next() (program.Message, error) {
	m, err := ReadMessage(p.sync)
	if err != nil {
		return m, fmt.Errorf("the container's process ended while it was set up: %s", p.ending())
	}
	if m.Barrier == "" {
		return m, p.failure(m)
	}
	return m, nil
}

func (p *Process) failure(m program.Message) error {
	i := p.prog.Step(m.Offset)
	if i < 0 {
		return fmt.Errorf("the container's process sent a message that makes no sense (%#x)", m.Offset)
	}
	return &StepError{p.plan.Steps[i], m.Errno}
}

// ReadMessage reads one message of a stub; io.EOF means that it has gone on to the program.
func ReadMessage(fd int) (program.Message, error) {
	var b [program.MessageSize]byte
	for n := 0; n < len(b); {
		k, err := syscall.Read(fd, b[n:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.ECONNRESET || err == nil && k == 0:
			return program.Message{}, io.EOF
		case err != nil:
			return program.Message{}, err
		default:
			n += k
		}
	}
	return program.Parse(b), nil
}

// TellPid sends the waiting stub its pid, as a variable of the environment.
func (p *Process) TellPid(pid int) error {
	var variable [program.ListenPidSize]byte
	copy(variable[:], plan.ListenPid+strconv.Itoa(pid))
	return send(p.sync, variable[:])
}

// Continue lets a waiting stub go on.
func (p *Process) Continue() error { return Continue(p.sync) }

// Continue lets the stub at the other end of a socket go on.
func Continue(fd int) error { return send(fd, []byte{1}) }

// send writes a few bytes, which a socket takes whole or not at all.
func send(fd int, data []byte) error {
	for {
		_, err := syscall.Write(fd, data)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot answer the container's process: %w", err)
		}
		return nil
	}
}

// Finish lets the stub go from its ready barrier to the program, and waits until execve has succeeded.
func (p *Process) Finish(answer func(m program.Message) error) error {
	if err := p.Continue(); err != nil {
		return p.Cause(err)
	}
	for {
		m, err := ReadMessage(p.sync)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case m.Barrier == "":
			return p.failure(m)
		}
		if err := answer(m); err != nil {
			return err
		}
		if err := p.Continue(); err != nil {
			return err
		}
	}
}

// forked follows the stub into the child it has made.
func (p *Process) forked(pid int) error {
	fd, err := kernel.PidfdOpen(pid)
	if err != nil {
		return fmt.Errorf("cannot open process %d: %w", pid, err)
	}
	syscall.Close(p.Pidfd)
	wait(p.first)
	p.Pid, p.Pidfd = pid, fd
	return p.Continue()
}

// Take copies a descriptor of the waiting stub.
func (p *Process) Take(fd uint64) (int, error) { return Take(p.Pidfd, fd) }

// Take copies a descriptor of a process.
func Take(pidfd int, fd uint64) (int, error) {
	mine, err := kernel.PidfdGetfd(pidfd, int(fd))
	if err != nil {
		return -1, fmt.Errorf("cannot take a descriptor from the container's process: %w", err)
	}
	return mine, nil
}

// Kill ends the process and takes its exit status.
func (p *Process) Kill() {
	if p.Pidfd >= 0 {
		kernel.PidfdSendSignal(p.Pidfd, syscall.SIGKILL)
	}
	wait(p.Pid)
	if p.first != p.Pid {
		wait(p.first)
	}
}

// Wait waits for the end and returns the exit status, 128+N for signal N.
func (p *Process) Wait() (int, error) {
	return Reap(p.Pid)
}

// Status is a wait status as shells count: the exit status, or 128 plus the signal.
func Status(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// Reap waits for a child and returns its exit status as [Status] counts.
func Reap(pid int) (int, error) {
	ws, err := wait(pid)
	if err != nil {
		return 0, fmt.Errorf("cannot wait for process %d: %w", pid, err)
	}
	return Status(ws), nil
}

func (p *Process) ending() string {
	ws, err := wait(p.Pid)
	switch {
	case err != nil:
		return "its status is lost"
	case ws.Signaled():
		return "killed by signal " + ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}

func wait(pid int) (ws syscall.WaitStatus, err error) {
	for {
		_, err = syscall.Wait4(pid, &ws, 0, nil)
		if err != syscall.EINTR {
			return ws, err
		}
	}
}

// Close gives the descriptors back; the process goes its way.
func (p *Process) Close() {
	syscall.Close(p.sync)
	if p.Pidfd >= 0 {
		syscall.Close(p.Pidfd)
	}
}
