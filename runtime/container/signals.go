package container

import (
	"os"
	"os/signal"
	"syscall"
)

// caught are the signals that reach the runtime and mean the container's process. To begin and to end catching takes a
// change of threads for each signal, in all as long as a short program runs; so it begins while the process is set up, and
// nobody waits for its end.
type caught struct {
	signals chan os.Signal
	to      chan func(syscall.Signal) // what is to be done with them from now on
}

// catch begins to catch the signals. Until the caller says where they go, they have their usual effect.
func catch() *caught {
	c := &caught{make(chan os.Signal, 32), make(chan func(syscall.Signal))}
	go func() {
		signal.Notify(c.signals, forwarded...)
		forward := usual
		for {
			select {
			case forward = <-c.to:
			case s, ok := <-c.signals:
				if !ok {
					return
				}
				forward(s.(syscall.Signal))
			}
		}
	}()
	return c
}

// usual does to the runtime what the signal does to a process that has not asked for it.
func usual(s syscall.Signal) {
	if s == syscall.SIGCONT || s == syscall.SIGWINCH {
		return
	}
	signal.Reset(s)
	_ = syscall.Kill(os.Getpid(), s)
}

// release ends the catching; no signal is forwarded once it has returned.
func (c *caught) release() {
	if c == nil {
		return
	}
	c.to <- func(syscall.Signal) {}
	go func() {
		signal.Stop(c.signals)
		close(c.signals)
	}()
}

// forwarded are the signals that somebody may send to the runtime and mean the container; the others are about this process
// itself.
var forwarded = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGWINCH, syscall.SIGIO, syscall.SIGPWR}
