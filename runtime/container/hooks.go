package container

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// hookRun is one hook being run: what it gets and where it lives.
type hookRun struct {
	hook  *spec.Hook
	state State        // on its standard input
	dir   string       // working directory, of a hook in the runtime's namespaces
	join  *joinedHooks // nil: in the runtime's namespaces
}

// joinedHooks says which container's namespaces hooks run in.
type joinedHooks struct {
	plan   func(h *spec.Hook) *plan.Plan
	group  string // directory of the cgroup v2 group to be born in, empty: none
	answer func(p *launch.Process, m program.Message) error
	pidfd  int
}

// run starts the hook, waits for it and kills its whole process group at the time-out (config.md, "POSIX-platform Hooks").
// Its input and output are files in memory, so a hook that leaves a child behind cannot hold the runtime up. A hook in the
// runtime's namespaces does not outlive a runtime that is killed.
func (h hookRun) run() error {
	state, err := json.Marshal(h.state)
	if err != nil {
		return err
	}
	in, err := kernel.Memory("hook-state", state)
	if err != nil {
		return fmt.Errorf("cannot pass the state to %s: %w", h, err)
	}
	defer syscall.Close(in)
	out, err := kernel.Memory("hook-output", nil)
	if err != nil {
		return fmt.Errorf("cannot collect the output of %s: %w", h, err)
	}
	defer syscall.Close(out)
	if err := h.execute(in, out); err != nil {
		return fmt.Errorf("%s: %w%s", h, err, said(out))
	}
	return nil
}

func (h hookRun) String() string {
	return fmt.Sprintf("hooks.%s[%d] (%s)", h.hook.Kind, h.hook.Index, h.hook.Path)
}

func (h hookRun) execute(in, out int) error {
	stdio := [3]uintptr{uintptr(in), uintptr(out), uintptr(out)}
	var pid, pidfd int
	if h.join == nil {
		pidfd = -1
		if err := kernel.KeepFromChildren(); err != nil {
			return fmt.Errorf("cannot close the caller's descriptors for it: %w", err)
		}
		p, err := syscall.ForkExec(h.hook.Path, h.args(), &syscall.ProcAttr{Dir: h.workingDir(), Env: h.hook.Env, Files: stdio[:],
			Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd, Pdeathsig: syscall.SIGKILL}})
		if err != nil {
			return err
		}
		pid = p
	} else {
		p, err := h.join.start(h.hook, stdio)
		if err != nil {
			return err
		}
		answer := func(m program.Message) error { return h.join.answer(p, m) }
		if err = p.Serve(answer); err == nil {
			err = p.Finish(answer)
		}
		if err != nil {
			p.Kill()
			p.Close()
			return err
		}
		defer p.Close()
		pid, pidfd = p.Pid, p.Pidfd
	}
	return h.await(pid, pidfd)
}

// workingDir is the bundle or, where that has gone since create, the root: the hooks after start and after delete are due all the same.
func (h hookRun) workingDir() string {
	if st, err := os.Stat(h.dir); err != nil || !st.IsDir() {
		return "/"
	}
	return h.dir
}

func (j *joinedHooks) start(h *spec.Hook, stdio [3]uintptr) (*launch.Process, error) {
	o := launch.Options{Stdio: stdio, CgroupFD: -1, StartFD: -1, InitFD: j.pidfd}
	if j.group != "" {
		fd, err := syscall.Open(j.group, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot open cgroup %q: %w", j.group, err)
		}
		defer syscall.Close(fd)
		o.CgroupFD = fd
	}
	return launch.Start(j.plan(h), o)
}

func (h hookRun) args() []string {
	if len(h.hook.Args) == 0 {
		return []string{h.hook.Path}
	}
	return h.hook.Args
}

func (h hookRun) await(pid, pidfd int) error {
	if h.join == nil {
		defer syscall.Close(pidfd)
	}
	limit := -1
	if h.hook.Timeout > 0 {
		limit = int(h.hook.Timeout / time.Millisecond)
	}
	ended, err := kernel.PidfdWait(pidfd, limit)
	if err != nil || !ended {
		syscall.Kill(-pid, syscall.SIGKILL)
	}
	ws, waitErr := launch.Reap(pid)
	switch {
	case err != nil:
		return err
	case !ended:
		return fmt.Errorf("did not end within %s", h.hook.Timeout)
	case waitErr != nil:
		return waitErr
	case ws != 0:
		return fmt.Errorf("exit status %d", ws)
	}
	return nil
}

// said is the end of what a hook printed, for its error.
func said(out int) string {
	const most = 1024
	text := strings.TrimSpace(kernel.MemoryTail(out, most))
	if text == "" {
		return ""
	}
	return fmt.Sprintf(": %q", text)
}

// createHooks runs, in this order, prestart and createRuntime in the runtime's namespaces and createContainer in the
// container's (runtime.md, "Lifecycle").
func (c *creation) createHooks() error {
	if err := c.save(); err != nil { // for hooks that ask for the state
		return err
	}
	state, err := stateOf(c.state)
	if err != nil {
		return err
	}
	state.ID, state.Status = c.id, Creating
	for _, list := range [][]spec.Hook{c.spec.Hooks.Prestart, c.spec.Hooks.CreateRuntime} {
		if err := runHooks(list, state, c.spec.Bundle, nil); err != nil {
			return err
		}
	}
	in := plan.ExecInputs{Inputs: plan.Inputs{ID: c.id, Host: c.host}, Kinds: c.kinds()}
	state.Pid = innerPid(state.Pid)
	planned := func(h *spec.Hook) *plan.Plan { return plan.JoinHook(h, in) }
	none := func(*launch.Process, program.Message) error { return nil }
	return runHooks(c.spec.Hooks.CreateContainer, state, c.spec.Bundle, &joinedHooks{planned, "", none, c.process.Pidfd})
}

