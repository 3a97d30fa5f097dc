package host

import (
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Probe asks this machine. It makes about fifteen cheap system calls and starts nothing; what cannot be found out counts as
// absent.
func Probe() Host {
	h := Host{
		Arch:        runtime.GOARCH,
		Kernel:      probeKernel(),
		PageSize:    syscall.Getpagesize(),
		EUID:        syscall.Geteuid(),
		LastCap:     probeLastCap(),
		Permitted:   probePermitted(),
		Cgroup:      probeCgroup(),
		LSM:         probeLSM(),
		Resctrl:     probeResctrl(),
		Seccomp:     probeSeccomp(),
		MemfdNoexec: probeMemfdNoexec(),
	}
	h.Rootless = h.EUID != 0 || !ownsEveryID()
	h.Features = featuresOf(h.Kernel)
	return h
}

// featuresOf says what a kernel has by its version. Distributions backport calls to older kernels, but a call that is used
// too seldom is slower, not wrong.
func featuresOf(k Kernel) Features {
	return Features{
		Openat2:          k.AtLeast(5, 6),
		Clone3:           k.AtLeast(5, 7),
		NewMount:         k.AtLeast(5, 2),
		MountSetattr:     k.AtLeast(5, 12),
		IDMappedMounts:   k.AtLeast(5, 12),
		TimeNamespace:    k.AtLeast(5, 6),
		NoSymFollow:      k.AtLeast(5, 10),
		CloseRange:       k.AtLeast(5, 11),
		OpenTreeNS:       k.AtLeast(7, 0),
		PidfdGetfd:       k.AtLeast(5, 6),
		SeccompListener:  k.AtLeast(5, 0),
		CgroupKill:       k.AtLeast(5, 14),
		SetnsPidfd:       k.AtLeast(5, 8),
		MempolicyWeights: k.AtLeast(6, 9),
	}
}

func probeKernel() Kernel {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return Kernel{}
	}
	b := make([]byte, 0, len(u.Release))
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return ParseKernel(string(b))
}

// ParseKernel reads a release such as "6.1.0-18-amd64". One that cannot be read is version 0.0.
func ParseKernel(release string) Kernel {
	k := Kernel{Release: release}
	major, rest, _ := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(rest)
	if err1 == nil && err2 == nil {
		k.Major, k.Minor = a, b
	}
	return k
}

const (
	prGetSeccomp  = 21
	prCapbsetRead = 23
	capVersion3   = 0x20080522
)

// probeLastCap asks for one capability after the other, from the first that a kernel of the supported range may lack:
// prctl(PR_CAPBSET_READ) fails for one the kernel does not know.
func probeLastCap() int {
	for n := 38; n < 64; n++ { // CAP_PERFMON, Linux 5.8
		if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, prCapbsetRead, uintptr(n), 0); e != 0 {
			return n - 1
		}
	}
	return 63
}

func probePermitted() uint64 {
	header := struct {
		version uint32
		pid     int32
	}{version: capVersion3}
	var data [2]struct{ effective, permitted, inheritable uint32 }
	_, _, e := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	if e != 0 {
		return 0
	}
	return uint64(data[1].permitted)<<32 | uint64(data[0].permitted)
}

func probeSeccomp() bool {
	_, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, prGetSeccomp, 0, 0)
	return e == 0
}

// Magic numbers of statfs(2) (linux/magic.h).
const (
	cgroup2Magic = 0x63677270
	selinuxMagic = 0xf97cff8c
	tmpfsMagic   = 0x01021994
)

func filesystem(path string) uint32 {
	var st syscall.Statfs_t
	if syscall.Statfs(path, &st) != nil {
		return 0
	}
	return uint32(st.Type)
}

// probeCgroup looks where every distribution mounts the hierarchies, as systemd and runc do; only if nothing is there does it
// read the mount table.
func probeCgroup() Cgroup {
	const root = "/sys/fs/cgroup"
	switch filesystem(root) {
	case cgroup2Magic:
		return Cgroup{Mode: CgroupV2, Unified: root}
	case tmpfsMagic:
		if filesystem(root+"/unified") == cgroup2Magic {
			return Cgroup{Mode: CgroupHybrid, Unified: root + "/unified"}
		}
	}
	return cgroupOf(readSmall("/proc/self/mountinfo", 1<<20))
}

// cgroupOf reads a mount table (proc_pid_mountinfo(5)): " - TYPE" ends the optional fields, the mount point is the fifth field.
func cgroupOf(mountinfo string) Cgroup {
	v1, unified := false, ""
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		switch kind, _, _ := strings.Cut(after, " "); {
		case len(fields) < 5:
		case kind == "cgroup":
			v1 = true
		case kind == "cgroup2" && unified == "":
			unified = fields[4]
		}
	}
	switch {
	case v1 && unified != "":
		return Cgroup{Mode: CgroupHybrid, Unified: unified}
	case v1:
		return Cgroup{Mode: CgroupV1}
	case unified != "":
		return Cgroup{Mode: CgroupV2, Unified: unified}
	}
	return Cgroup{Mode: CgroupNone}
}

// probeResctrl looks where the kernel makes a mount point if the processor can share out caches; only then can the filesystem be mounted, there
// or elsewhere.
func probeResctrl() string {
	if syscall.Access("/sys/fs/resctrl", 0) != nil {
		return ""
	}
	return mountedAt(readSmall("/proc/self/mountinfo", 1<<20), "resctrl")
}

// mountedAt is where a mount table has a filesystem of a type first, empty: nowhere. Escapes for blanks in its name stay.
func mountedAt(mountinfo, kind string) string {
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(before); len(fields) >= 5 && strings.HasPrefix(after, kind+" ") {
			return fields[4]
		}
	}
	return ""
}

func probeLSM() LSM {
	return LSM{
		Apparmor: syscall.Access("/sys/kernel/security/apparmor", 0) == nil &&
			strings.HasPrefix(readSmall("/sys/module/apparmor/parameters/enabled", 16), "Y"),
		Selinux: filesystem("/sys/fs/selinux") == selinuxMagic,
	}
}

func probeMemfdNoexec() int {
	n, err := strconv.Atoi(strings.TrimSpace(readSmall("/proc/sys/vm/memfd_noexec", 16)))
	if err != nil {
		return 0
	}
	return n
}

// ownsEveryID says whether our user namespace maps every id to itself, as the first one does (user_namespaces(7)).
func ownsEveryID() bool {
	f := strings.Fields(readSmall("/proc/self/uid_map", 256))
	return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}

// readSmall reads at most n bytes of a file, without package os, whose files cost a registration with the network poller.
func readSmall(path string, n int) string {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer syscall.Close(fd)
	var b []byte
	buf := make([]byte, min(n, 4096))
	for len(b) < n {
		got, err := syscall.Read(fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || got == 0 {
			break
		}
		b = append(b, buf[:got]...)
	}
	return string(b)
}
