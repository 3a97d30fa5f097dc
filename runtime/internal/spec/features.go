package spec

import (
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// Features is the answer of `features` (features.md, features-linux.md) for a build that supports s. All of it comes from
// the tables that Validate and Resolve use, and nothing from the machine, except SupportedFlags where h is not nil: those are the
// kernel's. Annotations name the runtime and are the caller's part.
func Features(s Support, h *host.Host) *features.Features {
	return &features.Features{
		OCIVersionMin: VersionMin,
		OCIVersionMax: VersionMax,
		Hooks:         HookNames(),
		MountOptions:  mountOptionsOf(s),
		Linux: &features.Linux{
			Namespaces:      Namespaces(),
			Capabilities:    CapabilityNames(),
			Cgroup:          &features.Cgroup{V1: &s.CgroupV1, V2: &s.CgroupV2, Systemd: &s.Systemd, SystemdUser: &s.SystemdUser, Rdma: &s.Rdma},
			Seccomp:         seccompFeatures(s, h),
			Apparmor:        &features.Apparmor{Enabled: &s.Apparmor},
			Selinux:         &features.Selinux{Enabled: &s.Selinux},
			IntelRdt:        &features.IntelRdt{Enabled: &s.IntelRdt, Schemata: &s.IntelRdt, Monitoring: &s.RdtMonitoring},
			MemoryPolicy:    memoryPolicyFeatures(s),
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &s.IDMap}},
			NetDevices:      &features.NetDevices{Enabled: &s.NetDevices},
		},
	}
}

func mountOptionsOf(s Support) (l []string) {
	for _, name := range MountOptions() {
		if s.IDMap || name != "idmap" && name != "ridmap" {
			l = append(l, name)
		}
	}
	return l
}

func memoryPolicyFeatures(s Support) *features.MemoryPolicy {
	if !s.MemoryPolicy {
		return nil
	}
	return &features.MemoryPolicy{Modes: MemoryPolicyModes(), Flags: MemoryPolicyFlags()}
}

func seccompFeatures(s Support, h *host.Host) *features.Seccomp {
	f := &features.Seccomp{Enabled: &s.Seccomp}
	if !s.Seccomp {
		return f
	}
	f.Operators, f.Archs, f.KnownFlags = SeccompOperators(), SeccompArchitectures(), SeccompFlags()
	for _, a := range SeccompActions() {
		if s.SeccompNotify || a != "SCMP_ACT_NOTIFY" {
			f.Actions = append(f.Actions, a)
		}
	}
	if h != nil && h.Seccomp {
		for _, name := range f.KnownFlags {
			if name != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" || h.Kernel.AtLeast(5, 19) {
				f.SupportedFlags = append(f.SupportedFlags, name)
			}
		}
	}
	return f
}
