package spec

import specs "github.com/opencontainers/runtime-spec/specs-go"

// Support is what the rest of the runtime can apply of the specification's optional parts. Validate refuses a config that
// uses a part that is false here, and Features claims those that are true: config.md "Valid values" wants an error for
// what is not supported, and nobody is served by a container without the filter or the device it was promised.
type Support struct {
	Seccomp       bool // linux.seccomp
	SeccompNotify bool // SCMP_ACT_NOTIFY with listenerPath
	Apparmor      bool // process.apparmorProfile
	Selinux       bool // process.selinuxLabel, linux.mountLabel
	IntelRdt      bool // linux.intelRdt, schemata included
	RdtMonitoring bool // linux.intelRdt.enableMonitoring
	MemoryPolicy  bool // linux.memoryPolicy
	NetDevices    bool // linux.netDevices
	IDMap         bool // idmapped mounts
	CgroupV1      bool
	CgroupV2      bool
	Systemd       bool // --systemd-cgroup with the system's systemd
	SystemdUser   bool // --systemd-cgroup with the user's systemd
	Rdma          bool // linux.resources.rdma
}

// Supported is this build's Support. A part becomes true together with the code and the test that apply it.
var Supported = Support{
	Seccomp:       true,
	SeccompNotify: true,
	Apparmor:      true,
	Selinux:       true,
	IntelRdt:      true,
	RdtMonitoring: true,
	MemoryPolicy:  true,
	NetDevices:    true,
	IDMap:         true,
	CgroupV1:      true,
	CgroupV2:      true,
	Systemd:       true,
	SystemdUser:   true,
	Rdma:          true,
}

// parts are the places in a config that need a part of Support.
var parts = []struct {
	path string
	has  func(Support) bool
	used func(raw *specs.Spec, l *specs.Linux) bool
}{
	{"linux.seccomp", func(s Support) bool { return s.Seccomp }, func(_ *specs.Spec, l *specs.Linux) bool { return l.Seccomp != nil }},
	{"linux.seccomp.listenerPath", func(s Support) bool { return s.SeccompNotify }, func(_ *specs.Spec, l *specs.Linux) bool { return notifies(l.Seccomp) }},
	{"process.apparmorProfile", func(s Support) bool { return s.Apparmor }, func(r *specs.Spec, _ *specs.Linux) bool { return r.Process != nil && r.Process.ApparmorProfile != "" }},
	{"process.selinuxLabel", func(s Support) bool { return s.Selinux }, func(r *specs.Spec, _ *specs.Linux) bool { return r.Process != nil && r.Process.SelinuxLabel != "" }},
	{"linux.mountLabel", func(s Support) bool { return s.Selinux }, func(_ *specs.Spec, l *specs.Linux) bool { return l.MountLabel != "" }},
	{"linux.intelRdt", func(s Support) bool { return s.IntelRdt }, func(_ *specs.Spec, l *specs.Linux) bool { return l.IntelRdt != nil }},
	{"linux.intelRdt.enableMonitoring", func(s Support) bool { return s.RdtMonitoring }, func(_ *specs.Spec, l *specs.Linux) bool { return l.IntelRdt != nil && l.IntelRdt.EnableMonitoring }},
	{"linux.memoryPolicy", func(s Support) bool { return s.MemoryPolicy }, func(_ *specs.Spec, l *specs.Linux) bool { return l.MemoryPolicy != nil }},
	{"linux.netDevices", func(s Support) bool { return s.NetDevices }, func(_ *specs.Spec, l *specs.Linux) bool { return len(l.NetDevices) > 0 }},
	{"mounts", func(s Support) bool { return s.IDMap }, func(r *specs.Spec, _ *specs.Linux) bool { return idmapped(r) }},
	{"linux.resources.rdma", func(s Support) bool { return s.Rdma }, func(_ *specs.Spec, l *specs.Linux) bool { return l.Resources != nil && len(l.Resources.Rdma) > 0 }},
}

// Unsupported gives the findings about properties that this build cannot apply. Validate includes them for Supported.
func Unsupported(raw *specs.Spec, s Support) (found []Finding) {
	l := raw.Linux
	if l == nil {
		l = &specs.Linux{}
	}
	for _, p := range parts {
		if !p.has(s) && p.used(raw, l) {
			f := Finding{Path: p.path, Message: "is not supported by this version", Remedy: "leave it out", Clause: "config.md, Valid values"}
			if p.path == "mounts" {
				f.Message = "has an idmapped mount, which is not supported by this version"
			}
			found = append(found, f)
		}
	}
	return found
}

func notifies(s *specs.LinuxSeccomp) bool {
	if s == nil {
		return false
	}
	for i := range s.Syscalls {
		if s.Syscalls[i].Action == specs.ActNotify {
			return true
		}
	}
	return false
}

func idmapped(raw *specs.Spec) bool {
	for i := range raw.Mounts {
		m := &raw.Mounts[i]
		if len(m.UIDMappings)+len(m.GIDMappings) > 0 || hasOption(m.Options, "idmap", "ridmap") {
			return true
		}
	}
	return false
}
