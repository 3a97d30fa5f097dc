package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// A service manager waits for READY=1 at the socket that NOTIFY_SOCKET names (sd_notify(3)). The container gets a socket of
// its own in its place, where runc and crun have it: it must neither reach the manager's, through which a service can be
// given another main process, nor name pids, since its own mean nothing outside.
//
//	create   makes ROOT/ID/notify, bound read-only to /run/notify; the program's NOTIFY_SOCKET leads there
//	start    listens, waits for READY=1 or the end, and says READY=1 and MAINPID=… to the manager
//	run      does both; in the foreground it goes on meanwhile and stays the main process itself
const (
	notifyVariable = "NOTIFY_SOCKET"
	notifyFolder   = "notify"
	notifyTarget   = "/run/notify"
	notifySocket   = "notify.sock"
	notifyKey      = "notify" // in the saved state's Extra: the container has the folder
)

// addNotify gives the container the folder and the variable, where a service manager waits and the config does not see to that
// itself, as an engine's with a proxy of its own does.
func (d *decision) addNotify(r *Runtime, id string, in *plan.Inputs) {
	s := &d.spec
	if os.Getenv(notifyVariable) == "" || !s.HasProcess || !s.Linux.Namespaces[spec.MountNS].Own() {
		return
	}
	if slices.ContainsFunc(s.Process.Env, func(e string) bool { return strings.HasPrefix(e, notifyVariable+"=") }) ||
		slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return m.Destination == notifyTarget }) {
		return
	}
	m := spec.Mount{Index: len(s.Mounts), Destination: notifyTarget, Source: filepath.Join(r.Root, id, notifyFolder), Type: "bind", IsBind: true,
		Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}, Flags: spec.MS_BIND | spec.MS_RDONLY | spec.MS_NOSUID | spec.MS_NODEV | spec.MS_NOEXEC}
	s.Mounts = append(s.Mounts, m)
	in.Sources[m.Index] = plan.Source{Dir: true}
	s.Process.Env = append(s.Process.Env, notifyVariable+"="+filepath.Join(notifyTarget, notifySocket))
	d.notify = true
}

// makeNotify makes the folder. Everybody may pass: it is the state directory around it that keeps others on the host out.
func (c *creation) makeNotify() error {
	if !c.notify {
		return nil
	}
	dir := filepath.Join(c.entry.Dir(), notifyFolder)
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = os.Chmod(dir, 0o755) // whatever the umask
	}
	if err != nil {
		return fmt.Errorf("cannot make the folder of the notify socket: %w", err)
	}
	c.state.Extra[notifyKey] = json.RawMessage("true")
	return nil
}

// notifier is the container's socket and where its news go. Nil is a container that nobody waits for.
type notifier struct {
	fd      int
	manager string
}

// listenNotify binds the socket; the program must not run yet.
func listenNotify(e *store.Entry, s store.State) (*notifier, error) {
	manager := os.Getenv(notifyVariable)
	if manager == "" || s.Extra[notifyKey] == nil {
		return nil, nil
	}
	path := e.SocketPath(filepath.Join(notifyFolder, notifySocket))
	os.Remove(path) // of a start that was killed
	fd, err := kernel.ReceiveDatagrams(path)
	if err == nil {
		if err = os.Chmod(path, 0o777); err == nil { // the program may be any user
			return &notifier{fd, manager}, nil
		}
		syscall.Close(fd)
	}
	return nil, fmt.Errorf("cannot make the notify socket: %w", err)
}

func (n *notifier) close() {
	if n != nil {
		syscall.Close(n.fd)
	}
}

// pass waits until the program says that it is ready, and tells the manager so, with the pid of the process to watch. If the
// program ends before, there is nothing to tell.
func (n *notifier) pass(pidfd, mainPid int) error {
	if n == nil {
		return nil
	}
	ready, err := n.awaitReady(pidfd)
	if err == nil && ready {
		if err = kernel.SendDatagram(n.manager, "READY=1\nMAINPID="+strconv.Itoa(mainPid)); err == nil {
			err = n.settle()
		}
	}
	if err != nil {
		return fmt.Errorf("cannot tell the service manager at %q that the container is ready: %w", n.manager, err)
	}
	return nil
}

// awaitReady reads the program's messages until one says READY=1 or the process has ended. Nothing else in them counts.
func (n *notifier) awaitReady(pidfd int) (bool, error) {
	for {
		message, err := kernel.AwaitDatagram(n.fd, pidfd)
		if errors.Is(err, syscall.ESRCH) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if slices.Contains(strings.Split(message, "\n"), "READY=1") {
			return true, nil
		}
	}
}

// settle waits until the manager has read what it was sent: it asks the kernel who the sender is, which must not be gone by
// then (sd_notify_barrier(3)). A manager that does not know of barriers is waited for in vain, and not for long.
func (n *notifier) settle() error {
	const patience = 5000 // milliseconds, as systemd-notify(1) has it
	r, w, err := kernel.Pipe()
	if err != nil {
		return err
	}
	defer syscall.Close(r)
	err = kernel.SendDatagram(n.manager, "BARRIER=1", w)
	syscall.Close(w)
	if err == nil {
		_, err = kernel.AwaitClosed(r, patience)
	}
	return err
}

// introduce is pass for a verb that returns while the container runs on. That the manager cannot be told does not undo the start.
func (r *Runtime) introduce(n *notifier, s store.State) {
	if n == nil {
		return
	}
	pidfd, err := openAlive(s.Init)
	if errors.Is(err, ErrNotRunning) {
		return
	}
	if err == nil {
		defer syscall.Close(pidfd)
		err = n.pass(pidfd, s.Init.Pid)
	}
	if err != nil {
		r.warn(err.Error())
	}
}
