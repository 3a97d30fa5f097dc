package seccomp

import specs "github.com/opencontainers/runtime-spec/specs-go"

// arch is one of the ways in which a process may number its system calls.
type arch uint8

// The architectures, in the order of a row's numbers.
const (
	x8664 arch = iota
	x86
	x32
	arm64
	arm
	archs
)

// Numbers of x32 calls have this bit; the kernel reports x86-64's architecture for them.
const x32Bit = 0x40000000

// kinds are what a filter needs to know of an architecture.
var kinds = [archs]struct {
	word    specs.Arch
	audit   uint32 // AUDIT_ARCH_… of linux/audit.h: what seccomp_data.arch says
	base    uint32 // the lowest number
	private uint32 // where numbers of the architecture's own begin, which do not grow with new kernels; 0: nowhere
	narrow  bool   // arguments have 32 bits
}{
	x8664: {word: specs.ArchX86_64, audit: 0xc000003e},
	x86:   {word: specs.ArchX86, audit: 0x40000003, narrow: true},
	x32:   {word: specs.ArchX32, audit: 0xc000003e, base: x32Bit, private: x32Bit | 512, narrow: true},
	arm64: {word: specs.ArchAARCH64, audit: 0xc00000b7},
	arm:   {word: specs.ArchARM, audit: 0x40000028, private: 0xf0000, narrow: true},
}

// archSet is a set of architectures.
type archSet uint8

func (s archSet) has(a arch) bool { return s&(1<<a) != 0 }

// archsOf are the architectures that a kernel can run, its native one first.
func archsOf(goarch string) []arch {
	switch goarch {
	case "amd64":
		return []arch{x8664, x86, x32}
	case "arm64":
		return []arch{arm64, arm}
	}
	return nil
}

// wanted are the architectures of the profile that the machine can run. The native one is always among them, as with
// libseccomp; calls of one that is not are answered by killing the thread.
func wanted(profile *specs.LinuxSeccomp, machine []arch) archSet {
	set := archSet(1) << machine[0]
	for _, word := range profile.Architectures {
		for _, a := range machine {
			if kinds[a].word == word {
				set |= 1 << a
			}
		}
	}
	return set
}
