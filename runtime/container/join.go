package container

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// kinds are the namespaces that the container does not share with the runtime.
func (c *creation) kinds() (list []spec.Kind) {
	for k, n := range c.spec.Linux.Namespaces {
		if n.Own() {
			list = append(list, spec.Kind(k))
		}
	}
	return list
}

// joinable names them for the saved state.
func (c *creation) joinable() map[string]string {
	m := map[string]string{}
	for _, k := range c.kinds() {
		m[k.String()] = k.File()
	}
	return m
}

// joinableKinds are the namespaces of a container that a further process must enter. A user namespace that is the
// caller's own already cannot be entered again (setns(2), EINVAL).
func joinableKinds(s store.State) ([]spec.Kind, error) {
	var list []spec.Kind
	for name := range s.Namespaces {
		k, ok := spec.KindOf(name)
		if !ok {
			return nil, fmt.Errorf("cannot enter container %q: its state names a %q namespace, which is unknown", s.ID, name)
		}
		if k == spec.UserNS && sameNamespace(s.Init.Pid, k) {
			continue
		}
		list = append(list, k)
	}
	slices.Sort(list)
	return list, nil
}

func sameNamespace(pid int, k spec.Kind) bool {
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + k.File())
	if err != nil {
		return false
	}
	own, err := os.Readlink("/proc/self/ns/" + k.File())
	return err == nil && own == theirs
}
