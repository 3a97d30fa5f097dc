package container

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// Delete removes what is left of a stopped container (runtime.md, "Delete": of one that is not stopped it is an error); with
// force it kills first, and an unknown id is no error.
func (r *Runtime) Delete(id string, force bool) error {
	e, done, err := r.open(id)
	if errors.Is(err, store.ErrNotExist) && force {
		return r.sweep()
	}
	if err != nil {
		return err
	}
	defer done()
	s, err := e.Load()
	if err != nil && !force {
		return fmt.Errorf("%w\nhint: berth delete --force removes what is left of it", err)
	}
	if err == nil && !force {
		status, err := statusOf(s)
		if err != nil {
			return err
		}
		if status != Stopped {
			return fmt.Errorf("cannot delete container %q that is not stopped: %s", id, status)
		}
	}
	if err := endAll(s); err != nil {
		return err
	}
	return r.remove(e, s)
}

// sweep finishes deletes that were interrupted after they had freed their ids.
func (r *Runtime) sweep() error {
	st, err := store.Open(r.Root)
	if err != nil {
		return err
	}
	defer st.Close()
	leftovers, err := st.Leftovers()
	for _, path := range leftovers {
		err = errors.Join(err, st.Sweep(path))
	}
	return err
}

// endAll ends the first process of a container, and with it, mostly, the others.
func endAll(s store.State) error {
	switch err := killFirst(s); {
	case errors.Is(err, ErrNotRunning):
		return nil
	case err != nil:
		return err
	}
	return end(s.Init)
}

// end kills the first process and waits until the kernel has let go of it.
func end(p store.Process) error {
	fd, err := openAlive(p)
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := ignore(kernel.PidfdSendSignal(fd, syscall.SIGKILL), syscall.ESRCH); err != nil {
		return fmt.Errorf("cannot kill process %d: %w", p.Pid, err)
	}
	const patience = 10_000
	ended, err := kernel.PidfdWait(fd, patience)
	if err == nil && !ended {
		err = fmt.Errorf("process %d does not end", p.Pid)
	}
	return err
}

// remove takes back what create has made, runs the poststop hooks and frees the id.
func (r *Runtime) remove(e *store.Entry, s store.State) error {
	s.ID = e.ID()
	if err := undoAll(e); err != nil {
		return fmt.Errorf("cannot delete container %q: %w", e.ID(), err)
	}
	r.poststop(s)
	return e.Remove()
}
