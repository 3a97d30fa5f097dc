package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/store"
)

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

	ownTerminal bool // run in the foreground: the terminal stays here
}

// Create makes the container and leaves its process waiting for Start. After an error nothing of it is left.
func (r *Runtime) Create(id string, o CreateOptions) error {
	c, err := r.create(id, o, false, sendConsole(o.ConsoleSocket))
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.process.Continue(); err != nil { // it has ended meanwhile
		return c.fail(c.process.Cause(err))
	}
	return nil
}

// creation is a container in the making, and what has to be undone if it fails.
type creation struct {
	*Runtime
	decision
	id       string
	options  CreateOptions
	atOnce   bool
	store    *store.Store
	entry    *store.Entry
	state    store.State
	process  *launch.Process
	listener int
	group    int // directory of the cgroup to be born in, -1: none
	console  func(master int) error
}

// create does everything up to the ready barrier, at which the new process waits. With atOnce there is no start to wait
// for: the answer to the barrier is the start.
func (r *Runtime) create(id string, o CreateOptions, atOnce bool, console func(master int) error) (*creation, error) {
	if err := store.CheckID(id); err != nil {
		return nil, err
	}
	d, err := r.decide(id, o, atOnce)
	if err != nil {
		return nil, err
	}
	c := &creation{Runtime: r, decision: d, id: id, options: o, atOnce: atOnce, listener: -1, group: -1, console: console}
	if err := c.claim(); err != nil {
		return nil, err
	}
	if err := c.make(); err != nil {
		c.undo()
		if errors.As(err, new(errHook)) {
			c.poststop(c.state)
		}
		c.close()
		return nil, err
	}
	return c, nil
}

// claim takes the id and locks it. A gc or a delete that comes between the two takes the new folder for one that a create left
// behind: then it is claimed again.
func (c *creation) claim() (err error) {
	if c.store, err = store.Open(c.Root); err != nil {
		return err
	}
	const attempts = 100 // each is lost only to another command that came at that very moment
	for range attempts {
		if err = c.claimOnce(); !errors.Is(err, store.ErrNotExist) {
			break
		}
	}
	if err != nil {
		c.store.Close()
	}
	return err
}

func (c *creation) claimOnce() (err error) {
	if c.entry, err = c.store.Claim(c.id); err != nil {
		return err
	}
	if err = c.entry.Lock(); err != nil {
		c.entry.Close()
	}
	return err
}

// make makes the container's parts, each recorded before it is made.
func (c *creation) make() error {
	c.state = c.initialState()
	undos, err := c.undos()
	if err != nil {
		return err
	}
	if err := c.entry.Record(undos...); err != nil {
		return err
	}
	if err := c.entry.KeepConfig(c.spec.Config); err != nil {
		return err
	}
	defer c.layout.Release() // the first process is in the group by then, or there is none
	if err := c.layout.Make(); err != nil {
		return err
	}
	if err := c.layout.Apply(); err != nil {
		return err
	}
	if err := c.makeNotify(); err != nil {
		return err
	}
	if err := c.makeResctrl(); err != nil {
		return err
	}
	if err := c.launch(); err != nil {
		return err
	}
	if err := c.process.Serve(c.answer); err != nil {
		return err
	}
	return c.ready()
}

func (c *creation) initialState() store.State {
	s := store.State{
		ID: c.id, OCIVersion: c.spec.Version, Bundle: c.spec.Bundle, Rootfs: c.spec.Root.Path, Created: time.Now().UTC(),
		Owner: uint32(os.Geteuid()), Annotations: c.spec.Annotations, NoNewKeyring: c.options.NoNewKeyring,
		Cgroup: c.layout.State(), Namespaces: c.joinable(),
		Started: c.atOnce, Extra: map[string]json.RawMessage{},
	}
	if hooks, err := c.lateHooks(); err == nil && hooks != nil {
		s.Extra[hooksKey] = hooks
	}
	if l := listenerOf(c.spec.Linux.Seccomp); l != nil {
		s.Extra[listenerKey] = l
	}
	if !c.spec.HasProcess {
		s.Extra[noProcess] = json.RawMessage("true")
	}
	return s
}

