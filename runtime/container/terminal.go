package container

import (
	"fmt"
	"io"
	"os"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

// terminal joins the caller's terminal, or whatever its standard streams are, to the container's. The zero value is a
// container without one.
type terminal struct {
	master  *os.File
	restore func()
	caught  *kernel.Signals // signals for the container's process; nil: none are
}

// take keeps the master and puts the caller's terminal into raw mode, so that the container's alone interprets keys.
func (t *terminal) take(master int) error {
	t.master = os.NewFile(uintptr(master), "terminal")
	if !kernel.IsTerminal(0) {
		return nil
	}
	restore, err := kernel.MakeRaw(0)
	if err != nil {
		return fmt.Errorf("cannot set the terminal to raw mode: %w", err)
	}
	t.restore = restore
	return nil
}

// copy carries bytes both ways; the channel closes when the container's side has said all.
func (t *terminal) copy() <-chan struct{} {
	if t.master == nil {
		return nil
	}
	go io.Copy(t.master, os.Stdin)
	done := make(chan struct{})
	go func() {
		io.Copy(os.Stdout, t.master)
		close(done)
	}()
	return done
}

// resize gives the container's terminal the size of the caller's.
func (t *terminal) resize() {
	if t.master != nil {
		kernel.CopyWindowSize(0, int(t.master.Fd()))
	}
}

func (t *terminal) close() {
	if t.restore != nil {
		t.restore()
	}
	if t.master != nil {
		t.master.Close()
	}
}
