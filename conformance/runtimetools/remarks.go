package runtimetools

// Remarks tell, for programs that a runtime may fail without breaking the specification, why.
var Remarks = map[string]string{
	"hooks_stdin":                    `suite: wants status "created" in prestart; runtime.md: created is when "the runtime has finished the create operation", of which config.md makes prestart hooks a part`,
	"linux_cgroups_blkio":            `not applicable where the kernel has no blkio.leaf_weight (gone since Linux 5.0): a value that cannot be applied is an error`,
	"linux_cgroups_relative_blkio":   `as linux_cgroups_blkio`,
	"linux_cgroups_hugetlb":          `not applicable where no hugetlb hierarchy is mounted`,
	"linux_cgroups_relative_hugetlb": `as linux_cgroups_hugetlb`,
	"linux_cgroups_network":          `not applicable where no net_cls hierarchy is mounted`,
	"linux_cgroups_relative_network": `as linux_cgroups_network`,
	"linux_cgroups_devices":          `suite: counts on the position of its rules in devices.list, which the kernel keeps in its own form`,
	"linux_cgroups_relative_devices": `as linux_cgroups_devices`,
	"linux_cgroups_memory":           `suite: kernel memory limits are "NOT RECOMMENDED" (config-linux.md, Memory) and gone from Linux 5.16 on`,
	"linux_cgroups_relative_memory":  `as linux_cgroups_memory`,
	"linux_cgroups_pids":             `suite: compares the addresses of two numbers, not the numbers`,
	"linux_cgroups_relative_pids":    `as linux_cgroups_pids`,
	"linux_mount_label":              `not applicable without SELinux: a label that cannot be applied is an error`,
	"linux_process_apparmor_profile": `not applicable without AppArmor: a profile that cannot be applied is an error`,
	"linux_ns_itype":                 `suite: takes away the mount namespace and leaves the mounts, which land on the host: runc leaves /proc, /dev and /sys mounted there; a strict runtime refuses`,
	"pidfile":                        `suite: kills the container after its program, true, has ended; runtime.md, Kill: "Attempting to send a signal to a container that is neither created nor running MUST have no effect on the container and MUST generate an error"`,
	"misc_props":                     `suite: the annotation's container executes /runtimetest, which the program does not put there`,
	"process_capabilities":           `not applicable where the caller lacks a capability that the config asks for`,
	"process_capabilities_fail":      `suite: wants an error for an unknown capability; config.md, Linux Process: a value that "cannot be mapped to a relevant kernel interface, or cannot be granted otherwise MUST be logged as a warning"`,
	"process_rlimits":                `suite: its own Go runtime raises the soft limit of open files before it looks`,
	"delete_resources":               `as linux_cgroups_pids`,
	"start":                          `suite: passes where start succeeds, against the words it prints: "start operation MUST generate an error if process was not set"`,
}
