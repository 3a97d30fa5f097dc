package kernel

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// WithinNetwork calls f on a thread that is in another network namespace: a socket that f opens stays there. Where the thread
// cannot return, it ends with the goroutine, so f runs on one of its own.
func WithinNetwork(namespace int, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			result <- fmt.Errorf("cannot open the own network namespace: %w", err)
			return
		}
		defer unix.Close(own)
		if err := unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("cannot enter the network namespace: %w", err)
			return
		}
		err = f()
		if unix.Setns(own, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}
