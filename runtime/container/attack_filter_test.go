package container

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// convention is one way to ask the kernel for a system call.
type convention struct {
	entry  string // "int 0x80", or the architecture's own instruction
	number uint32
}

func (c convention) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %#x", c.entry, c.number))
}

// program writes the static program that makes the call into a root filesystem, and names it.
func (c convention) program(s *scene, root string) string {
	name := fmt.Sprintf("/caller-%s-%x", strings.ReplaceAll(c.entry, " ", "-"), c.number)
	s.must(os.WriteFile(filepath.Join(root, name), caller(c.entry, c.number), 0755))
	return name
}

// foreign says that the call is not by the architecture's own convention.
func (c convention) foreign() bool { return c.entry != "" || c.number >= x32 }

// conventions are the ways to mount(2) that this kernel knows, and with each of them numbers that no kernel has a call for. Without a filter
// the former do arrive at mount, which dislikes its arguments.
func (s *scene) conventions() (mounts, unknowns []convention) {
	s.Helper()
	const mount386 = 21
	all := []convention{{"", syscall.SYS_MOUNT}}
	if goruntime.GOARCH == "amd64" {
		all = append(all, convention{"", x32 | syscall.SYS_MOUNT}, convention{"int 0x80", mount386})
	}
	for _, c := range all {
		dir, root := s.bundle(nil)
		name := c.program(s, root)
		_, status, err := s.run(s.again(dir, func(p *specs.Spec) { p.Process.Args = []string{name} }))
		s.must(err)
		switch {
		case status == int(syscall.EFAULT):
			mounts = append(mounts, c)
			unknowns = append(unknowns, convention{c.entry, c.number&x32 | 1000}, convention{c.entry, c.number&x32 | 0xfff})
		case !c.foreign():
			s.Fatalf("mount does not arrive without a filter either: %d", status)
		case c.entry != "" && has32BitEntry():
			s.Fatalf("%s does not arrive without a filter either, on a kernel that takes it: %d", c, status)
		case c.entry == "": // a kernel without x32: only the filter is asked
			unknowns = append(unknowns, convention{"", x32 | 1000})
		}
	}
	return mounts, unknowns
}

// has32BitEntry says that this is one of Debian's kernels for virtual machines, which all take int 0x80 (and none of which takes x32).
func has32BitEntry() bool {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.HasSuffix(strings.TrimSpace(string(release)), "-cloud-amd64")
}

// TestAttack21CallsByOtherConventions: a call that the filter forbids is made as x32, by the 32-bit entry and by numbers that are none; by
// the first process, by a further one and by a hook of the image. Without a filter the call arrives; with one it never does.
func TestAttack21CallsByOtherConventions(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		mounts, unknowns := s.conventions()
		native := func(own int) func(convention) int {
			return func(c convention) int {
				if c.foreign() {
					return killed // as libseccomp's filters do with an architecture that the profile does not name
				}
				return own
			}
		}
		always := func(n syscall.Errno) func(convention) int { return func(convention) int { return int(n) } }
		s.callsEnd("mount forbidden on the machine's own architecture", on("mount", specs.ActErrno, 77), mounts, native(77))
		s.callsEnd("mount forbidden on the machine's own architecture", on("mount", specs.ActErrno, 77), unknowns, native(int(syscall.ENOSYS)))
		s.callsEnd("Docker's profile", dockers(t), mounts, always(syscall.EPERM))
		s.callsEnd("Docker's profile", dockers(t), unknowns, always(syscall.ENOSYS))
	})
}

// callsEnd makes each call under a profile and wants it to end as want says: an error number, or the status of a death.
func (s *scene) callsEnd(what string, profile *specs.LinuxSeccomp, calls []convention, want func(convention) int) {
	s.Helper()
	sleeper, root := s.bundle(func(c *specs.Spec) { c.Linux.Seccomp = profile }, "sleep")
	id := s.started(sleeper)
	for _, c := range calls {
		name := c.program(s, root)
		_, further, err := s.exec(id, ExecOptions{Args: []string{name}})
		s.must(err)
		_, first, err := s.run(s.again(sleeper, func(p *specs.Spec) { p.Process.Args = []string{name} }))
		s.must(err)
		if first != want(c) || further != want(c) {
			s.Errorf("%s: %s ended with %d in the first process and %d in a further one, want %d", what, c, first, further, want(c))
		}
		hooked := s.again(sleeper, func(p *specs.Spec) { p.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: name}}} })
		if _, _, err := s.run(hooked); err == nil || want(c) != killed && !strings.Contains(err.Error(), fmt.Sprintf("status %d", want(c))) {
			s.Errorf("%s: %s in a hook of the image: %v, want %d", what, c, err, want(c))
		}
	}
}

// again is a bundle with the root filesystem of another and its config, changed.
func (s *scene) again(dir string, change func(*specs.Spec)) string {
	s.Helper()
	c, err := spec.Load(dir)
	s.must(err)
	c.Root.Path = filepath.Join(dir, "rootfs")
	change(c)
	copied := s.TempDir()
	writeConfig(s.T, copied, c)
	return copied
}
