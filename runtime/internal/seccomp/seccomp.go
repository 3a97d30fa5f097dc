// Package seccomp compiles the profile of a config.json to a program for the kernel's system call filter, without
// libseccomp.
//
// The parties: the profile's author, who thinks in names of system calls; libseccomp, whose reading of such profiles is
// what authors have tested against, and which this package follows to the number (its tests run both filters and compare);
// and the process under the filter, which is hostile. It may call by any architecture that the kernel runs, with any number
// and any arguments; what the profile does not speak of gets the default action.
//
// The way of a profile: its rules are collected per system call ([Compile], rules.go), laid out per architecture as ranges
// of numbers with the same outcome (ranges.go), and searched by a binary tree (program.go, compare.go). table.go has the
// numbers and is generated.
package seccomp

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Filter is a compiled profile.
type Filter struct {
	Program []byte   // array of struct sock_filter, in the byte order of amd64 and arm64
	Flags   uint64   // for seccomp(2), SECCOMP_FILTER_FLAG_NEW_LISTENER included where Notify says so
	Notify  bool     // seccomp(2) returns a listener
	Unknown []string // names in the profile that no system call has; their rules are ignored
}

// WaitKillable says that the flags have SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, which kernels before 5.19 refuse.
func (f *Filter) WaitKillable() bool { return f.Flags&flagWaitKillable != 0 }

// maxInstructions is BPF_MAXINSNS (linux/bpf_common.h).
const maxInstructions = 4096

// Compile makes the filter for a machine, named as GOARCH names it. Its errors name the place in config.json.
func Compile(profile *specs.LinuxSeccomp, goarch string) (Filter, error) {
	machine := archsOf(goarch)
	if machine == nil {
		return Filter{}, fmt.Errorf("linux.seccomp: no filter can be made for the architecture %s", goarch)
	}
	r, err := collect(profile)
	if err != nil {
		return Filter{}, err
	}
	flags, err := flagsOf(profile, r.notify)
	if err != nil {
		return Filter{}, err
	}
	p := assemble(r, machine, wanted(profile, machine))
	if n := len(p.code); n > maxInstructions {
		return Filter{}, fmt.Errorf("linux.seccomp: the filter takes %d instructions, and the kernel takes %d at most: name fewer system calls or arguments", n, maxInstructions)
	}
	return Filter{Program: p.bytes(), Flags: flags, Notify: r.notify, Unknown: r.unknown}, nil
}
