package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// Create plans the first process of a container. Its errors name the JSON path that cannot be honoured.
func Create(s *spec.Spec, in Inputs) (*Plan, error) {
	p := &Plan{ID: in.ID, Host: in.Host, Preserve: in.Preserve}
	c := &creation{Plan: p, spec: s, in: in}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.pass()
	c.enter()
	c.attributes()
	if c.own(spec.MountNS) {
		c.root()
	} else {
		c.chroot()
	}
	c.finish()
	return p, nil
}

// creation is a plan in the making.
type creation struct {
	*Plan
	spec  *spec.Spec
	in    Inputs
	trees int
}

func (c *creation) add(steps ...Step) { c.Steps = append(c.Steps, steps...) }

func (c *creation) own(k spec.Kind) bool { return c.spec.Linux.Namespaces[k].Own() }

func (c *creation) new(k spec.Kind) bool { return c.spec.Linux.Namespaces[k].New }

// userMapped says that the process lives in a user namespace of its own, where it may neither make device nodes nor reach
// what only the host's root can.
func (c *creation) userMapped() bool { return c.own(spec.UserNS) }

func (c *creation) check() error {
	if c.own(spec.MountNS) {
		return nil
	}
	l := &c.spec.Linux
	for _, f := range []struct {
		path  string
		given bool
	}{
		{"mounts", len(c.spec.Mounts) > 0}, {"linux.maskedPaths", len(l.MaskedPaths) > 0},
		{"linux.readonlyPaths", len(l.ReadonlyPaths) > 0}, {"linux.devices", len(l.Devices) > 0},
		{"root.readonly", c.spec.Root.Readonly}, {"linux.rootfsPropagation", l.RootfsPropagation != 0},
	} {
		if f.given {
			return fmt.Errorf("%s: needs a mount namespace, or it would change the host's mounts\nhint: add {\"type\": \"mount\"} to linux.namespaces", f.path)
		}
	}
	return nil
}

// pass lists the descriptors that the process is handed, in the order of their numbers.
func (c *creation) pass() {
	c.Pass = append(c.Pass, Pass{Kind: PassSync})
	if !c.in.AtOnce {
		c.Pass = append(c.Pass, Pass{Kind: PassStart})
	}
	for _, t := range c.in.Tasks {
		c.Pass = append(c.Pass, Pass{Kind: PassTasks, Path: t})
	}
	for k, n := range c.spec.Linux.Namespaces {
		if n.Path != "" {
			c.Pass = append(c.Pass, Pass{Kind: PassNamespace, Path: n.Path, Namespace: spec.Kind(k)})
		}
	}
}

// passTree hands over a detached copy of a host path, for a process whose user namespace may not reach it. A rootless runtime
// cannot make one, but what it may reach its container may too.
func (c *creation) passTree(source string, recursive bool) int {
	if !c.userMapped() || c.Host.Rootless || !c.Host.Features.NewMount {
		return -1
	}
	c.Pass = append(c.Pass, Pass{Kind: PassTree, Path: source, Recursive: recursive})
	c.trees++
	return c.trees - 1
}

// enter plans cgroups and namespaces. A namespace is made by clone where that is possible. It is not for the cgroup
// namespace, whose root is the cgroup at the moment of its making; for the time namespace, which clone(2) cannot make in the
// child; and for those that must belong to a user namespace joined by path.
func (c *creation) enter() {
	c.add(Harden{}, TakeSignals{})
	for _, t := range c.in.Tasks {
		c.add(JoinCgroup{t})
	}
	joinedUser := c.spec.Linux.Namespaces[spec.UserNS].Path != ""
	for k, n := range c.spec.Linux.Namespaces {
		if n.Path != "" {
			c.add(JoinNamespace{spec.Kind(k), n.Path})
		}
	}
	if c.userMapped() && joinedUser {
		c.add(BecomeRoot{})
	}
	var late []spec.Kind
	for k, n := range c.spec.Linux.Namespaces {
		switch kind := spec.Kind(k); {
		case !n.New:
		case kind == spec.CgroupNS, kind == spec.TimeNS, joinedUser:
			late = append(late, kind)
		default:
			c.Clone = append(c.Clone, kind)
		}
	}
	if c.new(spec.UserNS) {
		c.UIDs, c.GIDs = c.spec.Linux.UIDMappings, c.spec.Linux.GIDMappings
		c.add(BecomeRoot{})
	}
	c.unshare(late)
	c.add(NewSession{})
	if !c.in.NoNewKeyring {
		c.add(Keyring{"_ses." + c.in.ID})
	}
	if c.new(spec.NetworkNS) {
		c.add(Loopback{})
	}
	if len(c.spec.Linux.NetDevices) > 0 {
		c.add(Barrier{Name: BarrierDevices})
	}
}