// innerPid is the pid that the container's own PID namespace has for a process: what hooks inside are told (runtime.md,
// "State").
func innerPid(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return pid
	}
	for _, line := range strings.Split(string(b), "\n") {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			if list := strings.Fields(numbers); len(list) > 0 {
				if n, err := strconv.Atoi(list[len(list)-1]); err == nil {
					return n
				}
			}
		}
	}
	return pid
}

// errHook marks the failure of a hook: after it the poststop hooks are due, even though the container was never made
// (runtime.md, "Lifecycle").
type errHook struct{ error }

func (e errHook) Unwrap() error { return e.error }

func runHooks(list []spec.Hook, state State, dir string, join *joinedHooks) error {
	for i := range list {
		if err := (hookRun{hook: &list[i], state: state, dir: dir, join: join}).run(); err != nil {
			return errHook{err}
		}
	}
	return nil
}

// lateHooks are the hooks of later commands, kept in the state since the bundle may change.
type lateHooks struct {
	StartContainer, Poststart, Poststop []spec.Hook
}

const hooksKey = "hooks"

func (c *creation) lateHooks() (json.RawMessage, error) {
	h := lateHooks{c.spec.Hooks.StartContainer, c.spec.Hooks.Poststart, c.spec.Hooks.Poststop}
	if len(h.StartContainer)+len(h.Poststart)+len(h.Poststop) == 0 {
		return nil, nil
	}
	return json.Marshal(h)
}

func savedHooks(s store.State) (h lateHooks, err error) {
	if s.Extra[hooksKey] == nil {
		return h, nil
	}
	if err := json.Unmarshal(s.Extra[hooksKey], &h); err != nil {
		return h, fmt.Errorf("cannot read the saved hooks: %w", err)
	}
	return h, nil
}

// startContainerHooks run in the container's namespaces before the program. A failure stops and deletes the container
// (runtime.md, "Lifecycle").
func (r *Runtime) startContainerHooks(e *store.Entry, s store.State) error {
	h, err := savedHooks(s)
	if err != nil || len(h.StartContainer) == 0 {
		return err
	}
	pidfd, err := openAlive(s.Init)
	if err != nil {
		return err
	}
	defer syscall.Close(pidfd)
	state, err := stateOf(s)
	if err != nil {
		return err
	}
	state.Status, state.Pid = Created, innerPid(state.Pid)
	join, err := r.confined(e, s, pidfd)
	if err != nil {
		return err
	}
	if err := runHooks(h.StartContainer, state, s.Bundle, join); err != nil {
		return r.abandon(e, s, err)
	}
	return nil
}

// confined runs hooks within the bounds of the container's process, since the image says what they are.
func (r *Runtime) confined(e *store.Entry, s store.State, pidfd int) (*joinedHooks, error) {
	x := &execution{Runtime: r, host: r.machine(), state: s}
	var err error
	if x.raw, err = configOf(e); err != nil {
		return nil, err
	}
	if x.group, err = cgroup.Open(s.Cgroup); err != nil {
		return nil, err
	}
	if x.raw.Process == nil {
		return nil, errNoProcess
	}
	process, err := spec.ResolveProcess(x.raw.Process)
	if err != nil {
		return nil, err
	}
	if err := x.group.Approach(); err != nil {
		return nil, err
	}
	join := x.group.Join()
	in, err := x.inputs(join)
	if err != nil {
		return nil, err
	}
	answer := func(p *launch.Process, m program.Message) error {
		switch m.Barrier {
		case plan.BarrierLimits:
			return raiseLimits(p.Pid, process.Rlimits)
		case plan.BarrierListen:
			return handOver(m, s, p.Pid, p.Pidfd, specs.StateCreated)
		}
		return fmt.Errorf("the hook's process waits for %q, which is unknown", m.Barrier)
	}
	planned := func(h *spec.Hook) *plan.Plan { return plan.Confine(h, process, in) }
	return &joinedHooks{planned, join.CloneInto, answer, pidfd}, nil
}

// poststart hooks run once the program does. A failure stops and deletes the container.
func (r *Runtime) poststart(e *store.Entry, s store.State) error {
	h, err := savedHooks(s)
	if err != nil || len(h.Poststart) == 0 {
		return err
	}
	state, err := stateOf(s)
	if err != nil {
		return err
	}
	state.Pid, state.Status = s.Init.Pid, Running // as it was started, even if a short program has ended since
	if err := runHooks(h.Poststart, state, s.Bundle, nil); err != nil {
		return r.abandon(e, s, err)
	}
	return nil
}

// abandon ends and removes a container whose hook failed.
func (r *Runtime) abandon(e *store.Entry, s store.State, cause error) error {
	err := endAll(s)
	if err == nil {
		err = r.remove(e, s)
	}
	if err != nil {
		r.warn(fmt.Sprintf("cannot remove container %q after that: %v", s.ID, err))
	}
	return cause
}

// poststop hooks run after everything is gone. One that fails is a warning, and the others still run.
func (r *Runtime) poststop(s store.State) {
	h, err := savedHooks(s)
	if err != nil {
		r.warn(err.Error())
	}
	state := State{OCIVersion: s.OCIVersion, ID: s.ID, Status: Stopped, Bundle: s.Bundle, Rootfs: s.Rootfs, Created: s.Created,
		Annotations: s.Annotations, Owner: owner(s.Owner)}
	for i := range h.Poststop {
		if err := (hookRun{hook: &h.Poststop[i], state: state, dir: s.Bundle}).run(); err != nil {
			r.warn(err.Error())
		}
	}
}
