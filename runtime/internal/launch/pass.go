package launch

import (
	"fmt"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/spec"
)

// files are the descriptors of a new process, in the order of their numbers there.
type files struct {
	list   []uintptr
	opened []int // those to close again here
}

func (f *files) close() {
	for _, fd := range f.opened {
		syscall.Close(fd)
	}
}

// openPasses opens what the plan hands over. What it has opened is to be closed even after an error.
func openPasses(p *plan.Plan, sync int, o Options) (*files, error) {
	f := &files{list: append([]uintptr(nil), o.Stdio[:]...)}
	for fd := 3; fd < p.First(); fd++ {
		if !kernel.Inherited(fd) {
			return f, fmt.Errorf("cannot pass descriptor %d to the process: nobody has opened it\nhint: --preserve-fds and LISTEN_FDS count descriptors from 3 on", fd)
		}
		f.list = append(f.list, uintptr(fd))
	}
	for _, d := range p.Pass {
		fd, err := f.open(p, d, sync, o)
		if err != nil {
			return f, err
		}
		f.list = append(f.list, uintptr(fd))
	}
	return f, nil
}

func (f *files) open(p *plan.Plan, d plan.Pass, sync int, o Options) (fd int, err error) {
	switch d.Kind {
	case plan.PassSync:
		return sync, nil
	case plan.PassStart:
		return o.StartFD, nil
	case plan.PassInit:
		return o.InitFD, nil
	case plan.PassNamespace:
		if fd, err = openNamespace(d); err == nil && p.Changes(d.Namespace) && isOwn(fd, d.Namespace) {
			syscall.Close(fd)
			err = fmt.Errorf("cannot join %s namespace %q: it is the runtime's own, and the config would change the host with it", d.Namespace, d.Path)
		}
	case plan.PassTasks:
		if fd, err = syscall.Open(d.Path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0); err != nil {
			err = fmt.Errorf("cannot open cgroup file %q: %w", d.Path, err)
		}
	case plan.PassTree:
		if fd, err = kernel.OpenTree(d.Path, d.Recursive); err != nil {
			err = fmt.Errorf("cannot open %q: %w", d.Path, err)
		}
	default:
		return -1, fmt.Errorf("the plan passes a %q, which is unknown", d.Kind)
	}
	if err == nil {
		f.opened = append(f.opened, fd)
	}
	return fd, err
}

// openNamespace opens a namespace to be joined, and makes sure that it is one and of the right kind.
func openNamespace(d plan.Pass) (int, error) {
	const noWait = syscall.O_NONBLOCK | syscall.O_NOCTTY // whatever the path leads to
	fd, err := syscall.Open(d.Path, syscall.O_RDONLY|syscall.O_CLOEXEC|noWait, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open %s namespace %q: %w", d.Namespace, d.Path, err)
	}
	kind, err := kernel.NamespaceType(fd)
	if err == nil && kind == d.Namespace.CloneFlag() {
		return fd, nil
	}
	syscall.Close(fd)
	if err != nil {
		return -1, fmt.Errorf("cannot join %s namespace %q: the file is no namespace", d.Namespace, d.Path)
	}
	return -1, fmt.Errorf("cannot join %s namespace %q: it is a namespace of another kind", d.Namespace, d.Path)
}

// isOwn says that a namespace is the one this process lives in. Where that cannot be told it is taken to be.
func isOwn(fd int, k spec.Kind) bool {
	var theirs, own syscall.Stat_t
	err := syscall.Fstat(fd, &theirs)
	if err == nil {
		err = syscall.Stat("/proc/self/ns/"+k.File(), &own)
	}
	return err != nil || theirs.Dev == own.Dev && theirs.Ino == own.Ino
}
