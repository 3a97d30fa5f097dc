package kernel

import "golang.org/x/sys/unix"

// Eventfd makes an eventfd(2) counter: close-on-exec and non-blocking, so that os.NewFile can wait for it.
func Eventfd() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK) }
