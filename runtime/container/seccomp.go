package container

import (
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// addFilter compiles the config's profile for the plan.
func addFilter(in *plan.Inputs, profile *specs.LinuxSeccomp, h host.Host) error {
	if profile == nil {
		return nil
	}
	return errors.New("linux.seccomp: filters are not supported")
}

func (c *creation) handListener(m program.Message) error { return c.handOver(m, c.state) }

// handOver sends the filter's listener to its agent.
func (r *Runtime) handOver(m program.Message, s store.State) error {
	return errors.New("linux.seccomp.listenerPath: is not supported")
}
