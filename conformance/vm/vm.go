// Package vm boots Debian's own kernels in qemu, with an initial file system made here, to run programs in worlds that
// the machine at hand lacks: cgroup v2 or v1, another architecture, an older or newer kernel, systemd, AppArmor.
//
//	res, err := vm.Machine{Arch: "arm64"}.Run(ctx, vm.Job{Command: []string{"uname", "-m"}})
//
// The parties: the test, which trusts this package; the Debian archive, whose signatures apt checks with the keyring of
// the machine at hand; qemu, which keeps the guest inside; and the guest, in which a job is root and may do what it
// likes. The guest has no network and no disk, and nothing of it outlasts its process. Nothing needs root, KVM, or a
// change to the machine at hand: kernels and packages come through an apt configuration of their own and are kept in
// the user's cache directory.
//
// Where qemu, apt, the keyring or the archive is missing, the error is an *Unavailable, for tests to count as a skip.
package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/berth-oci/berth/conformance/vm/wire"
)

// Worlds of cgroups a Machine may be furnished with.
const (
	CgroupV1     = "v1"     // each controller in a v1 hierarchy, as Debian 10 had them; kernels up to bookworm's
	CgroupHybrid = "hybrid" // v1 with a v2 hierarchy that has no controllers at /sys/fs/cgroup/unified
	CgroupV2     = "v2"     // the v2 hierarchy alone at /sys/fs/cgroup
)

// DefaultSuite is the Debian suite whose kernel and packages a machine has unless told otherwise. Of the suites it is
// the one that boots quickest: what the conversation with the host needs is built into its kernels.
const DefaultSuite = "trixie"

// Machine describes a virtual machine. The zero value is usable: every field has a default.
type Machine struct {
	Arch        string        // amd64 or arm64; by default that of the program
	Suite       string        // Debian suite: bullseye, bookworm, trixie, sid; by default DefaultSuite
	Cgroup      string        // CgroupV1, CgroupHybrid or CgroupV2, the default
	Memory      int           // MiB; by default 1024, with systemd 1536
	CPUs        int           // by default 2
	CPU         string        // qemu's CPU model; by default max,-cx16 on amd64, cortex-a72 on arm64
	Append      string        // more words for the kernel's command line
	Modules     []string      // kernel modules to load besides DefaultModules
	Packages    []string      // Debian packages whose files, and those of their dependencies, are laid out in the guest
	Systemd     bool          // systemd is process 1, of the suite's version, and jobs run in a service
	Console     io.Writer     // is given what the kernel prints as it comes
	BootTimeout time.Duration // of each attempt, from qemu's start to the agent's hello; by default three minutes, for busy hosts
}

// Facts is what a guest tells about itself when it is up.
type Facts = wire.Facts

// File is content for a guest: Data, or when Host is not empty a file or directory of the host, with everything below.
type File struct {
	Host string
	Data []byte
	Mode fs.FileMode // of Data; 0 means 0644. Files from the host keep theirs
}

// Job is a command to run in a guest.
type Job struct {
	Files   map[string]File // absolute path in the guest → content, written before the command starts
	Command []string        // looked up in the PATH of Env
	Env     []string        // added to PATH, HOME, TERM and LANG; the last of a name wins
	Dir     string          // working directory; by default /
	UID     uint32          // the user that runs it, without further groups; by default root
	GID     uint32          // that user's group
	Stdin   io.Reader       // read whole before the job starts; by default empty
	Stdout  io.Writer       // nil: collected in Result.Stdout
	Stderr  io.Writer       // nil: collected in Result.Stderr
	Fetch   []string        // files, directories or patterns to bring back in Result.Files
}

// Result is how a job ended. A command that fails is a result, not an error.
type Result struct {
	ExitCode int               // -1 when killed by a signal
	Signal   syscall.Signal    // 0 unless killed by it
	Stdout   []byte            // when Job.Stdout was nil
	Stderr   []byte            // when Job.Stderr was nil
	Files    map[string][]byte // regular files of Job.Fetch by absolute path in the guest
	Missing  []string          // entries of Job.Fetch that match nothing
}

// Unavailable says that this machine cannot have such a virtual machine or package, through no fault of the caller.
// Tests that need it count a skip and give the error as their reason.
type Unavailable struct {
	What   string // the thing that cannot be had
	Err    error  // why
	Remedy string // what would help, or ""
}

func (u *Unavailable) Error() string {
	msg := fmt.Sprintf("cannot have %s: %v", u.What, u.Err)
	if u.Remedy != "" {
		msg += "\n" + u.Remedy
	}
	return msg
}

func (u *Unavailable) Unwrap() error { return u.Err }

// IsUnavailable reports whether err says that the virtual machine or package cannot be had here.
func IsUnavailable(err error) bool {
	var u *Unavailable
	return errors.As(err, &u)
}

// Panicked reports whether err says that a guest's kernel panicked.
func Panicked(err error) bool { return err != nil && strings.Contains(err.Error(), "Kernel panic") }

// Run boots the machine, runs one job in it and ends it.
func (m Machine) Run(ctx context.Context, job Job) (Result, error) {
	g, err := m.Boot(ctx)
	if err != nil {
		return Result{}, err
	}
	defer g.Close()
	return g.Run(ctx, job)
}

// String names the machine in test names and messages: architecture, suite and cgroup world.
func (m Machine) String() string {
	m = m.withDefaults()
	name := m.Arch + "-" + m.Suite + "-" + m.Cgroup
	if m.Systemd {
		name += "-systemd"
	}
	return name
}

func (m Machine) withDefaults() Machine {
	if m.Arch == "" {
		m.Arch = runtime.GOARCH
	}
	if m.Suite == "" {
		m.Suite = DefaultSuite
	}
	if m.Cgroup == "" {
		m.Cgroup = CgroupV2
	}
	if m.Memory == 0 {
		m.Memory = 1024
		if m.Systemd {
			m.Memory = 1536
		}
	}
	if m.CPUs == 0 {
		m.CPUs = 2
	}
	if m.BootTimeout == 0 {
		m.BootTimeout = 3 * time.Minute
	}
	return m
}

func (m Machine) validate() error {
	if m.Arch != "amd64" && m.Arch != "arm64" {
		return fmt.Errorf("cannot boot a machine of architecture %q: only amd64 and arm64 are known", m.Arch)
	}
	switch m.Cgroup {
	case CgroupV1, CgroupHybrid, CgroupV2:
		return nil
	}
	return fmt.Errorf("cannot boot a machine with cgroup world %q: only v1, hybrid and v2 are known", m.Cgroup)
}