func (c *creation) unshare(late []spec.Kind) {
	for _, k := range late {
		c.add(Unshare{k})
		if k == spec.TimeNS && len(c.spec.Linux.TimeOffsets) > 0 {
			c.add(Barrier{Name: BarrierTime})
		}
		if k == spec.TimeNS {
			c.add(EnterTime{})
		}
	}
	if slices.Contains(late, spec.PIDNS) || c.spec.Linux.Namespaces[spec.PIDNS].Path != "" {
		c.add(Fork{}, Barrier{Name: BarrierForked})
	}
}

// attributes plans what is set through the runtime's own /proc, while it is still in sight: a proc in the root filesystem
// may be anything (CVE-2019-16884, CVE-2025-52881).
func (c *creation) attributes() {
	for _, s := range c.spec.Linux.Sysctl {
		c.add(Sysctl{s})
	}
	if c.spec.Hostname != "" {
		c.add(SetHostname{c.spec.Hostname})
	}
	if c.spec.Domainname != "" {
		c.add(SetDomainname{c.spec.Domainname})
	}
	c.memoryPolicy(&c.spec.Linux)
	if c.spec.HasProcess {
		c.label(&c.spec.Process)
	}
}

func (p *Plan) memoryPolicy(l *spec.Linux) {
	if l.HasMemoryPolicy {
		p.Steps = append(p.Steps, SetMemoryPolicy{l.MemoryPolicy})
	}
}

func (p *Plan) personality(l *spec.Linux) {
	if l.HasPersonality {
		p.Steps = append(p.Steps, SetPersonality{l.Personality})
	}
}

// label asks for the process's labels. A process that is to be unconfined is so where there is no AppArmor.
func (p *Plan) label(process *spec.Process) {
	if process.ApparmorProfile != "" && (p.Host.LSM.Apparmor || process.ApparmorProfile != "unconfined") {
		p.Steps = append(p.Steps, Label{"apparmor", process.ApparmorProfile})
	}
	if process.SelinuxLabel != "" {
		p.Steps = append(p.Steps, Label{"selinux", process.SelinuxLabel})
	}
}

// root plans the container's view of the filesystem.
func (c *creation) root() {
	c.add(SetPropagation{hostPropagation(c.spec.Linux.RootfsPropagation)})
	f := c.spec.Linux.RootfsPropagation
	root := OpenRoot{Path: c.spec.Root.Path, Tree: c.passTree(c.spec.Root.Path, true), Private: f != 0 && f&spec.MS_SLAVE == 0}
	c.add(root)
	for _, m := range c.spec.Mounts {
		c.mount(m)
	}
	c.devices()
	h := &c.spec.Hooks
	if len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0 {
		c.add(Barrier{Name: BarrierHooks})
	}
	if c.spec.HasProcess && c.spec.Process.Cwd != "/" {
		c.add(MakeCwd{c.spec.Process.Cwd})
	}
	if c.spec.Root.Readonly {
		c.add(ProtectRoot{})
	}
	for _, p := range c.spec.Linux.ReadonlyPaths {
		c.add(Protect{p})
	}
	for _, p := range c.spec.Linux.MaskedPaths {
		c.add(Mask{p})
	}
	c.add(Pivot{Move: c.in.NoPivot})
	if f := c.spec.Linux.RootfsPropagation; f != 0 {
		c.add(RootPropagation{f})
	}
}

// hostPropagation is what becomes of the mounts that the new namespace was copied with: slaves, so that nothing the
// container mounts appears on the host, or private where the config wants to see nothing of the host's either.
func hostPropagation(root uintptr) uintptr {
	if root&spec.MS_PRIVATE != 0 {
		return spec.MS_PRIVATE | spec.MS_REC
	}
	return spec.MS_SLAVE | spec.MS_REC
}

func (c *creation) chroot() {
	h := &c.spec.Hooks
	if len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0 {
		c.add(Barrier{Name: BarrierHooks})
	}
	c.terminal(false, false) // of the host's devpts, which is the container's too
	c.add(Chroot{c.spec.Root.Path})
}

