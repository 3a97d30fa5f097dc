package cgroup

import (
	"errors"
	"syscall"
)

// Marks are extended attributes of cgroup directories. "trusted." needs CAP_SYS_ADMIN and works on v1 and v2; "user." is
// what is left to the rest (v2 from kernel 5.7 on). Where neither works, State alone says what is ours.
var markNames = [...]string{"trusted.berth", "user.berth"}

// parentMark marks a directory above the containers' ones that was made on the way: whoever empties it removes it.
const parentMark = "parent"

// mark writes the owner's mark. A filesystem without such attributes is no error.
func mark(dir, owner string) error {
	for _, name := range markNames {
		err := syscall.Setxattr(dir, name, []byte(owner), 0)
		if err == nil || errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	return nil
}

// foundSuffix ends the name of a second mark: the directory was there before the container, so it stays after it
// (runtime.md, "Delete": what the container did not create must not be deleted).
const foundSuffix = ".found"

func markFound(dir string) {
	for _, name := range markNames {
		if syscall.Setxattr(dir, name+foundSuffix, []byte{'1'}, 0) == nil {
			return
		}
	}
}

func wasFound(dir string) bool {
	for _, name := range markNames {
		if n, err := syscall.Getxattr(dir, name+foundSuffix, make([]byte, 1)); err == nil && n > 0 {
			return true
		}
	}
	return false
}

// unmark gives a found directory back as it was.
func unmark(dir string) {
	for _, name := range markNames {
		syscall.Removexattr(dir, name)
		syscall.Removexattr(dir, name+foundSuffix)
	}
}

// ownership is what a directory's mark says.
type ownership int

const (
	unmarked ownership = iota // no mark, or none that the caller may read
	ours
	foreign
)

func ownerOf(dir, owner string) ownership {
	m, _ := readMark(dir) // what is gone has no mark
	switch m {
	case "":
		return unmarked
	case owner:
		return ours
	}
	return foreign
}

// readMark returns the mark, or nothing where there is none or where the filesystem has no such attributes. The error is
// that of a directory that does not exist.
func readMark(dir string) (string, error) {
	var buf [4096]byte
	for _, name := range markNames {
		n, err := syscall.Getxattr(dir, name, buf[:])
		if err == nil {
			return string(buf[:n]), nil
		}
		if isGone(err) {
			return "", err
		}
	}
	return "", nil
}
