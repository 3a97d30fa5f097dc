// Package container is the one door into the runtime: every verb that the command line offers is a method of [Runtime]
// in a file of its own, and nothing outside runtime/ sees anything deeper.
package container

import (
	"errors"
	"os"
	"time"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// Runtime is one state directory and the choices that hold for every container in it. The zero value is not usable: Root
// must be an absolute path.
type Runtime struct {
	Root          string // state directory, absolute; one folder per container id
	SystemdCgroup bool   // --systemd-cgroup: cgroupsPath has the form slice:prefix:name
	Criu          string // accepted for runc's sake, unused
	Warn          func(message string)

	edit    func(*program.Program)    // for tests that make an operation fail
	pretend func(host.Host) host.Host // for tests on a machine that can do less than this one
}

// machine is what this machine offers.
func (r *Runtime) machine() host.Host {
	h := host.Probe()
	if r.pretend != nil {
		h = r.pretend(h)
	}
	return h
}

func (r *Runtime) warn(message string) {
	if r.Warn != nil {
		r.Warn(message)
	}
}

// Stdio are the descriptors that become 0, 1 and 2 of the container's process where it has no terminal. Those that are nil
// are the caller's own.
type Stdio struct{ In, Out, Err *os.File }

func (s Stdio) fds() [3]uintptr {
	fds := [3]uintptr{0, 1, 2}
	for i, f := range []*os.File{s.In, s.Out, s.Err} {
		if f != nil {
			fds[i] = f.Fd()
		}
	}
	return fds
}

// State is the answer of `state`: the JSON of runtime-spec's "State of container", with the fields that runc adds and
// engines read (rootfs, created, owner).
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"` // one of the constants
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

// Status is where a container is in its life (runtime.md, "State").
type Status = string

// The statuses. Paused is runc's addition.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// Errors a caller branches on. Their words are what shims and engines match (containerd and Docker compare substrings).
var (
	ErrNotExist   = store.ErrNotExist
	ErrExist      = store.ErrExist
	ErrNotRunning = errors.New("container not running")
	ErrStopped    = errors.New("cannot start a container that has stopped")
)

// open opens the state directory and a container in it, locked. The caller closes both with the returned function.
func (r *Runtime) open(id string) (*store.Entry, func(), error) {
	s, err := store.Open(r.Root)
	if err != nil {
		return nil, nil, err
	}
	e, err := s.Lookup(id)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	done := func() {
		e.Unlock()
		e.Close()
		s.Close()
	}
	if err := e.Lock(); err != nil {
		done()
		return nil, nil, err
	}
	return e, done, nil
}

// load is open with the saved state.
func (r *Runtime) load(id string) (*store.Entry, store.State, func(), error) {
	e, done, err := r.open(id)
	if err != nil {
		return nil, store.State{}, nil, err
	}
	s, err := e.Load()
	if err != nil {
		done()
		return nil, store.State{}, nil, err
	}
	return e, s, done, nil
}
