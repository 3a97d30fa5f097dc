// Package container is the one door into the runtime: every verb that the command line offers is a method of [Runtime]
// in a file of its own, and nothing outside runtime/ sees anything deeper.
package container

import (
	"errors"
	"io"
	"os"
	"time"
)

// Runtime is one state directory and the choices that hold for every container in it. The zero value is not usable: Root
// must be an absolute path.
type Runtime struct {
	Root          string // state directory, absolute; one folder per container id
	SystemdCgroup bool   // --systemd-cgroup: cgroupsPath has the form slice:prefix:name
	Criu          string // accepted for runc's sake, unused
	Warn          func(message string)
}

// Stdio are the descriptors that become 0, 1 and 2 of the container's process where it has no terminal.
type Stdio struct{ In, Out, Err *os.File }

// CreateOptions are create's flags. Paths may be relative to the caller's working directory.
type CreateOptions struct {
	Bundle        string // folder that holds config.json
	PidFile       string
	ConsoleSocket string
	PidfdSocket   string
	PreserveFDs   int // descriptors 3…3+N-1 that the process keeps, besides LISTEN_FDS
	NoPivot       bool
	NoNewKeyring  bool
	Stdio         Stdio
}

// RunOptions are run's flags.
type RunOptions struct {
	CreateOptions
	Detach bool
	Keep   bool // do not delete after exit
}

// State is the answer of `state`: the JSON of runtime-spec's "State of container", with the fields that runc adds and
// engines read (rootfs, created, owner).
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"` // creating, created, running, paused, stopped
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

// ExecOptions are exec's flags; Process, where set, is the JSON of a runtime-spec process and wins over the single ones.
type ExecOptions struct {
	Process        []byte
	Args           []string
	TTY            bool
	User           string // UID[:GID]
	AdditionalGids []uint32
	Cwd            string
	Env            []string
	Caps           []string
	Apparmor       string
	ProcessLabel   string
	NoNewPrivs     bool
	Detach         bool
	PidFile        string
	ConsoleSocket  string
	PidfdSocket    string
	PreserveFDs    int
	Cgroup         []string // controller:path or path
	IgnorePaused   bool
	Stdio          Stdio
}

// Errors a caller branches on. Their words are what shims and engines match (containerd and Docker compare substrings).
var (
	ErrNotExist   = errors.New("container does not exist")
	ErrExist      = errors.New("container with given ID already exists")
	ErrNotRunning = errors.New("container not running")
	ErrStopped    = errors.New("cannot start a container that has stopped")
)

var errUnbuilt = errors.New("this verb is not built yet")

// Create makes the container and leaves its process waiting for Start.
func (r *Runtime) Create(id string, o CreateOptions) error { return errUnbuilt }

// Start lets a created container's process go on to the user's program; a failing execve is Start's error.
func (r *Runtime) Start(id string) error { return errUnbuilt }

// Run is Create, Start, wait, Delete; it returns the exit status (128+N for signal N).
func (r *Runtime) Run(id string, o RunOptions) (int, error) { return 0, errUnbuilt }

// State reads the state of one container.
func (r *Runtime) State(id string) (State, error) { return State{}, errUnbuilt }

// List reads the state of all containers; one that cannot be read is reported through Warn.
func (r *Runtime) List() ([]State, error) { return nil, errUnbuilt }

// Kill sends the signal to the container's first process, or with all to every process in it.
func (r *Runtime) Kill(id string, signal int, all bool) error { return errUnbuilt }

// Delete removes what is left of a stopped container; with force it kills first, and an unknown id is no error.
func (r *Runtime) Delete(id string, force bool) error { return errUnbuilt }

// Exec runs another process in the container and returns its exit status, or 0 once a detached one runs.
func (r *Runtime) Exec(id string, o ExecOptions) (int, error) { return 0, errUnbuilt }

// Processes returns the pids, as the caller's PID namespace numbers them, of all processes in the container's cgroup.
func (r *Runtime) Processes(id string) ([]int, error) { return nil, errUnbuilt }

// Pause freezes the container's cgroup.
func (r *Runtime) Pause(id string) error { return errUnbuilt }

// Resume thaws the container's cgroup.
func (r *Runtime) Resume(id string) error { return errUnbuilt }

// Update applies the JSON of runtime-spec's linux.resources to a container that is created or running.
func (r *Runtime) Update(id string, resources []byte) error { return errUnbuilt }

// Stats reads one sample of the cgroup's counters.
func (r *Runtime) Stats(id string) (any, error) { return nil, errUnbuilt }

// PlanFormat is how Plan prints.
type PlanFormat string

// The formats of Plan.
const (
	PlanText PlanFormat = "text"
	PlanJSON PlanFormat = "json"
)

// Plan writes what Create would do for the bundle, without doing any of it.
func (r *Runtime) Plan(id string, o CreateOptions, format PlanFormat, w io.Writer) error {
	return errUnbuilt
}
