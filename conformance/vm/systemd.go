package vm

import (
	"maps"
	"slices"
	"strings"
)

// systemdPackages make a machine on which systemd is process 1, with its bus, its log-in manager for user managers,
// and the everyday programs that its units and their users run. What Debian only recommends, such as udev, stays out.
var systemdPackages = []string{
	"base-files", "base-passwd", "bash", "coreutils", "dbus", "dbus-user-session", "iproute2", "libpam-systemd", "libpam-runtime",
	"mount", "passwd", "procps", "systemd", "systemd-sysv", "util-linux",
}

// systemdWords say on the kernel's command line which world of cgroups systemd is to mount.
func (m Machine) systemdWords() string {
	if !m.Systemd {
		return ""
	}
	const quiet = "systemd.show_status=0 "
	switch m.Cgroup {
	case CgroupV1:
		return quiet + "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 "
	case CgroupHybrid:
		return quiet + "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 "
	}
	return quiet + "systemd.unified_cgroup_hierarchy=1 "
}

// systemdFiles are what maintainer scripts and an installer would have written. A machine-id that is there tells systemd
// that this is not a first boot, which would enable every unit.
var systemdFiles = map[string]string{
	"etc/machine-id":                          "c0ffee00c0ffee00c0ffee00c0ffee00\n",
	"etc/nsswitch.conf":                       "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
	"etc/shells":                              "/bin/sh\n/bin/bash\n",
	"etc/pam.d/common-auth":                   "auth required pam_permit.so\n",
	"etc/pam.d/common-account":                "account required pam_permit.so\n",
	"etc/pam.d/common-password":               "password required pam_permit.so\n",
	"etc/pam.d/common-session":                "session required pam_permit.so\nsession optional pam_systemd.so\n",
	"etc/pam.d/common-session-noninteractive": "session required pam_permit.so\n",
	"usr/lib/sysusers.d/vm.conf":              "u messagebus - \"System message bus\"\nu " + User + " 1000 \"Ordinary user\" /home/" + User + " /bin/bash\n",
	"usr/lib/tmpfiles.d/vm.conf":              "d /home/" + User + " 0755 " + User + " " + User + "\n",
	"etc/systemd/system/vm-agent.service": `[Unit]
Description=Runs the jobs of the host
After=dbus.socket systemd-logind.service systemd-user-sessions.service

[Service]
ExecStart=/init agent
Delegate=yes
KillMode=process
TasksMax=infinity
LimitNOFILE=524288
OOMScoreAdjust=-900
FailureAction=reboot-force
SuccessAction=reboot-force
StandardError=journal+console

[Install]
WantedBy=multi-user.target
`,
}

// User is an ordinary user, number 1000, on machines with systemd. "loginctl enable-linger" starts its user manager.
const User = "user"

// unneeded are units that only cost an emulated machine time.
var unneeded = []string{
	"ldconfig.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service", "systemd-update-done.service",
	"systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-firstboot.service", "systemd-journal-flush.service",
	"systemd-pcrmachine.service", "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-tpm2-setup.service",
	"systemd-tpm2-setup-early.service", "systemd-boot-random-seed.service", "systemd-random-seed.service", "systemd-binfmt.service",
	"systemd-machine-id-commit.service", "systemd-tmpfiles-clean.timer", "fstrim.timer", "getty.target", "e2scrub_reap.service",
	"modprobe@.service", "systemd-modules-load.service", "systemd-remount-fs.service", "systemd-tmpfiles-setup-dev-early.service",
	"run-lock.mount", "dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount",
	"sys-kernel-config.mount",
}

// systemd writes what a machine needs for systemd as process 1.
func (c *cpioWriter) systemd() {
	for _, name := range slices.Sorted(maps.Keys(systemdFiles)) {
		text := systemdFiles[name]
		c.file(name, 0o644, int64(len(text)), strings.NewReader(text))
	}
	for _, unit := range unneeded {
		c.symlink("etc/systemd/system/"+unit, "/dev/null")
	}
	c.symlink("etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")
	c.symlink("etc/systemd/system/multi-user.target.wants/vm-agent.service", "/etc/systemd/system/vm-agent.service")
}
