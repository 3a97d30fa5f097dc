package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/spec"
)

// decision is everything that a create will do, decided before anything is done.
type decision struct {
	host   host.Host
	spec   spec.Spec
	layout cgroup.Layout
	plan   *plan.Plan
	notify bool // the container has a folder for a notify socket
}

// decide reads the bundle and the machine and changes neither.
func (r *Runtime) decide(id string, o CreateOptions, atOnce bool) (d decision, err error) {
	d.host = r.machine()
	var found []spec.Finding
	d.spec, found, err = spec.Open(o.Bundle, d.host)
	if err != nil {
		return d, err
	}
	for _, f := range found {
		if f.Warning {
			r.warn(f.String())
		}
	}
	config := filepath.Join(d.spec.Bundle, "config.json")
	if err := d.check(o); err != nil {
		return d, err
	}
	if err := d.decideCgroup(r, id); err != nil {
		return d, fmt.Errorf("%s: %w", config, err)
	}
	in, err := d.inputs(id, o, atOnce)
	if err != nil {
		return d, err
	}
	d.addNotify(r, id, &in)
	unknown, err := addFilter(&in, d.spec.Linux.Seccomp, d.host)
	if err != nil {
		return d, fmt.Errorf("%s: %w", config, err)
	}
	r.warnUnknown(unknown)
	if d.plan, err = plan.Create(&d.spec, in); err != nil {
		return d, fmt.Errorf("%s: %w", config, err)
	}
	return d, nil
}

// check compares the flags with the config.
func (d *decision) check(o CreateOptions) error {
	terminal := d.spec.HasProcess && d.spec.Process.Terminal
	if terminal && o.ConsoleSocket == "" && !o.ownTerminal {
		return errors.New("cannot create a container with a terminal: process.terminal is true and there is no --console-socket to send it to")
	}
	if !terminal && o.ConsoleSocket != "" {
		return errors.New("cannot use --console-socket: process.terminal is not true")
	}
	st, err := os.Stat(d.spec.Root.Path)
	if err == nil && !st.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return fmt.Errorf("root.path: cannot use %q: %w", d.spec.Root.Path, unwrap(err))
	}
	return nil
}

// unwrap gives the cause without the call and the path that os puts before it.
func unwrap(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// decideCgroup says where the container's cgroup will be. The owner that it is marked with has the state directory in it: another
// state directory may hold the same id, and a create that finds its cgroup taken must not undo what is not its own.
func (d *decision) decideCgroup(r *Runtime, id string) error {
	h, err := cgroup.Probe()
	if err != nil {
		return err
	}
	h.Rootless = d.host.Rootless
	if h.Rootless && r.SystemdCgroup { // a failure is that of starting the unit, which has the words for it
		h.UserManager, _ = cgroup.UserManager()
	}
	request := cgroup.Request{ID: id, Owner: filepath.Join(r.Root, id), CgroupsPath: d.spec.Linux.CgroupsPath,
		Systemd: r.SystemdCgroup, Resources: d.spec.Linux.Resources, Annotations: d.spec.Annotations, Host: h}
	request.DelegateUID, request.Delegate = d.delegate()
	d.layout, err = cgroup.Decide(request)
	for _, w := range d.layout.Warnings {
		r.warn(w)
	}
	return err
}

// delegate says which user of the host becomes the owner of the container's cgroup: the container's own, if it gets a cgroup
// namespace and a writable cgroup mount (config-linux.md "Cgroup ownership").
func (d *decision) delegate() (int, bool) {
	if !d.spec.Linux.Namespaces[spec.CgroupNS].New || !d.spec.HasProcess {
		return 0, false
	}
	for _, m := range d.spec.Mounts {
		if m.Source == "cgroup" && m.Destination == "/sys/fs/cgroup" && m.Flags&spec.MS_RDONLY == 0 {
			uid, ok := hostID(d.spec.Process.User.UID, d.spec.Linux.UIDMappings)
			return int(uid), ok
		}
	}
	return 0, false
}

// hostID maps an id of the container to the host's. Without mappings they are the same.
func hostID(id uint32, mappings []spec.IDMapping) (uint32, bool) {
	for _, m := range mappings {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + id - m.ContainerID, true
		}
	}
	return id, len(mappings) == 0
}