// Names in the saved state's Extra.
const (
	afterStart = "afterStart" // the steps that may fail once start has been given
	noProcess  = "noProcess"  // the config has no process to start
)

// undos are the records of what make will make.
func (c *creation) undos() ([]store.Undo, error) {
	state, err := json.Marshal(c.layout.State())
	return []store.Undo{{Kind: store.UndoCgroup, Extra: state}}, err
}

func (c *creation) launch() (err error) {
	o := launch.Options{Stdio: c.options.Stdio.fds(), CgroupFD: -1, StartFD: -1, InitFD: -1, Edit: c.edit}
	if dir := c.layout.Join().CloneInto; dir != "" {
		if c.group, err = syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("cannot open cgroup %q: %w", dir, err)
		}
		o.CgroupFD = c.group
	}
	if c.plan.Index(plan.PassStart, 0) >= 0 {
		if c.listener, err = kernel.Listen(c.entry.SocketPath(startSocket)); err != nil {
			return fmt.Errorf("cannot make the start socket: %w", err)
		}
		o.StartFD = c.listener
	}
	c.process, err = launch.Start(c.plan, o)
	return err
}

// startSocket is the name of the socket below the container's folder that start connects to.
const startSocket = "start"

// ready saves what the container is once it is complete.
func (c *creation) ready() error {
	if err := c.adjustOOM(&c.spec.Process, c.process.Pid, c.host.Rootless); err != nil {
		return err
	}
	if err := joinResctrl(c.state, c.process.Pid); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	if p := c.options.PidFile; p != "" {
		if err := writePidFile(p, c.process.Pid); err != nil {
			return err
		}
	}
	if p := c.options.PidfdSocket; p != "" {
		return kernel.SendFD(p, []byte("pidfd"), c.process.Pidfd)
	}
	return nil
}

func (c *creation) save() (err error) {
	if c.state.Init, err = store.Identify(c.process.Pid); err != nil {
		return fmt.Errorf("cannot look at the container's process: %w", err)
	}
	if c.state.Extra[afterStart], err = json.Marshal(c.process.Late()); err != nil {
		return err
	}
	return c.entry.Save(c.state)
}

// adjustOOM writes the score. The new process may not: its own file belongs to the host's root while it is unreadable.
func (r *Runtime) adjustOOM(p *spec.Process, pid int, rootless bool) error {
	if !p.HasOOMScoreAdj {
		return nil
	}
	score := strconv.Itoa(p.OOMScoreAdj)
	if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(score), 0); err != nil {
		if errors.Is(err, os.ErrPermission) && rootless {
			r.warn("process.oomScoreAdj: not lowered, since that needs CAP_SYS_RESOURCE")
			return nil
		}
		return fmt.Errorf("process.oomScoreAdj: cannot set %s: %w", score, errors.Unwrap(err))
	}
	return nil
}

// writePidFile puts the file in place in one step, so that a reader never sees half of it.
func writePidFile(name string, pid int) error {
	temp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name))
	os.Remove(temp) // of a runtime that was killed; a link that someone has put there must not be followed
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0644)
	if err == nil {
		_, err = f.WriteString(strconv.Itoa(pid))
		f.Close()
	}
	if err == nil {
		if err = os.Rename(temp, name); err != nil {
			os.Remove(temp)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write the pid file: %w", err)
	}
	return nil
}

// undo takes back everything after a failure. What cannot be taken back stays in the journal for delete and is reported.
func (c *creation) undo() {
	if c.process != nil {
		c.process.Kill()
	}
	if err := undoAll(c.entry); err != nil {
		c.warn(fmt.Sprintf("cannot clean up after the failed create of %q: %v", c.id, err))
		return
	}
	if p := c.options.PidFile; p != "" && c.process != nil {
		os.Remove(p)
	}
	if err := c.entry.Remove(); err != nil {
		c.warn(err.Error())
	}
}

func (c *creation) close() {
	if c.process != nil {
		c.process.Close()
	}
	for _, fd := range []int{c.listener, c.group} {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
	c.entry.Unlock()
	c.entry.Close()
	c.store.Close()
}

func ignore(err error, errnos ...syscall.Errno) error {
	for _, e := range errnos {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}
