package container

import (
	"fmt"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/resctrl"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// group opens a container's cgroup.
func (r *Runtime) group(id string) (*cgroup.Group, store.State, error) {
	st, err := store.Open(r.Root)
	if err != nil {
		return nil, store.State{}, err
	}
	defer st.Close()
	e, err := st.Lookup(id)
	if err != nil {
		return nil, store.State{}, err
	}
	defer e.Close()
	s, err := e.Load()
	if err != nil {
		return nil, s, err
	}
	g, err := cgroup.Open(s.Cgroup)
	return g, s, err
}

// Processes returns the pids, as the caller's PID namespace numbers them, of all processes in the container's cgroup.
func (r *Runtime) Processes(id string) ([]int, error) {
	g, _, err := r.group(id)
	if err != nil {
		return nil, err
	}
	return g.Procs()
}

// Pause freezes the container's cgroup.
func (r *Runtime) Pause(id string) error {
	g, s, err := r.group(id)
	if err != nil {
		return err
	}
	status, err := statusOf(s)
	if err != nil {
		return err
	}
	if status != Running && status != Created {
		return fmt.Errorf("cannot pause container %q: it is %s: %w", id, status, ErrNotRunning)
	}
	return g.Freeze()
}

// Resume thaws the container's cgroup.
func (r *Runtime) Resume(id string) error {
	g, s, err := r.group(id)
	if err != nil {
		return err
	}
	status, err := statusOf(s)
	if err != nil {
		return err
	}
	if status != Paused {
		return fmt.Errorf("cannot resume container %q: it is %s, not paused", id, status)
	}
	return g.Thaw()
}

// Update applies the JSON of runtime-spec's linux.resources to a container that is created or running, and lines of resctrl schemata to its
// class of service (config-linux.md "IntelRdt").
func (r *Runtime) Update(id string, resources []byte, schemata ...string) error {
	g, s, err := r.group(id)
	if err != nil {
		return err
	}
	status, err := statusOf(s)
	if err != nil {
		return err
	}
	if status == Stopped || status == Creating {
		return fmt.Errorf("cannot update container %q: it is %s: %w", id, status, ErrNotRunning)
	}
	wanted, err := spec.ParseResources(string(resources))
	if err != nil {
		return err
	}
	if len(schemata) > 0 && s.IntelRdt == "" {
		return fmt.Errorf("cannot change shares of caches and memory bandwidth: container %q has no class of service; its config has no linux.intelRdt", id)
	}
	if err := resctrl.Check(schemata); err != nil { // before anything changes
		return err
	}
	h, err := cgroup.Probe()
	if err != nil {
		return err
	}
	warnings, err := g.Update(wanted, h)
	for _, w := range warnings {
		r.warn(w)
	}
	if err != nil || len(schemata) == 0 {
		return err
	}
	return resctrl.Share(r.machine().Resctrl, s.IntelRdt, schemata)
}
