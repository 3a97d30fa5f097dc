// Package plan decides everything about a new process before anything happens.
//
// The parties: config.json, already validated and resolved (package spec); the machine (package host); and Inputs, the few
// facts about the bundle that only a look at the disk can tell. From these three [Create] and [Join] compute a [Plan], and
// they compute nothing else: no file is opened here. A Plan is a value. It prints itself, so that a person can read what
// berth would do (`berth plan`) and a test can compare it with a golden file without being root.
//
// What a plan lists, the stub executes inside the container's namespaces (package program lowers each [Step] to system
// calls); where a step needs the host's side, the plan has a [Barrier] at which the stub waits for the runtime.
package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/spec"
)

// Step is one thing the new process does. Its text completes the sentence "cannot …: cause".
type Step interface{ String() string }

// Inputs are the facts that come neither from the config nor from the kernel.
type Inputs struct {
	ID       string
	Host     host.Host
	Sources  map[int]Source // by index of the mount: what a bind's source is
	Home     string         // HOME for a process whose environment lacks it; empty: do not set
	Preserve int            // descriptors 3…3+N-1 that the process keeps

	Tasks       []string       // cgroup v1 files that the process writes itself into
	CgroupViews map[int][]View // by index of the mount: what a mount of type cgroup becomes on this machine

	Grantable    uint64 // capabilities that the process can be given at all
	askPid       bool   // the process's pid, for LISTEN_PID, is known only once it runs
	ListenFDs    int    // descriptors among Preserve that a service manager passed (sd_listen_fds(3))
	AtOnce       bool   // run: start without waiting for `start`
	NoPivot      bool
	NoNewKeyring bool
	Filter       []byte // seccomp program, empty: none
	FilterFlags  uint64 // flags of seccomp(2)
	Listener     bool   // the filter has a listener that must be handed on
}

// Source is what a bind mount's source is.
type Source struct {
	Dir   bool
	Flags uintptr // MS_… flags of the mount it lies on, for kernels without mount_setattr
}

// View is one piece of what the container sees of the control groups: a mount, or with Link a symbolic link at Destination.
type View struct {
	spec.Mount
	Link string
}

// Plan is everything that a new process needs: how it is cloned, what it is handed, and its steps.
type Plan struct {
	ID         string
	Host       host.Host
	Clone      []spec.Kind      // namespaces made by clone
	UIDs, GIDs []spec.IDMapping // of the new user namespace
	Pass       []Pass           // descriptors handed to the process, opened by the runtime
	Preserve   int
	Steps      []Step
}

// Pass is a descriptor that the runtime opens and hands to the process.
type Pass struct {
	Kind      PassKind
	Path      string
	Recursive bool      // of a tree: with the mounts below it
	Namespace spec.Kind // of a namespace
}

// PassKind says how a descriptor is made.
type PassKind string

// What can be handed to a process.
const (
	PassSync      PassKind = "sync"      // the socket to the runtime
	PassStart     PassKind = "start"     // the listening socket that start connects to
	PassTasks     PassKind = "tasks"     // a cgroup v1 tasks file
	PassNamespace PassKind = "namespace" // a namespace to join by path
	PassTree      PassKind = "tree"      // a detached copy of a mount, open_tree(2)
	PassInit      PassKind = "init"      // pidfd of a container's first process
)

// First is the number that the first descriptor of Pass has in the new process.
func (p *Plan) First() int { return 3 + p.Preserve }

// Scratch is a descriptor number behind the passed ones that is the program's own.
func (p *Plan) Scratch() int { return p.First() + len(p.Pass) }

// Index finds the position in Pass of the n-th descriptor of a kind, or -1.
func (p *Plan) Index(kind PassKind, n int) int {
	for i := range p.Pass {
		if p.Pass[i].Kind != kind {
			continue
		}
		if n == 0 {
			return i
		}
		n--
	}
	return -1
}

// CloneFlags are the CLONE_NEW… flags for clone(2).
func (p *Plan) CloneFlags() (flags uintptr) {
	for _, k := range p.Clone {
		flags |= k.CloneFlag()
	}
	return flags
}

// String prints the plan, one line each for what is cloned, handed over and done.
func (p *Plan) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "clone %s\n", join(p.Clone))
	for _, m := range []struct {
		name   string
		ranges []spec.IDMapping
	}{{"uid", p.UIDs}, {"gid", p.GIDs}} {
		for _, r := range m.ranges {
			fmt.Fprintf(&s, "map %s %d to %d, %d of them\n", m.name, r.ContainerID, r.HostID, r.Size)
		}
	}
	for _, d := range p.Pass {
		fmt.Fprintf(&s, "pass %s\n", d)
	}
	for _, step := range p.Steps {
		fmt.Fprintf(&s, "%s\n", step)
	}
	return s.String()
}

// MarshalJSON gives each step its kind and its text besides its fields.
func (p *Plan) MarshalJSON() ([]byte, error) {
	type step struct {
		Kind   string `json:"kind"`
		Text   string `json:"text"`
		Detail Step   `json:"detail"`
	}
	steps := make([]step, len(p.Steps))
	for i, s := range p.Steps {
		steps[i] = step{strings.TrimPrefix(fmt.Sprintf("%T", s), "plan."), s.String(), s}
	}
	kinds := make([]string, len(p.Clone))
	for i, k := range p.Clone {
		kinds[i] = k.String()
	}
	return json.Marshal(struct {
		ID    string           `json:"id"`
		Clone []string         `json:"clone"`
		UIDs  []spec.IDMapping `json:"uidMappings,omitempty"`
		GIDs  []spec.IDMapping `json:"gidMappings,omitempty"`
		Pass  []Pass           `json:"pass"`
		Steps []step           `json:"steps"`
	}{p.ID, kinds, p.UIDs, p.GIDs, p.Pass, steps})
}

func (d Pass) String() string {
	s := string(d.Kind)
	if d.Kind == PassNamespace {
		s = d.Namespace.String() + " " + s
	}
	if d.Path != "" {
		s += " " + quote(d.Path)
	}
	if d.Recursive {
		s += " with the mounts below it"
	}
	return s
}

func join(kinds []spec.Kind) string {
	if len(kinds) == 0 {
		return "without a new namespace"
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.String()
	}
	return "new " + strings.Join(names, ", ")
}

// quote shows a path as it is where that is safe for a terminal, and escaped elsewhere.
func quote(s string) string {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\' {
			return fmt.Sprintf("%q", s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

// Changes says whether the plan would change a namespace of a kind, not only live in it: the host must not be what it changes.
func (p *Plan) Changes(k spec.Kind) bool {
	for _, step := range p.Steps {
		switch s := step.(type) {
		case SetHostname, SetDomainname:
			if k == spec.UTSNS {
				return true
			}
		case Sysctl:
			if owner, ok := spec.SysctlOwner(s.File); ok && owner == k {
				return true
			}
		case SetPropagation, OpenRoot, Pivot:
			if k == spec.MountNS {
				return true
			}
		}
	}
	return false
}
