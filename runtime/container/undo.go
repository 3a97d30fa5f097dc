package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/resctrl"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// undoAll takes back what the journal lists, from the last record to the first. It goes on after a failure, so that one
// thing that cannot be undone does not keep the others. What an earlier boot made and the reboot took is left alone.
func undoAll(e *store.Entry) error {
	journal, err := e.Journal()
	if err != nil {
		return err
	}
	var errs []error
	for i := len(journal) - 1; i >= 0; i-- {
		lasts, err := journal[i].Lasts()
		if err == nil && lasts {
			err = undo(journal[i])
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func undo(u store.Undo) error {
	switch u.Kind {
	case store.UndoCgroup:
		return undoCgroup(u)
	case store.UndoMount:
		return ignore(kernel.Unmount(u.Path), syscall.EINVAL, syscall.ENOENT)
	case store.UndoResctrl:
		return resctrl.Remove(u.Path)
	case store.UndoDirectory:
		return ignore(syscall.Rmdir(u.Path), syscall.ENOENT)
	case store.UndoFile:
		return ignore(syscall.Unlink(u.Path), syscall.ENOENT)
	case store.UndoNetworkDevice:
		return undoNetDevice(u)
	case store.UndoProcess:
		return end(u.Process)
	}
	return fmt.Errorf("cannot undo a %q: this version does not know how", u.Kind)
}

// undoCgroup ends every process of the container and removes its groups.
func undoCgroup(u store.Undo) error {
	var s cgroup.State
	if err := json.Unmarshal(u.Extra, &s); err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	g, err := cgroup.Open(s)
	if err != nil {
		return err
	}
	if g.RemoveEmpty() { // as after most containers: nobody is left
		return nil
	}
	if err := g.KillAll(syscall.SIGKILL); err != nil {
		return err
	}
	return g.Remove()
}
