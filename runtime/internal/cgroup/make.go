package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// ErrInUse says that the group has processes already: it belongs to somebody else, and nothing was changed in it.
var ErrInUse = errors.New("container's cgroup is not empty")

// errNoEffect is ENOTSUPP, which the kernel returns for memory.kmem.limit_in_bytes since 5.16; syscall has no name for it.
const errNoEffect = syscall.Errno(524)

// Make makes the directories, or has systemd make them. With systemd a process holds the unit until Release.
//
// A directory that exists is taken if it is empty (engines and kubelets make them early), and
// refused with ErrInUse if it holds processes, as runc does. After a failure Open(l.State()).Remove() removes what was made.
func (l *Layout) Make() error {
	dropped := map[string]bool{}
	for _, op := range l.Making {
		if dropped[op.Path] {
			continue
		}
		err := l.run(op)
		if op.Optional && isDenied(err) {
			dropped[op.Path] = true
			continue
		}
		if err != nil {
			return &Error{op, err}
		}
	}
	l.drop(dropped)
	return nil
}

// Apply writes the limits. The first failure is returned; what was written stays, since a create that fails removes all.
// Device rules that a rootless caller may not load are left out, as by other runtimes: it has no device rights to lose.
func (l *Layout) Apply() error {
	for _, op := range l.Settings {
		err := l.run(op)
		if op.Optional && isDenied(err) {
			continue
		}
		if err != nil {
			return &Error{op, err}
		}
	}
	return nil
}

// drop forgets the directories that a rootless caller may not make. A setting in one of them still fails, by its field.
func (l *Layout) drop(paths map[string]bool) {
	if len(paths) == 0 {
		return
	}
	var kept []Dir
	for _, d := range l.Dirs {
		if !paths[d.Path] {
			kept = append(kept, d)
		}
	}
	l.Dirs = kept
	var settings []Op
	for _, op := range l.Settings {
		if op.Field != "" || !paths[path.Dir(op.Path)] {
			settings = append(settings, op)
		}
	}
	l.Settings = settings
}

func isDenied(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EROFS)
}

func (l *Layout) run(op Op) error {
	switch op.Kind {
	case Start:
		return l.startUnit()
	case Mkdir:
		if op.Shared {
			return makeShared(op, l.Owner)
		}
		return makeDir(op, l.Owner)
	case Inherit:
		return inherit(op)
	case Enable:
		return enable(op)
	case Check:
		return check(op)
	case Chown:
		return delegate(op)
	case Devices:
		return attachDevices(op.Path, op.Rules)
	case Relist:
		_, err := relist(op)
		return err
	}
	return writeOp(op)
}

// writeOp writes the file or, where the kernel lacks it, the next that has the same effect.
func writeOp(op Op) error {
	err := writeFile(op.Path, op.Value)
	for _, c := range op.Or {
		if !errors.Is(err, syscall.ENOENT) {
			break
		}
		err = writeFile(c.Path, c.Value)
	}
	for _, e := range op.Tolerate {
		if errors.Is(err, e) {
			return nil
		}
	}
	if errors.Is(err, syscall.ENOENT) {
		return missing(op)
	}
	return err
}

// missing explains why a control file does not exist.
func missing(op Op) error {
	dir, file := path.Split(op.Path)
	if _, err := os.Lstat(dir); err != nil {
		return err
	}
	controller, _, _ := strings.Cut(file, ".")
	parent := path.Dir(path.Clean(dir))
	on, err := readFile(parent + "/cgroup.subtree_control")
	if err == nil && !contains(strings.Fields(on), controller) && controller != "cgroup" {
		return fmt.Errorf("%s does not exist: the controller %s is not enabled in %s/cgroup.subtree_control (processes in that group itself prevent it)",
			op.Path, controller, parent)
	}
	hint := ""
	if strings.Contains(file, "memsw") || strings.Contains(file, "swap") {
		hint = " (swap accounting is off: boot with swapaccount=1)"
	}
	return fmt.Errorf("%s does not exist: this kernel does not offer it%s", op.Path, hint)
}

func check(op Op) error {
	have, err := readUint(op.Path)
	if err != nil {
		if errors.Is(err, syscall.ENOENT) {
			return nil // a new group uses nothing
		}
		return err
	}
	limit, err := parseUint(op.Value)
	if err != nil {
		return err
	}
	if have > limit {
		return fmt.Errorf("%s says %d, which is more than the new limit %d", op.Path, have, limit)
	}
	return nil
}

