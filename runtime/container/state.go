package container

import (
	"errors"
	"fmt"
	"maps"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// State reads the state of one container.
func (r *Runtime) State(id string) (State, error) {
	st, err := store.Open(r.Root)
	if err != nil {
		return State{}, err
	}
	defer st.Close()
	return read(st, id)
}

// read does not wait for the lock: a hook of the container's own may ask while create holds it, and Save replaces the file
// in one step.
func read(st *store.Store, id string) (State, error) {
	e, err := st.Lookup(id)
	if err != nil {
		return State{}, err
	}
	defer e.Close()
	s, err := e.Load()
	if errors.Is(err, store.ErrIncomplete) {
		return State{ID: id, Status: Creating}, nil
	}
	if err != nil {
		return State{}, err
	}
	o, err := stateOf(s)
	if err == nil && (o.Status == Created || o.Status == Running || o.Status == Paused) {
		o.Annotations = withQoS(o.Annotations, s)
	}
	return o, err
}

// qosAnnotation tells the quality of service class in what state and list print.
const qosAnnotation = "org.berth-oci.qos"

// withQoS adds the class that the limits in force stand for. The config's own word under that name wins.
func withQoS(annotations map[string]string, s store.State) map[string]string {
	g, err := cgroup.Open(s.Cgroup)
	if err != nil || !g.Exists() {
		return annotations
	}
	all := map[string]string{qosAnnotation: string(g.QoS())}
	maps.Copy(all, annotations)
	return all
}

func stateOf(s store.State) (State, error) {
	status, err := statusOf(s)
	if err != nil {
		return State{}, fmt.Errorf("cannot tell the status of %q: %w", s.ID, err)
	}
	o := State{OCIVersion: s.OCIVersion, ID: s.ID, Pid: s.Init.Pid, Status: status, Bundle: s.Bundle, Rootfs: s.Rootfs,
		Created: s.Created, Annotations: s.Annotations, Owner: owner(s.Owner)}
	if status == Stopped {
		o.Pid = 0
	}
	return o, nil
}

func frozen(s store.State) bool {
	g, err := cgroup.Open(s.Cgroup)
	if err != nil {
		return false
	}
	f, err := g.Frozen()
	return err == nil && f
}
