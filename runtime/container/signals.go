package container

import (
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

// forwarded are the signals that somebody may send to the runtime and mean the container; the others are about this process
// itself.
var forwarded = []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGWINCH, syscall.SIGIO, syscall.SIGPWR}

// catch holds the caller's signals back, for [terminal.attend] to forward. It belongs before the program is let go: from then on
// nobody but the runtime can tell the container what it was sent, and until then the signals have their usual effect.
func (t *terminal) catch() (err error) {
	t.caught, err = kernel.CatchSignals(forwarded...)
	return err
}

// release ends the catching, if there is any; no signal is forwarded once it has returned.
func (t *terminal) release() {
	if t.caught != nil {
		t.caught.Close()
		t.caught = nil
	}
}

// forwardUntilEnd hands on what is caught until the process has ended.
func (t *terminal) forwardUntilEnd(pidfd int) error {
	for {
		ended, err := kernel.PollEither(pidfd, t.caught.FD())
		if err != nil || ended {
			return err
		}
		for s := t.caught.Next(); s != 0; s = t.caught.Next() {
			t.forward(pidfd, s)
		}
	}
}

func (t *terminal) forward(pidfd int, s syscall.Signal) {
	if s == syscall.SIGWINCH && t.master != nil {
		t.resize()
		return
	}
	kernel.PidfdSendSignal(pidfd, s)
}
