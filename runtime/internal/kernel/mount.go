package kernel

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenTree makes a detached copy of the mount at a path (open_tree(2)).
func OpenTree(path string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.OpenTree(unix.AT_FDCWD, path, flags)
}

// MapIDs maps the ids of a detached mount as a user namespace does (mount_setattr(2), MOUNT_ATTR_IDMAP).
func MapIDs(mount, userns int, recursive bool) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.MountSetattr(mount, "", flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns)})
}

// Unmount takes a mount away, now from sight and from memory once nobody uses it.
func Unmount(path string) error { return unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) }

// NamespaceType is the CLONE_NEW… flag of an open namespace, ENOTTY for any other file.
func NamespaceType(fd int) (uintptr, error) {
	r, _, e := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.NS_GET_NSTYPE, 0)
	if e != 0 {
		return 0, e
	}
	return r, nil
}

// OpenInRoot opens a path below a directory, following symbolic links inside it only (openat2(2), RESOLVE_IN_ROOT).
func OpenInRoot(root, path string, flags int) (int, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for range 64 {
		fd, err := unix.Openat2(dir, path, &how)
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

// BindFile shows a file at another path, which must exist. What is mounted there later stays private to it.
func BindFile(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", target, "", unix.MS_PRIVATE, "")
}