func (c *creation) mount(m spec.Mount) {
	switch {
	case m.Flags&spec.MS_REMOUNT != 0:
		c.add(Remount{m})
	case m.IsBind:
		c.add(Bind{Mount: m, Source: c.in.Sources[m.Index], Tree: c.passTree(m.Source, m.Recursive)})
	case m.Type == "cgroup":
		for _, v := range c.in.CgroupViews[m.Index] {
			c.cgroup(v)
		}
	default:
		c.add(MountFS{labelled(m, c.spec.Linux.MountLabel)})
	}
}

// labelled gives a mount's files linux.mountLabel. Filesystems in which the policy labels each file by its name take no context; a bind
// mount's files have labels of their own, and a label in the mount's options is its author's choice.
func labelled(m spec.Mount, label string) spec.Mount {
	ruled := map[string]bool{"proc": true, "sysfs": true, "mqueue": true, "cgroup2": true, "selinuxfs": true}
	if label == "" || ruled[m.Type] || strings.Contains(m.Data, "context=") {
		return m
	}
	context := `context="` + label + `"` // quotes, since a label has commas
	m.Options = append(slices.Clone(m.Options), context)
	if m.Data != "" {
		context = m.Data + "," + context
	}
	m.Data = context
	return m
}

func (c *creation) cgroup(v View) {
	switch {
	case v.Link != "":
		c.add(Symlink{v.Link, v.Destination})
	case v.Flags&spec.MS_REMOUNT != 0:
		c.add(Remount{v.Mount})
	case v.IsBind:
		c.add(Bind{Mount: v.Mount, Source: Source{Dir: true}, Tree: c.passTree(v.Source, v.Recursive)})
	default:
		c.add(MountFS{v.Mount})
	}
}

// defaultDevices must be there whatever the config says (config-linux.md, "Default Devices").
var defaultDevices = []spec.Device{
	{Path: "/dev/null", Type: 'c', Major: 1, Minor: 3, Mode: 0666},
	{Path: "/dev/zero", Type: 'c', Major: 1, Minor: 5, Mode: 0666},
	{Path: "/dev/full", Type: 'c', Major: 1, Minor: 7, Mode: 0666},
	{Path: "/dev/random", Type: 'c', Major: 1, Minor: 8, Mode: 0666},
	{Path: "/dev/urandom", Type: 'c', Major: 1, Minor: 9, Mode: 0666},
	{Path: "/dev/tty", Type: 'c', Major: 5, Minor: 0, Mode: 0666},
}

func (c *creation) devices() {
	bound := c.boundDev()
	if !bound {
		c.ownDevices()
	}
	c.terminal(true, !bound)
}

// terminal plans the terminal, if there is to be one.
func (c *creation) terminal(bind, create bool) {
	if p := &c.spec.Process; c.spec.HasProcess && p.Terminal {
		c.add(Console{UID: p.User.UID, GID: p.User.GID, Width: p.ConsoleWidth, Height: p.ConsoleHeight, Bind: bind, Make: create})
	}
}