// inputs looks up the facts that a plan needs from the disk.
func (d *decision) inputs(id string, o CreateOptions, atOnce bool) (plan.Inputs, error) {
	in := plan.Inputs{
		ID: id, Host: d.host, Sources: map[int]plan.Source{}, CgroupViews: map[int][]plan.View{},
		Tasks: d.layout.Join().Tasks, AtOnce: atOnce, NoPivot: o.NoPivot, NoNewKeyring: o.NoNewKeyring,
		Grantable: ^uint64(0),
	}
	in.ListenFDs = listenFDs()
	in.Preserve = o.PreserveFDs + in.ListenFDs
	for _, m := range d.spec.Mounts {
		if err := d.lookAt(m, &in); err != nil {
			return in, err
		}
	}
	if d.spec.HasProcess {
		in.Home = home(d.spec.Root.Path, d.spec.Process.User.UID)
	}
	if !d.spec.Linux.Namespaces[spec.UserNS].Own() {
		permitted, bounding, err := kernel.Capabilities(d.host.LastCap)
		if err != nil {
			return in, fmt.Errorf("cannot read the own capabilities: %w", err)
		}
		in.Grantable = permitted & bounding
	}
	return in, nil
}

func (d *decision) lookAt(m spec.Mount, in *plan.Inputs) error {
	if m.Type == "cgroup" || m.Type == "cgroup2" {
		in.CgroupViews[m.Index] = d.cgroupViews(m)
	}
	if !m.IsBind || m.Flags&spec.MS_REMOUNT != 0 {
		return nil
	}
	var st syscall.Stat_t
	if err := syscall.Stat(m.Source, &st); err != nil {
		return fmt.Errorf("mounts[%d].source: cannot use %q: %w", m.Index, m.Source, err)
	}
	source := plan.Source{Dir: st.Mode&syscall.S_IFMT == syscall.S_IFDIR}
	if !d.host.Features.MountSetattr {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(m.Source, &fs); err != nil {
			return fmt.Errorf("mounts[%d].source: cannot use %q: %w", m.Index, m.Source, err)
		}
		source.Flags = uintptr(fs.Flags)
	}
	in.Sources[m.Index] = source
	return nil
}

// cgroupViews turns the cgroup package's answer into mounts with the options that the config gives.
func (d *decision) cgroupViews(m spec.Mount) (views []plan.View) {
	mounts := d.layout.ContainerMounts(m.Destination, d.spec.Linux.Namespaces[spec.CgroupNS].Own())
	for _, c := range mounts {
		v := m
		v.Destination, v.Source, v.Type, v.Data = c.Target, c.Source, c.Type, c.Data
		if c.ReadOnly {
			v.Flags |= spec.MS_RDONLY
		}
		switch c.Kind {
		case cgroup.MountSymlink:
			views = append(views, plan.View{Mount: v, Link: c.Source})
			continue
		case cgroup.MountBind:
			v.IsBind, v.Type, v.Flags = true, "bind", v.Flags|spec.MS_BIND
		case cgroup.MountTmpfs:
			if len(mounts) > 1 {
				v.Flags &^= spec.MS_RDONLY
			}
		}
		views = append(views, plan.View{Mount: v})
	}
	if first := mounts[0]; first.Kind == cgroup.MountTmpfs && m.Flags&spec.MS_RDONLY != 0 {
		v := m
		v.Flags, v.Data, v.Type, v.Source = m.Flags|spec.MS_REMOUNT|spec.MS_BIND, "", "tmpfs", ""
		views = append(views, plan.View{Mount: v})
	}
	return views
}

// listenFDs is how many descriptors a service manager has passed (sd_listen_fds(3)).
func listenFDs() int {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 || os.Getenv("LISTEN_PID") != "" && os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return n
}
