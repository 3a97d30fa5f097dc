package container

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/store"
)

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

// execution is a further process of a container.
type execution struct {
	*Runtime
	host    host.Host
	state   store.State
	group   *cgroup.Group
	raw     *specs.Spec
	process spec.Process
	options ExecOptions
	console func(master int) error
	letting func() error // is called right before the program is let go; nil: nothing is
	stub    *launch.Process
}

// Exec runs another process in the container and returns its exit status, or 0 once a detached one runs.
func (r *Runtime) Exec(id string, o ExecOptions) (int, error) {
	st, err := store.Open(r.Root)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	entry, err := st.Lookup(id)
	if err != nil {
		return 0, err
	}
	defer entry.Close()
	x := &execution{Runtime: r, host: r.machine(), options: o}
	if x.state, err = entry.Load(); err != nil {
		return 0, err
	}
	if x.raw, err = configOf(entry); err != nil {
		return 0, err
	}
	if err := x.decide(); err != nil {
		return 0, err
	}
	return x.run()
}

// configOf is the config that the container was created from: the bundle's may have changed, and a further process must not escape the
// filter of the first by that.
func configOf(e *store.Entry) (*specs.Spec, error) {
	text, err := e.Config()
	if err != nil {
		return nil, err
	}
	raw, _, err := spec.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot understand the config that container %q was created from: %w", e.ID(), err)
	}
	return raw, nil
}

// decide makes the process from the container's own config and the flags.
func (x *execution) decide() error {
	switch status, err := statusOf(x.state); {
	case err != nil:
		return err
	case status == Stopped || status == Creating:
		return fmt.Errorf("cannot exec in a %s container: %w", status, ErrNotRunning)
	case status == Paused && !x.options.IgnorePaused:
		return errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	}
	process, err := x.wanted()
	if err != nil {
		return err
	}
	if len(process.Args) == 0 {
		return errors.New("cannot exec: no program is given")
	}
	found := spec.ValidateProcess(process, x.raw, x.host)
	if err := spec.Refusal(found); err != nil {
		return fmt.Errorf("cannot exec: %w", err)
	}
	for _, f := range found {
		if x.options.Process != nil || len(x.options.Caps) > 0 { // else create has warned of it
			x.warn(f.String())
		}
	}
	if x.process, err = spec.ResolveProcess(process); err != nil {
		return err
	}
	x.group, err = cgroup.Open(x.state.Cgroup)
	return err
}

// wanted is the process that the flags describe, on top of the container's own.
func (x *execution) wanted() (*specs.Process, error) {
	o := &x.options
	if o.Process != nil {
		return spec.ParseProcess(string(o.Process))
	}
	var p specs.Process
	if x.raw.Process != nil {
		p = *x.raw.Process
	}
	p.Args, p.Terminal, p.ConsoleSize = o.Args, o.TTY, nil
	p.Env = overridden(p.Env, o.Env)
	p.NoNewPrivileges = p.NoNewPrivileges || o.NoNewPrivs
	for flag, field := range map[*string]*string{&o.Cwd: &p.Cwd, &o.Apparmor: &p.ApparmorProfile, &o.ProcessLabel: &p.SelinuxLabel} {
		if *flag != "" {
			*field = *flag
		}
	}
	if p.Cwd == "" {
		p.Cwd = "/"
	}
	p.User.AdditionalGids = append(append([]uint32(nil), p.User.AdditionalGids...), o.AdditionalGids...)
	addCapabilities(&p, o.Caps)
	return &p, setUser(&p.User, o.User)
}

// overridden is an environment in which more replaces what has the same name: getenv(3) finds the first of two.
func overridden(env, more []string) []string {
	name := func(variable string) string { n, _, _ := strings.Cut(variable, "="); return n }
	env = slices.DeleteFunc(slices.Clone(env), func(old string) bool {
		return slices.ContainsFunc(more, func(e string) bool { return name(e) == name(old) })
	})
	return append(env, more...)
}

// addCapabilities gives more than the container's process has. The inheritable set stays as it is: a program with file
// capabilities must not gain from it (CVE-2022-29162).
func addCapabilities(p *specs.Process, names []string) {
	if len(names) == 0 {
		return
	}
	var c specs.LinuxCapabilities
	if p.Capabilities != nil {
		c = *p.Capabilities
	}
	for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted} {
		*set = append(append([]string(nil), *set...), names...)
	}
	p.Capabilities = &c
}

// setUser reads UID[:GID]: digits only, so that a name that looks like a number is not taken for one (CVE-2016-3697).
func setUser(u *specs.User, text string) error {
	if text == "" {
		return nil
	}
	uid, gid, both := strings.Cut(text, ":")
	ids := []struct {
		text string
		to   *uint32
	}{{uid, &u.UID}}
	if both {
		ids = append(ids, struct {
			text string
			to   *uint32
		}{gid, &u.GID})
	}
	for _, id := range ids {
		n, err := strconv.ParseUint(id.text, 10, 32)
		if err != nil || n == 1<<32-1 || strings.ContainsAny(id.text, "+-_ ") {
			return fmt.Errorf("cannot use --user %q: it must be UID or UID:GID, each a number from 0 to 4294967294", text)
		}
		*id.to = uint32(n)
	}
	return nil
}

func (x *execution) run() (int, error) {
	var t terminal
	x.console = sendConsole(x.options.ConsoleSocket)
	switch {
	case !x.process.Terminal && x.options.ConsoleSocket != "":
		return 0, errors.New("cannot use --console-socket: the process has no terminal")
	case x.process.Terminal && x.options.ConsoleSocket == "" && x.options.Detach:
		return 0, errors.New("cannot detach a process with a terminal: there is no --console-socket to send it to")
	case x.options.ConsoleSocket == "":
		x.console = t.take
	}
	defer t.release()
	if !x.options.Detach {
		x.letting = t.catch
	}
	if err := x.start(); err != nil {
		t.close()
		return 0, err
	}
	defer x.stub.Close()
	if x.options.Detach {
		return 0, nil
	}
	return t.attend(x.stub)
}

