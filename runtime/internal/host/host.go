// Package host says what this kernel and this machine offer, as a plain value.
//
// The value is probed once, by the process that was called, and handed to every decision; nothing below asks the machine
// again. Tests and golden plans make the value by hand, and the fault variants take features away from a probed one. A
// feature that is absent here is never tried; one that is present may still fail (a seccomp filter around us, a policy), and
// then that call's own error counts.
package host

// Host is what a create needs to know about the machine. The zero value is a machine that offers nothing.
type Host struct {
	Arch        string   `json:"arch"` // GOARCH: "amd64", "arm64"
	Kernel      Kernel   `json:"kernel"`
	PageSize    int      `json:"pageSize"` // bytes
	EUID        int      `json:"euid"`
	Rootless    bool     `json:"rootless"`  // not uid 0, or in a user namespace that does not map every id to itself
	LastCap     int      `json:"lastCap"`   // the highest capability the kernel knows
	Permitted   uint64   `json:"permitted"` // our own permitted capabilities; a process in a new user namespace has all there are
	Cgroup      Cgroup   `json:"cgroup"`
	LSM         LSM      `json:"lsm"`
	Resctrl     string   `json:"resctrl,omitempty"` // mount point of the resctrl filesystem, empty if there is none
	Seccomp     bool     `json:"seccomp"`
	MemfdNoexec int      `json:"memfdNoexec"` // vm.memfd_noexec: 0 free, 1 not executable unless asked for, 2 never executable
	Features    Features `json:"features"`
}

// Kernel is a version, comparable by AtLeast.
type Kernel struct {
	Major   int    `json:"major"`
	Minor   int    `json:"minor"`
	Release string `json:"release"` // as uname(2) says it
}

// AtLeast says whether the kernel is major.minor or newer.
func (k Kernel) AtLeast(major, minor int) bool {
	return k.Major > major || k.Major == major && k.Minor >= minor
}

// CgroupMode is how the machine mounts its control groups.
type CgroupMode string

// The modes of control groups.
const (
	CgroupNone   CgroupMode = "none"
	CgroupV1     CgroupMode = "v1"     // controllers in v1 hierarchies, no v2 hierarchy
	CgroupHybrid CgroupMode = "hybrid" // controllers in v1 hierarchies, and a v2 hierarchy beside them
	CgroupV2     CgroupMode = "v2"     // one v2 hierarchy
)

// Cgroup is the mode and where the v2 hierarchy is.
type Cgroup struct {
	Mode    CgroupMode `json:"mode"`
	Unified string     `json:"unified,omitempty"` // mount point of the v2 hierarchy, empty if there is none
}

// LSM tells which security modules label processes.
type LSM struct {
	Apparmor bool `json:"apparmor"`
	Selinux  bool `json:"selinux"`
}

// Features are system calls and options of them that a kernel may lack. Probe decides by version; a test may set any to
// false to walk the fallback.
type Features struct {
	Openat2          bool `json:"openat2"`          // 5.6
	Clone3           bool `json:"clone3"`           // 5.3; into a cgroup 5.7
	NewMount         bool `json:"newMount"`         // fsopen, fsmount, open_tree, move_mount: 5.2
	MountSetattr     bool `json:"mountSetattr"`     // 5.12
	IDMappedMounts   bool `json:"idmappedMounts"`   // 5.12
	TimeNamespace    bool `json:"timeNamespace"`    // 5.6
	NoSymFollow      bool `json:"noSymFollow"`      // 5.10
	CloseRange       bool `json:"closeRange"`       // 5.9; CLOSE_RANGE_CLOEXEC 5.11
	OpenTreeNS       bool `json:"openTreeNs"`       // OPEN_TREE_NAMESPACE: 7.0
	PidfdGetfd       bool `json:"pidfdGetfd"`       // 5.6
	SeccompListener  bool `json:"seccompListener"`  // 5.0
	CgroupKill       bool `json:"cgroupKill"`       // 5.14, v2 only
	SetnsPidfd       bool `json:"setnsPidfd"`       // 5.8
	MempolicyWeights bool `json:"mempolicyWeights"` // MPOL_WEIGHTED_INTERLEAVE: 6.9
}
