package container

import (
	"errors"
	"fmt"
	"os"

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
	n, err := c.begin(func() error {
		if o.Detach {
			return nil
		}
		return t.catch()
	})
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
	told := r.tellManager(n, c.process.Pidfd)
	status, err := t.attend(c.process)
	<-told
	if err != nil || o.Keep {
		return status, err
	}
	return status, c.finish()
}

// tellManager passes the program's readiness on, beside whatever the caller does; the channel closes when that is over.
func (r *Runtime) tellManager(n *notifier, pidfd int) <-chan struct{} {
	told := make(chan struct{})
	if n == nil {
		close(told)
		return told
	}
	go func() {
		defer close(told)
		if err := n.pass(pidfd, os.Getpid()); err != nil {
			r.warn(err.Error())
		}
	}()
	return told
}

// begin lets the program run, with the hooks before and after it; letting is called right before. The caller closes the notifier.
func (c *creation) begin(letting func() error) (*notifier, error) {
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
	if err = letting(); err == nil {
		err = c.process.Finish(c.answer)
	}
	if err != nil {
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
	t.resize()
	done := t.copy()
	if err := t.forwardUntilEnd(p.Pidfd); err != nil {
		return 0, fmt.Errorf("cannot wait for the container's process: %w", err)
	}
	status, err := p.Wait()
	if done != nil {
		<-done
	}
	return status, err
}