// start launches the process and sees it through to its execve.
func (x *execution) start() error {
	pidfd, err := openAlive(x.state.Init)
	if err != nil {
		return err
	}
	defer syscall.Close(pidfd)
	join, err := x.join()
	if err != nil {
		return err
	}
	if err := x.group.Approach(); err != nil {
		return err
	}
	in, err := x.inputs(join)
	if err != nil {
		return err
	}
	o := launch.Options{Stdio: x.options.Stdio.fds(), CgroupFD: -1, StartFD: -1, InitFD: pidfd, Edit: x.edit}
	if dir := join.CloneInto; dir != "" {
		if o.CgroupFD, err = syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("cannot open cgroup %q: %w", dir, err)
		}
		defer syscall.Close(o.CgroupFD)
	}
	if x.stub, err = launch.Start(plan.Join(&x.process, in), o); err != nil {
		return err
	}
	if err := x.serve(); err != nil {
		x.stub.Kill()
		x.stub.Close()
		return err
	}
	return nil
}

func (x *execution) serve() error {
	if err := x.stub.Serve(x.answer); err != nil {
		return err
	}
	if err := x.adjustOOM(&x.process, x.stub.Pid, x.host.Rootless); err != nil {
		return err
	}
	if err := joinResctrl(x.state, x.stub.Pid); err != nil {
		return err
	}
	if p := x.options.PidFile; p != "" {
		if err := writePidFile(p, x.stub.Pid); err != nil {
			return err
		}
	}
	if p := x.options.PidfdSocket; p != "" {
		if err := kernel.SendFD(p, []byte("pidfd"), x.stub.Pidfd); err != nil {
			return err
		}
	}
	if x.letting != nil {
		if err := x.letting(); err != nil {
			return err
		}
	}
	return x.stub.Finish(x.answer)
}

func (x *execution) answer(m program.Message) error {
	switch m.Barrier {
	case plan.BarrierConsole:
		master, err := x.stub.Take(m.Value)
		if err != nil {
			return err
		}
		return x.console(master)
	case plan.BarrierLimits:
		return raiseLimits(x.stub.Pid, x.process.Rlimits)
	case plan.BarrierListen:
		return x.handListener(m)
	}
	return fmt.Errorf("the process waits for %q, which is unknown", m.Barrier)
}

func (x *execution) inputs(join cgroup.Join) (plan.ExecInputs, error) {
	in := plan.ExecInputs{Inputs: plan.Inputs{ID: x.state.ID, Host: x.host, Preserve: x.options.PreserveFDs,
		Grantable: ^uint64(0), Home: home("/proc/"+strconv.Itoa(x.state.Init.Pid)+"/root", x.process.User.UID)}}
	var err error
	if in.Kinds, err = joinableKinds(x.state); err != nil {
		return in, err
	}
	if !x.state.NoNewKeyring {
		in.Session = "_ses." + x.state.ID
	}
	if _, own := x.state.Namespaces[spec.UserNS.String()]; !own {
		permitted, bounding, err := kernel.Capabilities(x.host.LastCap)
		if err != nil {
			return in, fmt.Errorf("cannot read the own capabilities: %w", err)
		}
		in.Grantable = permitted & bounding
	}
	resolved, err := spec.Resolve(x.raw, x.state.Bundle)
	if err != nil {
		return in, err
	}
	in.Linux = &resolved.Linux
	if x.raw.Linux != nil {
		if _, err := addFilter(&in.Inputs, x.raw.Linux.Seccomp, x.host); err != nil {
			return in, err
		}
	}
	in.Tasks = join.Tasks
	return in, nil
}

// join is where the process goes: into the container's groups or, with --cgroup, into groups that are below them already.
func (x *execution) join() (cgroup.Join, error) {
	join := x.group.Join()
	for i, file := range join.Tasks { // tasks, or cgroup.procs
		dir, err := x.subgroup(filepath.Dir(file))
		if err != nil {
			return join, err
		}
		join.Tasks[i] = filepath.Join(dir, filepath.Base(file))
	}
	if join.CloneInto == "" {
		return join, nil
	}
	var err error
	join.CloneInto, err = x.subgroup(join.CloneInto)
	return join, err
}

// subgroup applies --cgroup [CONTROLLER[,CONTROLLER...]:]PATH to one of the container's directories. The path counts from the
// container's group; without controllers it is that in all hierarchies.
func (x *execution) subgroup(dir string) (string, error) {
	for _, option := range x.options.Cgroup {
		controllers, sub, named := strings.Cut(option, ":")
		if !named {
			controllers, sub = "", option
		}
		if controllers != "" && !x.has(dir, controllers) {
			continue
		}
		joined := filepath.Join(dir, sub)
		if joined != dir && !strings.HasPrefix(joined, dir+"/") {
			return "", fmt.Errorf("cannot use --cgroup %q: it leads out of the container's cgroup", option)
		}
		if err := syscall.Access(joined, 0); err != nil {
			return "", fmt.Errorf("cannot use --cgroup %q: there is no cgroup %s: %w", option, joined, err)
		}
		return joined, nil
	}
	return dir, nil
}

// has says that all of the controllers are in the hierarchy of the directory.
func (x *execution) has(dir, controllers string) bool {
	for name := range strings.SplitSeq(controllers, ",") {
		if d, ok := x.group.Dir(name); !ok || d.Path != dir {
			return false
		}
	}
	return true
}
