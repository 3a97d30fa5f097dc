package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// Start lets a created container's process go on to the user's program; a failing execve is Start's error.
func (r *Runtime) Start(id string) error {
	e, s, done, err := r.load(id)
	if err != nil {
		return err
	}
	defer done()
	switch status, err := statusOf(s); {
	case err != nil:
		return err
	case status == Stopped:
		return ErrStopped
	case status != Created:
		return fmt.Errorf("cannot start container %q: it is %s already", id, status)
	}
	n, err := r.start(e, s)
	if err != nil {
		return err
	}
	defer n.close()
	e.Unlock() // the program may take its time to be ready
	r.introduce(n, s)
	return nil
}

// start returns once the program runs. The caller closes the notifier.
func (r *Runtime) start(e *store.Entry, s store.State) (*notifier, error) {
	if s.Extra[noProcess] != nil {
		return nil, errNoProcess
	}
	conn, err := kernel.Connect(e.SocketPath(startSocket))
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, ErrStopped
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach the container's process: %w", err)
	}
	defer syscall.Close(conn)
	if err := r.startContainerHooks(e, s); err != nil {
		return nil, err
	}
	n, err := listenNotify(e, s)
	if err == nil {
		if err = r.goOn(e, s, conn); err != nil {
			n.close()
		}
	}
	return n, err
}

// goOn gives the waiting process its word, and the program its poststart hooks.
func (r *Runtime) goOn(e *store.Entry, s store.State, conn int) error {
	s.Started = true
	if err := e.Save(s); err != nil {
		return err
	}
	if err := launch.Continue(conn); err != nil {
		return err
	}
	if err := r.awaitExec(conn, s); err != nil {
		return err
	}
	os.Remove(e.SocketPath(startSocket))
	return r.poststart(e, s)
}

// awaitExec serves the process until its execve has closed the connection.
func (r *Runtime) awaitExec(conn int, s store.State) error {
	var steps []launch.Late
	if err := json.Unmarshal(s.Extra[afterStart], &steps); err != nil {
		return fmt.Errorf("cannot read the container's state: %w", err)
	}
	for {
		m, err := launch.ReadMessage(conn)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("cannot hear from the container's process: %w", err)
		case m.Barrier == "":
			return launch.DescribeLate(steps, m)
		}
		if err := r.handStarted(m, s); err != nil {
			return err
		}
		if err := launch.Continue(conn); err != nil {
			return err
		}
	}
}

// statusOf finds out where a container is in its life.
func statusOf(s store.State) (Status, error) {
	if s.Init.Pid == 0 {
		return Creating, nil
	}
	life, err := s.Init.Life()
	switch {
	case err != nil:
		return "", err
	case life != store.Alive:
		return Stopped, nil
	case !s.Started && waiting(s.Init.Pid):
		return Created, nil
	}
	if frozen(s) {
		return Paused, nil
	}
	return Running, nil
}

// waiting says that the process is still the stub: start may have been killed between its byte and its note.
func waiting(pid int) bool {
	exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return err != nil || strings.HasPrefix(exe, "/memfd:berth-init")
}