func (c *creation) ownDevices() {
	for _, d := range c.deviceList() {
		c.add(Device{d, c.userMapped()})
	}
	for _, l := range []Symlink{
		{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"},
	} {
		c.add(l)
	}
}

// boundDev says that the host's /dev is the container's: nothing may be made there.
func (c *creation) boundDev() bool {
	for _, m := range c.spec.Mounts {
		if m.Destination == "/dev" && m.IsBind {
			return true
		}
	}
	return false
}

// deviceList is the default devices, each replaced by the config's where that lists the same path, and the others after.
func (c *creation) deviceList() []spec.Device {
	given := c.spec.Linux.Devices
	listed := func(p string) bool {
		return slices.ContainsFunc(given, func(d spec.Device) bool { return d.Path == p })
	}
	var all []spec.Device
	for _, d := range defaultDevices {
		if !listed(d.Path) {
			all = append(all, d)
		}
	}
	return append(all, given...)
}

// finish plans the process itself. Capabilities and the filter come last, since the steps before need what they take
// away; without no_new_privs installing a filter needs CAP_SYS_ADMIN, so there it comes before the capabilities go.
func (c *creation) finish() {
	s := c.spec
	if s.HasProcess {
		p := &s.Process
		c.personality(&c.spec.Linux)
		if c.userMapped() && len(p.Rlimits) > 0 {
			c.add(Barrier{Name: BarrierLimits})
		}
		c.identity(p, c.in)
		if c.in.ListenFDs > 0 && !c.new(spec.PIDNS) {
			c.in.askPid = true
			c.add(Barrier{Name: BarrierPid})
		}
	}
	c.add(Barrier{Name: BarrierReady})
	if !c.in.AtOnce {
		c.add(AwaitStart{})
	}
	if s.HasProcess {
		c.last(&s.Process, c.in)
	}
}

// identity plans limits, priorities and ids.
func (p *Plan) identity(process *spec.Process, in Inputs) {
	add := func(steps ...Step) { p.Steps = append(p.Steps, steps...) }
	for _, r := range process.Rlimits {
		add(SetRlimit{EarlyLimit(r)})
	}
	if process.HasScheduler {
		add(SetScheduler{process.Scheduler})
	}
	if process.HasIOPriority {
		add(SetIOPriority{process.IOPriority})
	}
	if process.NoNewPrivileges {
		add(NoNewPrivileges{})
	}
	add(LimitCapabilities{process.Capabilities.Bounding & in.Grantable, p.Host.LastCap})
	add(Chdir{Path: process.Cwd})
	add(SetUser{User: process.User})
	add(Chdir{Path: process.Cwd, Again: true})
	add(FindProgram{process.Args[0], candidates(process)})
}

// last plans what comes after start.
func (p *Plan) last(process *spec.Process, in Inputs) {
	add := func(steps ...Step) { p.Steps = append(p.Steps, steps...) }
	for _, r := range process.Rlimits {
		if r != EarlyLimit(r) {
			add(SetRlimit{r})
		}
	}
	filter := Seccomp{Program: in.Filter, Flags: in.FilterFlags, Listen: in.Listener}
	if len(in.Filter) > 0 && !process.NoNewPrivileges {
		add(filter)
	}
	add(SetCapabilities{grant(process.Capabilities, in.Grantable)})
	if len(in.Filter) > 0 && process.NoNewPrivileges {
		add(filter)
	}
	add(Exec{Name: process.Args[0], Candidates: candidates(process), Args: process.Args, Env: environment(process, in)})
}

const (
	rlimitNofile = 7
	enoughFiles  = 256 // descriptors that setting up may need
)

// EarlyLimit is the limit to set while there is the right to raise it: the limit itself, but with descriptors enough to go
// on until start.
func EarlyLimit(r spec.Rlimit) spec.Rlimit {
	if r.Resource == rlimitNofile {
		r.Soft, r.Hard = max(r.Soft, enoughFiles), max(r.Hard, enoughFiles)
	}
	return r
}

// grant leaves out what the process cannot be given: capabilities that the runtime lacks itself are no error (config.md,
// "capabilities").
func grant(c spec.Capabilities, grantable uint64) spec.Capabilities {
	c.Effective &= grantable
	c.Permitted &= grantable
	c.Effective &= c.Permitted
	c.Inheritable &= grantable
	c.Ambient &= c.Permitted & c.Inheritable
	return c
}

// ListenPid begins the variable that says whom a service manager's descriptors are meant for (sd_listen_fds(3)). Nothing but this
// stands for the pid that the runtime tells at [BarrierPid].
const ListenPid = "LISTEN_PID="

// environment is the config's, completed by HOME and by what a service manager's descriptors need.
func environment(process *spec.Process, in Inputs) []string {
	env := process.Env
	if in.Home != "" && !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		env = append(slices.Clone(env), "HOME="+in.Home)
	}
	if in.ListenFDs > 0 {
		pid := ListenPid + "1" // of the first process of a new PID namespace
		if in.askPid {
			pid = ListenPid
		}
		env = append(slices.Clone(env), fmt.Sprintf("LISTEN_FDS=%d", in.ListenFDs), pid)
	}
	return env
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// candidates are the paths at which the program may be: its own where the name has a slash, else one per entry of the
// container's PATH (execvp(3)); an empty entry is the working directory.
func candidates(process *spec.Process) []string {
	name := process.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	search := defaultPath
	for _, e := range process.Env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	var all []string
	for _, dir := range strings.Split(search, ":") {
		if dir == "" {
			dir = "."
		}
		all = append(all, path.Join(dir, name))
	}
	return all
}
