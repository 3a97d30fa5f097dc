package container

import (
	"errors"
	"os"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// RunOptions are run's flags.
type RunOptions struct {
	CreateOptions
	Detach bool
	Keep   bool // do not delete after exit
}

// Run is Create, Start, wait, Delete; it returns the exit status (128+N for signal N). Detached it returns 0 as soon as the
// program runs.
func (r *Runtime) Run(id string, o RunOptions) (int, error) {
	var t terminal
	defer t.release()
	if !o.Detach {
		o.launching = t.catch
	}
	console := sendConsole(o.ConsoleSocket)
	if o.ConsoleSocket == "" && !o.Detach {
		o.ownTerminal = true
		console = t.take
	}
	c, err := r.create(id, o.CreateOptions, true, console)
	if err != nil {
		return 0, err
	}
	defer c.close()
	n, err := c.begin()
	if err != nil {
		t.close()
		return 0, err
	}
	defer n.close()
	c.entry.Unlock()
	if o.Detach {
		r.introduce(n, c.state)
		return 0, nil
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		if err := n.pass(c.process.Pidfd, os.Getpid()); err != nil {
			r.warn(err.Error())
		}
	}()
	status, err := t.attend(c.process)
	<-told
	if err != nil || o.Keep {
		return status, err
	}
	return status, c.finish()
}

// begin lets the program run, with the hooks before and after it. The caller closes the notifier.
func (c *creation) begin() (*notifier, error) {
	if !c.spec.HasProcess {
		return nil, c.fail(errNoProcess)
	}
	if err := c.startContainerHooks(c.entry, c.state); err != nil {
		return nil, err
	}
	n, err := listenNotify(c.entry, c.state)
	if err != nil {
		return nil, c.fail(err)
	}
	if err := c.process.Finish(c.answer); err != nil {
		n.close()
		return nil, c.fail(err)
	}
	if err := c.poststart(c.entry, c.state); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

var errNoProcess = errors.New("cannot start the container: its config.json has no process")

func (c *creation) fail(err error) error {
	c.undo()
	return err
}

// finish removes the container, unless someone has done so meanwhile.
func (c *creation) finish() error {
	if err := c.entry.Lock(); errors.Is(err, store.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return c.remove(c.entry, c.state)
}

// attend stands between the caller and the container's process: signals go in, the terminal goes both ways, and the exit
// status comes out.
func (t *terminal) attend(p *launch.Process) (int, error) {
	defer t.close()
	defer t.release() // before the caller closes the pidfd that is forwarded to
	t.caught.to <- func(s syscall.Signal) { t.forward(p.Pidfd, s) }
	t.resize()
	done := t.copy()
	status, err := p.Wait()
	if done != nil {
		<-done
	}
	return status, err
}

func (t *terminal) forward(pidfd int, s syscall.Signal) {
	if s == syscall.SIGWINCH && t.master != nil {
		t.resize()
		return
	}
	kernel.PidfdSendSignal(pidfd, s)
}
