package launch

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
)

// Describe says that a step failed, in the words that engines look for where the program to execute is at fault:
// "executable file not found in", "permission denied", "no such file or directory".
func Describe(step plan.Step, errno syscall.Errno) string {
	switch s := step.(type) {
	case plan.FindProgram:
		return describeExec(s.Name, errno)
	case plan.Exec:
		return describeExec(s.Name, errno)
	case plan.Chdir:
		if errno == syscall.ENOENT {
			return fmt.Sprintf("cannot %s: it is missing or outside the container", step)
		}
	case plan.Device:
		if errno == syscall.EEXIST {
			return fmt.Sprintf("cannot %s: there is another file, and no such device", step)
		}
	}
	return fmt.Sprintf("cannot %s: %s%s", step, errno, hint(step, errno))
}

func describeExec(name string, errno syscall.Errno) string {
	switch {
	case errno == syscall.ENOENT && !strings.Contains(name, "/"):
		return fmt.Sprintf("exec: %q: executable file not found in $PATH", name)
	case errno == syscall.ENOENT:
		return fmt.Sprintf("exec: %q: stat %s: no such file or directory", name, name)
	}
	return fmt.Sprintf("exec: %q: %s", name, errno)
}

func hint(step plan.Step, errno syscall.Errno) string {
	switch s := step.(type) {
	case plan.Bind, plan.MountFS:
		if b, ok := s.(plan.Bind); ok && errno == syscall.EINVAL && b.Destination == "/proc" {
			return "\nhint: only a whole proc filesystem may be on /proc"
		}
		if errno == syscall.ELOOP {
			return "\nhint: the root filesystem has a symbolic link where a directory must be, or one into /proc"
		}
		if errno == syscall.ENODEV {
			return "\nhint: the kernel does not know this filesystem type; see /proc/filesystems"
		}
	case plan.Unmount:
		switch errno {
		case syscall.EINVAL:
			return "\nhint: nothing is mounted there"
		case syscall.ELOOP:
			return "\nhint: a symbolic link is on the way, which is not followed; give the path that it leads to"
		}
	case plan.SetUser:
		if errno == syscall.EINVAL {
			return "\nhint: the user namespace does not map this id"
		}
	case plan.SetRlimit:
		if errno == syscall.EPERM {
			return "\nhint: raising a hard limit needs CAP_SYS_RESOURCE"
		}
	}
	return ""
}

// Late is a step that comes after start, as another process needs it to name its failure.
type Late struct {
	Offset uint64 `json:"offset"`         // of the step's first operation
	Step   string `json:"step"`           // its text
	Exec   string `json:"exec,omitempty"` // name of the program, for the step that executes it
}

// Late lists the steps that come after the plan has waited for start.
func (p *Process) Late() (list []Late) {
	started := false
	for i, step := range p.plan.Steps {
		if started {
			late := Late{Offset: p.prog.Offset(i), Step: step.String()}
			if e, ok := step.(plan.Exec); ok {
				late.Exec = e.Name
			}
			list = append(list, late)
		}
		if _, ok := step.(plan.AwaitStart); ok {
			started = true
		}
	}
	return list
}

// DescribeLate says which of the late steps failed.
func DescribeLate(steps []Late, m program.Message) error {
	for i := len(steps) - 1; i >= 0; i-- {
		switch s := steps[i]; {
		case m.Offset < s.Offset:
		case s.Exec != "":
			return errors.New(describeExec(s.Exec, m.Errno))
		default:
			return fmt.Errorf("cannot %s: %w", s.Step, m.Errno)
		}
	}
	return fmt.Errorf("the container's process failed at %#x: %w", m.Offset, m.Errno)
}
