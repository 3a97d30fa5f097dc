package container

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// AddMounts mounts something more in a container that is created, running or paused. mounts is JSON in the form of config.json's
// mounts, and what would be refused there is refused here. After a failure none of it is mounted.
func (r *Runtime) AddMounts(id string, mounts []byte) error {
	raw, err := spec.ParseMounts(string(mounts))
	if err != nil {
		return err
	}
	return r.visit(id, func(v *visit) error {
		added, err := v.decide(raw)
		if err != nil {
			return err
		}
		label := ""
		if v.config.Linux != nil {
			label = v.config.Linux.MountLabel
		}
		err = v.run(plan.AddMounts(added, label, v.in))
		if failed, ok := errors.AsType[*launch.StepError](err); ok {
			return errors.Join(err, v.undo(added, failed.Step))
		}
		return err
	})
}

// RemoveMounts takes mounts away from such a container, the last of the list first. Of each mount only its destination
// counts. What hides or protects a path by linux.maskedPaths or linux.readonlyPaths stays.
func (r *Runtime) RemoveMounts(id string, mounts []byte) error {
	raw, err := spec.ParseMounts(string(mounts))
	if err != nil {
		return err
	}
	return r.visit(id, func(v *visit) error {
		var destinations []string
		for i, m := range raw {
			d := path.Clean("/" + m.Destination)
			if d == "/" {
				return fmt.Errorf("mounts[%d].destination: cannot unmount %q: it is the root filesystem itself", i, m.Destination)
			}
			if l := v.config.Linux; l != nil && slices.ContainsFunc(slices.Concat(l.MaskedPaths, l.ReadonlyPaths), func(p string) bool { return path.Clean("/"+p) == d }) {
				return fmt.Errorf("mounts[%d].destination: cannot unmount %q: linux.maskedPaths or linux.readonlyPaths of config.json have it", i, m.Destination)
			}
			destinations = append(destinations, d)
		}
		slices.Reverse(destinations)
		return v.run(plan.RemoveMounts(destinations, v.in))
	})
}

// visit is a process of the runtime's in a container.
type visit struct {
	*Runtime
	host   host.Host
	state  store.State
	config *specs.Spec
	in     plan.ExecInputs
	pidfd  int
}

// visit looks the container up and holds its lock until do returns: nobody deletes it meanwhile.
func (r *Runtime) visit(id string, do func(*visit) error) error {
	e, s, done, err := r.load(id)
	if err != nil {
		return err
	}
	defer done()
	v := &visit{Runtime: r, host: r.machine(), state: s}
	if _, own := s.Namespaces[spec.MountNS.String()]; !own {
		return fmt.Errorf("cannot change the mounts of container %q: it has no mount namespace of its own", id)
	}
	if f := v.host.Features; !f.NewMount || !f.MountSetattr || !f.Openat2 {
		return errors.New("cannot change a container's mounts: that needs open_tree(2), mount_setattr(2) and openat2(2), of Linux 5.12")
	}
	if v.config, err = configOf(e); err != nil {
		return err
	}
	v.in = plan.ExecInputs{Inputs: plan.Inputs{ID: id, Host: v.host, Sources: map[int]plan.Source{}}}
	if v.in.Kinds, err = joinableKinds(s); err != nil {
		return err
	}
	if v.pidfd, err = openAlive(s.Init); err != nil {
		return fmt.Errorf("cannot change the mounts of container %q: %w", id, err)
	}
	defer syscall.Close(v.pidfd)
	return do(v)
}

// decide holds the mounts to the rules.
func (v *visit) decide(raw []specs.Mount) ([]spec.Mount, error) {
	s, found, err := spec.OpenMounts(v.config, v.state.Bundle, raw, v.host)
	for _, f := range found {
		if f.Warning {
			v.warn(f.String())
		}
	}
	if err != nil {
		return nil, err
	}
	for _, m := range s.Mounts {
		if err := v.check(m); err != nil {
			return nil, fmt.Errorf("mounts[%d]: cannot mount on %q: %w", m.Index, m.Destination, err)
		}
	}
	return s.Mounts, nil
}

// check refuses what needs more than one process in the container can do, and looks at what is bound.
func (v *visit) check(m spec.Mount) error {
	const odd = spec.MS_I_VERSION | spec.MS_SILENT // the newer calls have no name for them
	switch {
	case m.Flags&spec.MS_REMOUNT != 0, m.HasIDMap, m.TmpCopyUp, m.Type == "cgroup", !m.IsBind && m.Flags&odd != 0:
		return errors.New("remount, idmap, tmpcopyup, iversion, silent and the type cgroup are for create only")
	case !m.IsBind:
		return nil
	case v.host.Rootless:
		return errors.New("a bind mount needs root, since the container sees nothing of the host")
	}
	var st syscall.Stat_t
	if err := syscall.Stat(m.Source, &st); err != nil {
		return fmt.Errorf("cannot use source %q: %w", m.Source, err)
	}
	v.in.Sources[m.Index] = plan.Source{Dir: st.Mode&syscall.S_IFMT == syscall.S_IFDIR}
	return nil
}

// run executes a plan up to its last barrier.
func (v *visit) run(p *plan.Plan) error {
	process, err := launch.Start(p, launch.Options{Stdio: Stdio{}.fds(), CgroupFD: -1, StartFD: -1, InitFD: v.pidfd, Edit: v.edit})
	if err != nil {
		return err
	}
	defer process.Close()
	defer process.Kill()
	return process.Serve(func(m program.Message) error {
		return fmt.Errorf("the process waits for %q, which is unknown", m.Barrier)
	})
}

// undo takes away what was mounted before a step failed.
func (v *visit) undo(added []spec.Mount, failed plan.Step) error {
	var before []string
	switch s := failed.(type) {
	case plan.Bind:
		before = destinations(added, s.Index)
	case plan.MountFS:
		before = destinations(added, s.Index)
	}
	if len(before) == 0 {
		return nil
	}
	slices.Reverse(before)
	return v.run(plan.RemoveMounts(before, v.in))
}

// destinations are those of the first n mounts.
func destinations(mounts []spec.Mount, n int) (list []string) {
	for _, m := range mounts[:n] {
		list = append(list, m.Destination)
	}
	return list
}
