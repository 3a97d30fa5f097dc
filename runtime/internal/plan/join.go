package plan

import (
	"slices"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// ExecInputs are what a further process of a running container is planned from.
type ExecInputs struct {
	Inputs
	Kinds   []spec.Kind // namespaces of the container that differ from the runtime's
	Session string      // name of the container's session keyring, empty: keep the caller's
	Linux   *spec.Linux // the container's own, for what holds for each of its processes: memory policy, personality; nil: neither
}

// Join plans a further process in the container whose first process is passed as a pidfd.
func Join(process *spec.Process, in ExecInputs) *Plan {
	p := &Plan{ID: in.ID, Host: in.Host, Preserve: in.Preserve}
	p.Pass = []Pass{{Kind: PassSync}, {Kind: PassInit}}
	for _, t := range in.Tasks {
		p.Pass = append(p.Pass, Pass{Kind: PassTasks, Path: t})
	}
	add := func(steps ...Step) { p.Steps = append(p.Steps, steps...) }
	add(Harden{}, TakeSignals{})
	if process.ExecAffinityInitial != nil {
		add(SetAffinity{process.ExecAffinityInitial})
	}
	for _, t := range in.Tasks {
		add(JoinCgroup{t})
	}
	if in.Linux != nil {
		p.memoryPolicy(in.Linux)
	}
	p.label(process)
	p.join(in.Kinds)
	add(NewSession{})
	if in.Session != "" {
		add(Keyring{in.Session})
	}
	if process.Terminal {
		add(Console{UID: process.User.UID, GID: process.User.GID, Width: process.ConsoleWidth, Height: process.ConsoleHeight})
	}
	if in.Linux != nil {
		p.personality(in.Linux)
	}
	if slices.Contains(in.Kinds, spec.UserNS) && len(process.Rlimits) > 0 {
		add(Barrier{Name: BarrierLimits})
	}
	p.identity(process, in.Inputs)
	if process.ExecAffinityFinal != nil {
		add(SetAffinity{process.ExecAffinityFinal})
	}
	add(Barrier{Name: BarrierReady})
	p.last(process, in.Inputs)
	return p
}

// JoinHook plans a hook's process: in the container's namespaces, with nothing of the container's identity or limits.
func JoinHook(h *spec.Hook, in ExecInputs) *Plan {
	p := &Plan{ID: in.ID, Host: in.Host}
	p.Pass = []Pass{{Kind: PassSync}, {Kind: PassInit}}
	p.Steps = append(p.Steps, Harden{}, TakeSignals{})
	p.join(in.Kinds)
	p.Steps = append(p.Steps, NewSession{}, Barrier{Name: BarrierReady},
		Exec{Name: h.Path, Candidates: []string{h.Path}, Args: h.Args, Env: h.Env})
	return p
}

// Confine gives a hook of the image the bounds of the container's own process: its cgroups, ids, capabilities and filter. in
// must hold what [Join] needs. The image decides what the hook's path leads to, so it must not be able to do more
// than the container (runc runs startContainer hooks as the process that becomes the container's program).
func Confine(h *spec.Hook, process spec.Process, in ExecInputs) *Plan {
	process.Args, process.Env, process.Terminal = h.Args, h.Env, false
	if len(process.Args) == 0 {
		process.Args = []string{h.Path}
	}
	in.Home, in.Preserve = "", 0
	p := Join(&process, in)
	for i, step := range p.Steps {
		switch step.(type) {
		case FindProgram:
			p.Steps[i] = FindProgram{h.Path, []string{h.Path}}
		case Exec:
			p.Steps[i] = Exec{Name: h.Path, Candidates: []string{h.Path}, Args: process.Args, Env: h.Env}
		}
	}
	return p
}

// join enters the container's namespaces; membership of a PID or time namespace needs a child.
func (p *Plan) join(kinds []spec.Kind) {
	if len(kinds) == 0 {
		return
	}
	p.Steps = append(p.Steps, JoinInit{kinds})
	for _, k := range kinds {
		if k == spec.PIDNS {
			p.Steps = append(p.Steps, Fork{}, Barrier{Name: BarrierForked})
		}
	}
	for _, k := range kinds {
		if k == spec.UserNS {
			p.Steps = append(p.Steps, BecomeRoot{})
		}
	}
}
