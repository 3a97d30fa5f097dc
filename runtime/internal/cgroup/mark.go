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

// ownership is what a directory's mark says.
type ownership int

const (
	unmarked ownership = iota // no mark, or none that the caller may read
	ours
	foreign
)

func ownerOf(dir, owner string) ownership {
	m := readMark(dir)
	switch m {
	case "":
		return unmarked
	case owner:
		return ours
	}
	return foreign
}

// readMark returns the mark, or nothing where there is none or where the filesystem has no such attributes.
func readMark(dir string) string {
	buf := make([]byte, 4096)
	for _, name := range markNames {
		if n, err := syscall.Getxattr(dir, name, buf); err == nil {
			return string(buf[:n])
		}
	}
	return ""
}
