package spec

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The words that config.json may use, and the kernel's numbers for them. Validation, resolution and `features` read these
// same tables, so what is claimed, what is accepted and what is done cannot differ.

// capabilities in the order of linux/capability.h: the index is the number.
var capabilities = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
	"CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
	"CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ",
	"CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// LastCap is the highest capability this package knows (CAP_CHECKPOINT_RESTORE, Linux 5.9).
const LastCap = len(capabilities) - 1

// CapabilityNames are the names config.json may use, in the kernel's order.
func CapabilityNames() []string { return slices.Clone(capabilities[:]) }

// Capability finds the number of a name such as CAP_CHOWN.
func Capability(name string) (int, bool) {
	n := slices.Index(capabilities[:], name)
	return n, n >= 0
}

// rlimits in the order of asm-generic/resource.h: the index is the number (amd64 and arm64).
var rlimits = [...]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
	"RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE",
	"RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

// word is a name of config.json with its number.
type word[N any] struct {
	name  string
	value N
}

func lookup[S ~string, N any](words []word[N], name S) (value N, ok bool) {
	for i := range words {
		if words[i].name == string(name) {
			return words[i].value, true
		}
	}
	return value, false
}

func names[N any](words []word[N]) []string {
	l := make([]string, len(words))
	for i := range words {
		l[i] = words[i].name
	}
	return l
}

// Scheduling policies that sched_setattr(2) may get (linux/sched.h).
const (
	SCHED_OTHER    = 0
	SCHED_FIFO     = 1
	SCHED_RR       = 2
	SCHED_BATCH    = 3
	SCHED_IDLE     = 5
	SCHED_DEADLINE = 6
)

// SCHED_ISO is a word of the specification but of no kernel: the number is reserved and sched_setattr refuses it.
var schedulerPolicies = []word[uint32]{
	{"SCHED_OTHER", SCHED_OTHER}, {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR}, {"SCHED_BATCH", SCHED_BATCH},
	{"SCHED_IDLE", SCHED_IDLE}, {"SCHED_DEADLINE", SCHED_DEADLINE},
}

// The utilisation clamps (SCHED_FLAG_UTIL_CLAMP_MIN and _MAX) are words of the specification without properties for their
// values, so they cannot be applied and are refused.
var schedulerFlags = []word[uint64]{
	{"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02}, {"SCHED_FLAG_DL_OVERRUN", 0x04},
	{"SCHED_FLAG_KEEP_POLICY", 0x08}, {"SCHED_FLAG_KEEP_PARAMS", 0x10},
}

var ioClasses = []word[int]{{"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}}

var personalities = []word[uint32]{{"LINUX", 0}, {"LINUX32", 8}}

// Memory policies (linux/mempolicy.h).
const (
	MPOL_DEFAULT             = 0
	MPOL_PREFERRED           = 1
	MPOL_BIND                = 2
	MPOL_INTERLEAVE          = 3
	MPOL_LOCAL               = 4
	MPOL_PREFERRED_MANY      = 5
	MPOL_WEIGHTED_INTERLEAVE = 6
	MPOL_F_NUMA_BALANCING    = 1 << 13
	MPOL_F_RELATIVE_NODES    = 1 << 14
	MPOL_F_STATIC_NODES      = 1 << 15
)

var memoryPolicyModes = []word[int]{
	{"MPOL_DEFAULT", MPOL_DEFAULT}, {"MPOL_BIND", MPOL_BIND}, {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
	{"MPOL_WEIGHTED_INTERLEAVE", MPOL_WEIGHTED_INTERLEAVE}, {"MPOL_PREFERRED", MPOL_PREFERRED},
	{"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY}, {"MPOL_LOCAL", MPOL_LOCAL},
}

var memoryPolicyFlags = []word[int]{
	{"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING}, {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
	{"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
}

// The r… forms are no words of config-linux.md but of every engine: they hold for all mounts below the root as well.
var rootfsPropagations = []word[uintptr]{
	{"shared", MS_SHARED}, {"slave", MS_SLAVE}, {"private", MS_PRIVATE}, {"unbindable", MS_UNBINDABLE},
	{"rshared", MS_SHARED | MS_REC}, {"rslave", MS_SLAVE | MS_REC}, {"rprivate", MS_PRIVATE | MS_REC},
	{"runbindable", MS_UNBINDABLE | MS_REC},
}

// hookLists are the six lists in the order in which they run.
var hookLists = [...]struct {
	name string
	raw  func(*specs.Hooks) []specs.Hook
	to   func(*Hooks) *[]Hook
}{
	//lint:ignore SA1019 deprecated for those who write configs, a MUST for those who run them
	{"prestart", func(h *specs.Hooks) []specs.Hook { return h.Prestart }, func(h *Hooks) *[]Hook { return &h.Prestart }},
	{"createRuntime", func(h *specs.Hooks) []specs.Hook { return h.CreateRuntime }, func(h *Hooks) *[]Hook { return &h.CreateRuntime }},
	{"createContainer", func(h *specs.Hooks) []specs.Hook { return h.CreateContainer }, func(h *Hooks) *[]Hook { return &h.CreateContainer }},
	{"startContainer", func(h *specs.Hooks) []specs.Hook { return h.StartContainer }, func(h *Hooks) *[]Hook { return &h.StartContainer }},
	{"poststart", func(h *specs.Hooks) []specs.Hook { return h.Poststart }, func(h *Hooks) *[]Hook { return &h.Poststart }},
	{"poststop", func(h *specs.Hooks) []specs.Hook { return h.Poststop }, func(h *Hooks) *[]Hook { return &h.Poststop }},
}

// HookNames are the names of the lists of hooks, in the order in which they run.
func HookNames() []string {
	l := make([]string, len(hookLists))
	for i := range hookLists {
		l[i] = hookLists[i].name
	}
	return l
}

// Words of linux.seccomp (libseccomp 2.6's seccomp.h); what they become is the seccomp package's part.
var (
	seccompActions = []string{
		"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
		"SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
	}
	seccompOperators = []string{
		"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
	}
	seccompFlags = []string{
		"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
		"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	}
	seccompArchitectures = []string{
		"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64",
		"SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC",
		"SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64", "SCMP_ARCH_S390",
		"SCMP_ARCH_S390X", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64",
	}
)

// SeccompActions are the actions config.json may use, sorted.
func SeccompActions() []string { return slices.Clone(seccompActions) }

// SeccompOperators are the comparisons config.json may use, sorted.
func SeccompOperators() []string { return slices.Clone(seccompOperators) }

// SeccompFlags are the filter flags config.json may use, sorted.
func SeccompFlags() []string { return slices.Clone(seccompFlags) }

// SeccompArchitectures are the architectures config.json may name, sorted. All are accepted in a profile; a filter is built
// for those of this machine.
func SeccompArchitectures() []string { return slices.Clone(seccompArchitectures) }

// MemoryPolicyModes are the modes config.json may use.
func MemoryPolicyModes() []string { return names(memoryPolicyModes) }

// MemoryPolicyFlags are the flags config.json may use.
func MemoryPolicyFlags() []string { return names(memoryPolicyFlags) }
