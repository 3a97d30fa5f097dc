package cgroup

import (
	"encoding/json"
	"fmt"
	"syscall"
)

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	Mkdir   Kind = "mkdir"   // make Path, and what is missing between Root and it
	Inherit Kind = "inherit" // from Root down to Path: fill an empty cpuset.cpus and cpuset.mems with the parent's
	Enable  Kind = "enable"  // from Root down to Path's parent: enable the controllers Value in cgroup.subtree_control
	Write   Kind = "write"   // write Value to the existing file Path
	Check   Kind = "check"   // refuse if the number in the file Path is above Value
	Devices Kind = "devices" // attach the program for Rules to the v2 group Path
	Relist  Kind = "relist"  // turn the v1 device list of Path into Rules, changing only what differs
	Start   Kind = "start"   // ask systemd for the unit Path with the properties Value
	Chown   Kind = "chown"   // give the directory Path, and what may be delegated in it, to the user id Value
)

// Op is one operation as data.
type Op struct {
	Kind     Kind            `json:"op"`
	Path     string          `json:"path"`
	Value    string          `json:"value,omitempty"`
	Root     string          `json:"root,omitempty"`     // mount point: nothing above it is touched
	Field    string          `json:"field,omitempty"`    // JSON path in config.json that asks for it
	Why      string          `json:"why,omitempty"`      // what it is for, where no field asks for it
	Or       []Choice        `json:"or,omitempty"`       // tried in order where Path does not exist
	Optional bool            `json:"optional,omitempty"` // failing for want of rights drops the hierarchy
	Shared   bool            `json:"shared,omitempty"`   // of Mkdir: systemd may have made it already
	Tolerate []syscall.Errno `json:"tolerate,omitempty"` // errors that count as success
	Rules    []Rule          `json:"rules,omitempty"`    // of Devices
}

// Choice is another file that has the same effect on kernels that lack the first.
type Choice struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// String is the operation in one line.
func (o Op) String() string {
	s := string(o.Kind) + " " + o.Path
	switch o.Kind {
	case Write:
		s = fmt.Sprintf("write %q to %s", o.Value, o.Path)
	case Enable:
		s = fmt.Sprintf("enable %s for %s", o.Value, o.Path)
	case Check:
		s = fmt.Sprintf("check that %s is at most %s", o.Path, o.Value)
	case Start:
		s = fmt.Sprintf("start %s", o.Value)
	case Chown:
		s = fmt.Sprintf("give %s to user %s", o.Path, o.Value)
	case Relist:
		s = fmt.Sprintf("change device rules of %s to: %s", o.Path, rulesString(o.Rules))
	case Devices:
		s = fmt.Sprintf("attach device rules to %s: %s", o.Path, rulesString(o.Rules))
	}
	for _, c := range o.Or {
		s += fmt.Sprintf(" or %q to %s", c.Value, c.Path)
	}
	if o.Field != "" {
		return s + " (" + o.Field + ")"
	}
	if o.Why != "" {
		return s + " (" + o.Why + ")"
	}
	return s
}

// MarshalJSON of an operation keeps errnos readable in a plan.
func (o Op) MarshalJSON() ([]byte, error) {
	type plain Op
	var names []string
	for _, e := range o.Tolerate {
		names = append(names, e.Error())
	}
	return json.Marshal(struct {
		plain
		Tolerate []string `json:"tolerate,omitempty"`
	}{plain(o), names})
}

// Error is a failed operation. It names the JSON field that asked for it, where one did.
type Error struct {
	Op  Op
	Err error
}

func (e *Error) Error() string {
	if e.Op.Field != "" {
		return fmt.Sprintf("cannot apply %s: %v", e.Op.Field, e.Err)
	}
	return fmt.Sprintf("cannot set up the cgroup %s: %v", e.Op.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
