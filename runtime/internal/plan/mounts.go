package plan

import "github.com/berth-oci/berth/runtime/internal/spec"

// OpenOwnRoot opens the root directory of a process that has joined the container: the targets of mounts are found below it.
type OpenOwnRoot struct{}

// Unmount takes away what lies on top at a path of the container.
type Unmount struct{ Destination string }

func (OpenOwnRoot) String() string { return "open the container's root directory" }
func (s Unmount) String() string   { return "unmount " + quote(s.Destination) }

// AddMounts plans a process that joins the container and mounts what create would have mounted, with the label of linux.mountLabel.
// What is bound is opened by the runtime, since the container sees nothing of the host's.
func AddMounts(mounts []spec.Mount, label string, in ExecInputs) *Plan {
	p := visit(in)
	trees := 0
	for _, m := range mounts {
		if !m.IsBind {
			p.Steps = append(p.Steps, MountFS{labelled(m, label)})
			continue
		}
		p.Pass = append(p.Pass, Pass{Kind: PassTree, Path: m.Source, Recursive: m.Recursive})
		p.Steps = append(p.Steps, Bind{Mount: m, Source: in.Sources[m.Index], Tree: trees})
		trees++
	}
	p.Steps = append(p.Steps, Barrier{Name: BarrierReady})
	return p
}

// RemoveMounts plans a process that joins the container and takes mounts away, in the order given.
func RemoveMounts(destinations []string, in ExecInputs) *Plan {
	p := visit(in)
	for _, d := range destinations {
		p.Steps = append(p.Steps, Unmount{d})
	}
	p.Steps = append(p.Steps, Barrier{Name: BarrierReady})
	return p
}

// visit begins the plan of a process that works in the container for the runtime and never executes anything.
func visit(in ExecInputs) *Plan {
	p := &Plan{ID: in.ID, Host: in.Host, Pass: []Pass{{Kind: PassSync}, {Kind: PassInit}}, Steps: []Step{Harden{}, TakeSignals{}}}
	p.join(in.Kinds)
	p.Steps = append(p.Steps, OpenOwnRoot{})
	return p
}
