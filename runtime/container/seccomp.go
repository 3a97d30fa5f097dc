package container

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/seccomp"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// addFilter compiles the config's profile for the plan. It gives the names in it that no system call has.
func addFilter(in *plan.Inputs, profile *specs.LinuxSeccomp, h host.Host) (unknown []string, err error) {
	if profile == nil {
		return nil, nil
	}
	f, err := seccomp.Compile(profile, h.Arch)
	if err != nil {
		return nil, err
	}
	if f.WaitKillable() && !h.Kernel.AtLeast(5, 19) {
		return nil, fmt.Errorf("linux.seccomp.flags: %s needs Linux 5.19", specs.LinuxSeccompFlagWaitKillableRecv)
	}
	if f.Notify && profile.ListenerPath == "" {
		return nil, fmt.Errorf("linux.seccomp.listenerPath: is missing, and the profile uses %s", specs.ActNotify)
	}
	in.Filter, in.FilterFlags, in.Listener = f.Program, f.Flags, f.Notify
	return f.Unknown, nil
}

// warnUnknown tells of rules that have no effect. A profile may be newer than this program, so they are no error; where they
// should forbid something, someone should know.
func (r *Runtime) warnUnknown(names []string) {
	if len(names) > 0 {
		r.warn(fmt.Sprintf("linux.seccomp.syscalls: ignored, since no system call is called so: %s", strings.Join(names, ", ")))
	}
}

// listenerKey is the name in the saved state's Extra of where the filter's listener goes.
const listenerKey = "seccompListener"

type listener struct {
	Path     string `json:"path"`
	Metadata string `json:"metadata,omitempty"`
}

// listenerOf is what start must know of a profile.
func listenerOf(profile *specs.LinuxSeccomp) json.RawMessage {
	if profile == nil || profile.ListenerPath == "" {
		return nil
	}
	text, err := json.Marshal(listener{profile.ListenerPath, profile.ListenerMetadata})
	if err != nil {
		return nil // two strings
	}
	return text
}

// handListener hands over the listener of a container that is run without a separate start.
func (c *creation) handListener(m program.Message) error {
	s := c.state
	s.ID = c.id
	return handOver(m, s, c.process.Pid, c.process.Pidfd, specs.StateCreating)
}

// handListener hands over the listener of a further process: a filter of its own, with its own listener.
func (x *execution) handListener(m program.Message) error {
	return handOver(m, x.state, x.stub.Pid, x.stub.Pidfd, specs.StateRunning)
}

// handStarted hands over the listener of a container that start has found waiting.
func (r *Runtime) handStarted(m program.Message, s store.State) error {
	if m.Barrier != plan.BarrierListen {
		return fmt.Errorf("the container's process waits for %q, which is unknown", m.Barrier)
	}
	pidfd, err := openAlive(s.Init)
	if err != nil {
		return err
	}
	defer syscall.Close(pidfd)
	return handOver(m, s, s.Init.Pid, pidfd, specs.StateCreated)
}

// handOver sends the filter's listener to its agent, with the state of the process it listens to (config-linux.md, "The
// Container Process State"). The process waits meanwhile.
func handOver(m program.Message, s store.State, pid, pidfd int, status specs.ContainerState) error {
	var to listener
	if err := json.Unmarshal(s.Extra[listenerKey], &to); err != nil {
		return fmt.Errorf("cannot read where the seccomp listener goes: %w", err)
	}
	fd, err := launch.Take(pidfd, m.Value)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	message, err := json.Marshal(specs.ContainerProcessState{
		Version: s.OCIVersion, Fds: []string{specs.SeccompFdName}, Pid: pid, Metadata: to.Metadata,
		State: specs.State{Version: s.OCIVersion, ID: s.ID, Status: status, Pid: s.Init.Pid, Bundle: s.Bundle, Annotations: s.Annotations},
	})
	if err != nil {
		return err
	}
	if err := kernel.SendFD(to.Path, message, fd); err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: cannot hand over the listener: %w", err)
	}
	return nil
}
