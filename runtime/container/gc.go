package container

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// Garbage is one thing that nobody will come back for.
type Garbage struct {
	ID   string // the container; empty for a folder without one
	Path string // the folder below the state directory
	Why  string // "its create was interrupted"
}

// String is the thing in one line: `container "box": its create was interrupted`.
func (g Garbage) String() string {
	if g.ID == "" {
		return fmt.Sprintf("folder %q: %s", g.Path, g.Why)
	}
	return fmt.Sprintf("container %q: %s", g.ID, g.Why)
}

// GC removes what a reboot or a crash has left, the way delete does: containers whose process is gone, those whose create was
// interrupted, and what interrupted deletes left. A container that lives, or that another command is working on, is
// not touched, and neither is what cannot be understood: a warning names that. Each thing is reported before it is
// removed; a dry run only reports. One failure does not keep the others.
func (r *Runtime) GC(dryRun bool, report func(Garbage)) error {
	st, err := store.Open(r.Root)
	if err != nil {
		return err
	}
	defer st.Close()
	ids, err := st.List()
	if err != nil {
		return err
	}
	leftovers, err := st.Leftovers() // before the containers, whose removal makes and removes some
	if err != nil {
		return err
	}
	var failed error
	for _, id := range ids {
		failed = errors.Join(failed, r.collect(st, id, dryRun, report))
	}
	for _, path := range leftovers {
		report(Garbage{Path: path, Why: "its delete was interrupted"})
		if !dryRun {
			failed = errors.Join(failed, st.Sweep(path))
		}
	}
	return failed
}

// collect looks at one container, and removes it if it is garbage.
func (r *Runtime) collect(st *store.Store, id string, dryRun bool, report func(Garbage)) error {
	e, err := st.Lookup(id)
	if err != nil {
		return r.spared(id, err)
	}
	defer e.Close()
	if locked, err := e.TryLock(); err != nil || !locked {
		return r.spared(id, err)
	}
	s, why, err := abandoned(e)
	if err != nil || why == "" {
		return r.spared(id, err)
	}
	report(Garbage{ID: id, Path: e.Dir(), Why: why})
	if dryRun {
		return nil
	}
	return r.remove(e, s)
}

// spared warns of what gc leaves because it cannot tell what it is. A container that vanished meanwhile was deleted.
func (r *Runtime) spared(id string, err error) error {
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		r.warn(fmt.Sprintf("container %q is left as it is: %v", id, err))
	}
	return nil
}

// abandoned says why nobody will come back for a container whose lock the caller holds, or nothing where somebody may: who
// makes one keeps the lock until its state is complete.
func abandoned(e *store.Entry) (s store.State, why string, err error) {
	s, err = e.Load()
	if errors.Is(err, store.ErrIncomplete) {
		return s, "its create was interrupted", nil
	}
	if err != nil {
		return s, "", err
	}
	now, err := s.Init.ThisBoot()
	if err != nil {
		return s, "", err
	}
	if !now {
		return s, "it is of an earlier boot", nil
	}
	life, err := s.Init.Life()
	if err != nil || life == store.Alive {
		return s, "", err
	}
	g, err := cgroup.Open(s.Cgroup)
	if err != nil {
		return s, "", err
	}
	pids, err := g.WaitEmpty(time.Second) // those that are just dying
	// Of the first process a thread may be left that a delete froze and killed, and then was killed itself.
	pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == s.Init.Pid })
	if err == nil && len(pids) > 0 {
		err = fmt.Errorf("its first process has ended, but %d more run in its cgroup; berth delete %s ends them", len(pids), e.ID())
	}
	return s, "its process has ended", err
}
