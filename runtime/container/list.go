package container

import (
	"errors"
	"fmt"

	"github.com/berth-oci/berth/runtime/internal/store"
)

// List reads the state of all containers; one that cannot be read is reported through Warn.
func (r *Runtime) List() ([]State, error) {
	st, err := store.Open(r.Root)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	ids, err := st.List()
	if err != nil {
		return nil, err
	}
	var all []State
	for _, id := range ids {
		s, err := read(st, id)
		switch {
		case errors.Is(err, store.ErrNotExist): // deleted meanwhile
		case err != nil:
			r.warn(fmt.Sprintf("cannot read container %q: %v", id, err))
		default:
			all = append(all, s)
		}
	}
	return all, nil
}