// makeDir makes the leaf and what is missing above it. Directories above may vanish in between, when another container's
// delete removes the ones it made: then it starts again, a bounded number of times.
func makeDir(op Op, owner string) error {
	var err error
	for range 20 {
		if err = makeParents(op.Root, path.Dir(op.Path)); err != nil {
			return err
		}
		err = mkdir(op.Path)
		if err != syscall.ENOENT {
			break
		}
	}
	switch err {
	case nil:
		return mark(op.Path, owner)
	case syscall.EEXIST:
		return takeOver(op.Path, owner)
	}
	return &os.PathError{Op: "mkdir", Path: op.Path, Err: err}
}

func makeParents(root, dir string) error {
	if dir == root || len(dir) <= len(root) {
		return nil
	}
	err := mkdir(dir)
	if err == syscall.ENOENT {
		if err := makeParents(root, path.Dir(dir)); err != nil {
			return err
		}
		err = mkdir(dir)
	}
	switch err {
	case nil:
		return mark(dir, parentMark)
	case syscall.EEXIST, syscall.ENOENT: // ENOENT: removed by another; the caller tries again
		return nil
	}
	return &os.PathError{Op: "mkdir", Path: dir, Err: err}
}

func mkdir(dir string) error {
	for {
		if err := syscall.Mkdir(dir, 0o755); err != syscall.EINTR {
			return err
		}
	}
}

// makeShared makes or takes a directory that systemd may have made for our unit. It is marked in either case.
func makeShared(op Op, owner string) error {
	if err := makeParents(op.Root, path.Dir(op.Path)); err != nil {
		return err
	}
	if err := mkdir(op.Path); err != nil && err != syscall.EEXIST {
		return &os.PathError{Op: "mkdir", Path: op.Path, Err: err}
	}
	if ownerOf(op.Path, owner) == foreign {
		return takenBy(op.Path)
	}
	return mark(op.Path, owner)
}

// takenBy says whose the directory is.
func takenBy(dir string) error {
	owner, _ := readMark(dir)
	return fmt.Errorf("%w: %s was made for %q; delete that container first", ErrInUse, dir, owner)
}

// takeOver accepts an existing directory without processes.
func takeOver(dir, owner string) error {
	pids, err := procs(dir)
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		return fmt.Errorf("%w: %s has %d process(es)", ErrInUse, dir, len(pids))
	}
	if ownerOf(dir, owner) == foreign {
		return takenBy(dir)
	}
	if frozen(dir) {
		return fmt.Errorf("container's cgroup unexpectedly frozen: %s", dir)
	}
	if ownerOf(dir, owner) == unmarked {
		markFound(dir)
	}
	return mark(dir, owner)
}

// inherit fills the cpuset of each new v1 directory from its parent, from the mount point down: the kernel starts them
// empty (unless cgroup.clone_children is set) and refuses to attach a process to an empty one with ENOSPC.
func inherit(op Op) error {
	parent := op.Root
	for _, name := range strings.Split(strings.TrimPrefix(op.Path, op.Root+"/"), "/") {
		dir := parent + "/" + name
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inheritFile(parent+"/"+file, dir+"/"+file); err != nil {
				return err
			}
		}
		parent = dir
	}
	return nil
}

func inheritFile(from, to string) error {
	have, err := readFile(to)
	if err != nil || have != "" {
		return err
	}
	value, err := readFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, value)
}

// enable enables the controllers in each directory from the mount point down to the parent of the container's. One that
// cannot be enabled is no error here: a limit that needs it fails by its own name, with the reason (see missing).
func enable(op Op) error {
	dir := op.Root
	for _, name := range strings.Split(strings.TrimPrefix(op.Path, op.Root+"/"), "/") {
		enableIn(dir, strings.Split(op.Value, ","))
		dir += "/" + name
	}
	return nil
}

func enableIn(dir string, controllers []string) {
	on, err := readFile(dir + "/cgroup.subtree_control")
	if err != nil {
		return
	}
	have := strings.Fields(on)
	var want []string
	for _, c := range controllers {
		if !contains(have, c) {
			want = append(want, "+"+c)
		}
	}
	if len(want) == 0 || writeFile(dir+"/cgroup.subtree_control", strings.Join(want, " ")) == nil {
		return
	}
	for _, c := range want { // one refused controller refuses the whole line
		_ = writeFile(dir+"/cgroup.subtree_control", c)
	}
}

// delegate changes the owner of the directory and of the files that the kernel lists as safe to give away.
func delegate(op Op) error {
	uid, err := strconv.Atoi(op.Value)
	if err != nil {
		return err
	}
	names := []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}
	if b, err := os.ReadFile("/sys/kernel/cgroup/delegate"); err == nil {
		names = strings.Fields(string(b))
	}
	if err := os.Lchown(op.Path, uid, -1); err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Lchown(op.Path+"/"+path.Base(name), uid, -1); err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	return nil
}
