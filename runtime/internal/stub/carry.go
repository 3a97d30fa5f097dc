package stub

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Carry puts an image into a sealed memfd that can be executed by [Path]. The descriptor closes on exec and is the
// caller's to close. Where vm.memfd_noexec=2 forbids executable memfds the error says so.
func Carry(name string, image *Image) (int, error) {
	fd, err := memfd(name)
	if err != nil {
		return -1, err
	}
	if err := fill(fd, image); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("cannot write the init image: %w", err)
	}
	return fd, nil
}

// memfd asks for an executable one, which kernels before 6.3 neither know nor need.
func memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err == unix.EACCES {
		return -1, fmt.Errorf("cannot make an executable memfd: %w\nhint: set the sysctl vm.memfd_noexec to 0 or 1", err)
	}
	if err != nil {
		return -1, fmt.Errorf("cannot make a memfd: %w", err)
	}
	return fd, nil
}

func fill(fd int, image *Image) error {
	for _, p := range image.parts() {
		for len(p.data) > 0 {
			n, err := unix.Pwrite(fd, p.data, int64(p.at))
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			p.at, p.data = p.at+n, p.data[n:]
		}
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	return err
}

// Path is the name to execute a carrier by.
func Path(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
