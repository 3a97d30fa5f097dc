package store

import (
	"io"
	"syscall"
)

// atCWD is AT_FDCWD of openat(2): a relative path starts at the working directory.
const atCWD = -100

// none stands for a descriptor that is not open.
const none = -1

// openFile opens the file name in the folder dir. A FIFO in the place of the file does not block the caller.
func openFile(dir int, name string, flags int) (int, error) {
	return openAt(dir, name, flags|syscall.O_NONBLOCK, 0o600)
}

// openDir opens the folder name in the folder dir.
func openDir(dir int, name string) (int, error) {
	return openAt(dir, name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
}

// openAt opens name below dir and does not follow its last component where that is a symbolic link.
func openAt(dir int, name string, flags int, mode uint32) (int, error) {
	const always = syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	fd := -1
	err := retry(func() (err error) {
		fd, err = syscall.Openat(dir, name, flags|always, mode)
		return err
	})
	return fd, err
}

// retry repeats a system call that a signal interrupted: the Go scheduler sends itself some.
func retry(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// closeFD closes a descriptor once and forgets it.
func closeFD(fd *int) {
	if *fd != none {
		syscall.Close(*fd)
		*fd = none
	}
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := syscall.Write(fd, data)
		if err != nil && err != syscall.EINTR {
			return err
		}
		data = data[max(n, 0):]
	}
	return nil
}

// readFull fills data and says when the file ends before that.
func readFull(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := syscall.Read(fd, data)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		data = data[max(n, 0):]
	}
	return nil
}
