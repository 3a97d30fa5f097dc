package spec

// The kernel's numbers, from its uapi headers. They are written out here so that a Spec means the same on every machine
// that tests it; amd64 and arm64 share all of them.

// Mount flags (linux/mount.h).
const (
	MS_RDONLY      = 0x1
	MS_NOSUID      = 0x2
	MS_NODEV       = 0x4
	MS_NOEXEC      = 0x8
	MS_SYNCHRONOUS = 0x10
	MS_REMOUNT     = 0x20
	MS_MANDLOCK    = 0x40
	MS_DIRSYNC     = 0x80
	MS_NOSYMFOLLOW = 0x100
	MS_NOATIME     = 0x400
	MS_NODIRATIME  = 0x800
	MS_BIND        = 0x1000
	MS_MOVE        = 0x2000
	MS_REC         = 0x4000
	MS_SILENT      = 0x8000
	MS_UNBINDABLE  = 0x20000
	MS_PRIVATE     = 0x40000
	MS_SLAVE       = 0x80000
	MS_SHARED      = 0x100000
	MS_RELATIME    = 0x200000
	MS_I_VERSION   = 0x800000
	MS_STRICTATIME = 0x1000000
	MS_LAZYTIME    = 0x2000000
)

// Mount attributes (linux/mount.h), for fsmount and mount_setattr(2).
const (
	MOUNT_ATTR_RDONLY      = 0x1
	MOUNT_ATTR_NOSUID      = 0x2
	MOUNT_ATTR_NODEV       = 0x4
	MOUNT_ATTR_NOEXEC      = 0x8
	MOUNT_ATTR__ATIME      = 0x70
	MOUNT_ATTR_RELATIME    = 0x0
	MOUNT_ATTR_NOATIME     = 0x10
	MOUNT_ATTR_STRICTATIME = 0x20
	MOUNT_ATTR_NODIRATIME  = 0x80
	MOUNT_ATTR_IDMAP       = 0x100000
	MOUNT_ATTR_NOSYMFOLLOW = 0x200000
)

// Namespace flags of clone(2) and setns(2) (linux/sched.h).
const (
	CLONE_NEWTIME   = 0x80
	CLONE_NEWNS     = 0x20000
	CLONE_NEWCGROUP = 0x2000000
	CLONE_NEWUTS    = 0x4000000
	CLONE_NEWIPC    = 0x8000000
	CLONE_NEWUSER   = 0x10000000
	CLONE_NEWPID    = 0x20000000
	CLONE_NEWNET    = 0x40000000
)

// RlimInfinity is RLIM64_INFINITY (linux/resource.h).
const RlimInfinity = ^uint64(0)

// File types of mknod(2) (linux/stat.h).
const (
	S_IFIFO = 0x1000
	S_IFCHR = 0x2000
	S_IFBLK = 0x6000
)
