package engines

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// daemon is a program that serves until it is told to stop.
type daemon struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// serve starts a daemon and waits until it answers on its socket.
func (e *Engine) serve(ctx context.Context, name, socket string, line ...string) error {
	path, err := e.file(name+".log", nil)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = e.dir, e.env, log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	d := &daemon{cmd: cmd, log: path, done: make(chan struct{})}
	e.daemons = append(e.daemons, d)
	go func() { cmd.Wait(); close(d.done) }()
	return d.answers(ctx, socket)
}

// answers waits for the socket, as long as the daemon lives.
func (d *daemon) answers(ctx context.Context, socket string) error {
	ctx, stop := context.WithTimeout(ctx, longest)
	defer stop()
	for {
		if conn, err := net.Dial("unix", socket); err == nil {
			return conn.Close()
		}
		select {
		case <-d.done:
			return fmt.Errorf("%s ended: %s", d.cmd.Path, d.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer on %s: %s", d.cmd.Path, socket, d.lastWords())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// lastWords are the last lines of the daemon's log.
func (d *daemon) lastWords() string {
	text, _ := os.ReadFile(d.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// stop asks the daemon to end, and makes it end when it does not.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(20 * time.Second):
		d.cmd.Process.Kill()
		<-d.done
		return fmt.Errorf("%s did not stop when asked: %s", d.cmd.Path, d.lastWords())
	}
}
