package container

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// Kill sends the signal to the container's first process, or with all to every process in it.
func (r *Runtime) Kill(id string, signal int, all bool) error {
	_, s, done, err := r.load(id)
	if err != nil {
		return err
	}
	defer done()
	sig := syscall.Signal(signal)
	if all {
		g, err := cgroup.Open(s.Cgroup)
		if err != nil {
			return err
		}
		return g.KillAll(sig)
	}
	if sig == syscall.SIGKILL {
		return killFirst(s)
	}
	return kill(s.Init, sig)
}

// killFirst kills the first process of a container. A v1 group that is frozen must be thawed for that: its processes die no
// sooner. On v2 they die frozen.
func killFirst(s store.State) error {
	if err := kill(s.Init, syscall.SIGKILL); err != nil {
		return err
	}
	if g, err := cgroup.Open(s.Cgroup); err == nil {
		_ = g.ThawDying()
	}
	return nil
}

// kill signals a process that is known by its start time, never another one that has got its pid.
func kill(p store.Process, sig syscall.Signal) error {
	fd, err := openAlive(p)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := kernel.PidfdSendSignal(fd, sig); errors.Is(err, syscall.ESRCH) {
		return ErrNotRunning
	} else if err != nil {
		return fmt.Errorf("cannot send signal %d to process %d: %w", int(sig), p.Pid, err)
	}
	return nil
}

// openAlive gives a pidfd of the process, or ErrNotRunning.
func openAlive(p store.Process) (int, error) {
	if p.Pid == 0 {
		return -1, ErrNotRunning
	}
	fd, err := kernel.PidfdOpen(p.Pid)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EINVAL) {
		return -1, ErrNotRunning
	}
	if err != nil {
		return -1, fmt.Errorf("cannot open process %d: %w", p.Pid, err)
	}
	life, err := p.Life()
	if err == nil && life != store.Alive {
		err = ErrNotRunning
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}
