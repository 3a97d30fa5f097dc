package container

import (
	"fmt"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// Stats is one sample of a container's counters. Its JSON has the form of runc's events.
type Stats = cgroup.Stats

// Unlimited is a limit of [Stats] that is none.
const Unlimited = cgroup.Unlimited

// IsTerminal says whether the descriptor is a terminal.
func IsTerminal(fd int) bool { return kernel.IsTerminal(fd) }

// running opens the cgroup of a container whose process lives; one that has ended is [ErrNotRunning].
func (r *Runtime) running(id, what string) (*cgroup.Group, error) {
	g, s, err := r.group(id)
	if err != nil {
		return nil, err
	}
	if err := alive(s.Init, what); err != nil {
		return nil, err
	}
	return g, nil
}

func alive(p store.Process, what string) error {
	life, err := p.Life()
	if err == nil && life != store.Alive {
		err = fmt.Errorf("cannot %s a stopped container: %w", what, ErrNotRunning)
	}
	return err
}

// Stats reads one sample of the cgroup's counters.
func (r *Runtime) Stats(id string) (Stats, error) {
	g, err := r.running(id, readStatistics)
	if err != nil {
		return Stats{}, err
	}
	return g.Stats()
}

const readStatistics = "read statistics of"

// OOM calls notify with the number of kills by the out-of-memory killer whenever it grows. It returns when the container's
// cgroup is gone or stop is closed.
func (r *Runtime) OOM(id string, stop <-chan struct{}, notify func(kills uint64)) error {
	g, err := r.running(id, "watch")
	if err != nil {
		return err
	}
	return g.OOM(stop, notify)
}
