package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/berth-oci/berth/conformance/vm/wire"
)

// serve says hello and runs one job after another until the host hangs up.
func serve(warnings []string) error {
	port, err := openPort()
	if err != nil {
		return err
	}
	a := &agent{conn: wire.NewConn(port), waiting: map[int]chan syscall.WaitStatus{}}
	if err := a.conn.SendJSON(wire.Hello, facts(warnings)); err != nil {
		return err
	}
	for {
		if err := a.job(); err != nil {
			return err
		}
	}
}

// openPort waits a while for the port: drivers probe at their own pace.
func openPort() (*os.File, error) {
	for range 500 {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, n := range names {
			if data, _ := os.ReadFile(n); strings.TrimSpace(string(data)) == wire.Port {
				return openBlocking("/dev/" + filepath.Base(filepath.Dir(n)))
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("cannot find virtio-serial port %q", wire.Port)
}

// openBlocking keeps the port out of Go's poller, which a device that reports a hang-up would spin.
func openBlocking(path string) (*os.File, error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func facts(warnings []string) wire.Facts {
	f := wire.Facts{Warnings: warnings}
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		f.Kernel, f.Arch = text(u.Release[:]), text(u.Machine[:])
	}
	if data, err := os.ReadFile("/proc/uptime"); err == nil {
		_, _ = fmt.Sscan(string(data), &f.Uptime)
	}
	lsm, _ := os.ReadFile("/sys/kernel/security/lsm")
	f.LSM = string(lsm)
	f.Cgroup, f.Controllers = cgroupWorld()
	return f
}

// text reads a C string whose characters are signed on one architecture and unsigned on the other.
func text[C int8 | uint8](c []C) string {
	var b strings.Builder
	for _, v := range c {
		if v == 0 {
			break
		}
		b.WriteByte(byte(v))
	}
	return b.String()
}

type agent struct {
	conn    *wire.Conn
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
	reaping sync.Once
}

// job receives one job, runs it and reports. An error means that the conversation is broken.
func (a *agent) job() error {
	o, err := a.receive()
	if err != nil {
		return err
	}
	status, err := a.run(o)
	if err != nil {
		status = wire.Status{Code: -1, Error: err.Error()}
	} else if status.Missing, err = pack(a.conn.Writer(wire.Fetched), o.job.Fetch); err != nil {
		status.Error = err.Error()
	}
	return a.conn.SendJSON(wire.Exit, status)
}

// order is a job as received, with what was sent along.
type order struct {
	job      wire.Job
	stdin    []byte
	unpacked error // why its files could not be written
}

// receive reads a job up to its Go, unpacking files as they come.
func (a *agent) receive() (o order, err error) {
	pr, pw := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := unpack(pr, "/")
		_, _ = io.Copy(io.Discard, pr) // a failed unpack must not block the conversation
		unpacked <- err
	}()
	defer pw.Close()
	for {
		kind, payload, err := a.conn.Receive()
		if err != nil {
			return o, fmt.Errorf("the host hung up: %w", err)
		}
		switch kind {
		case wire.Start:
			if err := json.Unmarshal(payload, &o.job); err != nil {
				return o, err
			}
		case wire.Files:
			_, _ = pw.Write(payload)
		case wire.Input:
			o.stdin = append(o.stdin, payload...)
		case wire.Go:
			pw.Close()
			o.unpacked = <-unpacked
			return o, nil
		}
	}
}

// run starts the command in a session of its own and returns when it has ended and its output has been sent. What it
// leaves running stays: a container outlives the command that created it.
func (a *agent) run(o order) (wire.Status, error) {
	if o.unpacked != nil {
		return wire.Status{}, fmt.Errorf("cannot unpack the job's files: %w", o.unpacked)
	}
	out, err := a.output(wire.Stdout)
	if err != nil {
		return wire.Status{}, err
	}
	errs, err := a.output(wire.Stderr)
	if err != nil {
		out.finish()
		return wire.Status{}, err
	}
	defer errs.finish() // before the status is sent
	defer out.finish()
	in, err := input(o.stdin)
	if err != nil {
		return wire.Status{}, err
	}
	defer in.Close()
	ended, err := a.spawn(o.job, []*os.File{in, out.w, errs.w})
	if err != nil {
		return wire.Status{}, err
	}
	ws := <-ended
	if ws.Signaled() {
		return wire.Status{Code: -1, Signal: int(ws.Signal())}, nil
	}
	return wire.Status{Code: ws.ExitStatus()}, nil
}

func input(data []byte) (*os.File, error) {
	if len(data) == 0 {
		return os.Open("/dev/null")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.Copy(w, bytes.NewReader(data))
		w.Close()
	}()
	return r, nil
}

// spawn starts the job's command; the channel delivers how it ended.
func (a *agent) spawn(job wire.Job, files []*os.File) (<-chan syscall.WaitStatus, error) {
	for _, kv := range job.Env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			os.Setenv("PATH", path)
		}
	}
	program, err := exec.LookPath(job.Command[0])
	if err != nil {
		return nil, fmt.Errorf("cannot find %s: %w", job.Command[0], err)
	}
	dir := job.Dir
	if dir == "" {
		dir = "/"
	}
	ended := make(chan syscall.WaitStatus, 1)
	a.mu.Lock() // until the child is registered, the reaper must not take it
	defer a.mu.Unlock()
	sys := &syscall.SysProcAttr{Setsid: true}
	if job.UID != 0 || job.GID != 0 {
		sys.Credential = &syscall.Credential{Uid: job.UID, Gid: job.GID}
	}
	attr := &os.ProcAttr{Dir: dir, Env: job.Env, Files: files, Sys: sys}
	p, err := os.StartProcess(program, job.Command, attr)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", job.Command[0], err)
	}
	a.waiting[p.Pid] = ended
	a.reaping.Do(func() { go a.reap() })
	return ended, nil
}

// reap waits for every child for ever. Process 1 is given orphans, and must wait for them or they stay zombies.
func (a *agent) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			time.Sleep(20 * time.Millisecond) // nobody to wait for until the next job or orphan
		case err == nil:
			a.mu.Lock()
			if ended, ok := a.waiting[pid]; ok {
				delete(a.waiting, pid)
				ended <- ws
			}
			a.mu.Unlock()
		}
	}
}

// output is a pipe whose other end is copied to the host.
type output struct {
	r, w *os.File
	done chan struct{}
	to   io.Writer
}

func (a *agent) output(kind wire.Kind) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o := &output{r: r, w: w, done: make(chan struct{}), to: a.conn.Writer(kind)}
	go func() {
		defer close(o.done)
		_, _ = io.Copy(o.to, r)
	}()
	return o, nil
}

// finish sends what the pipe still holds, and no more: a process that the job left behind may keep it open for ever.
func (o *output) finish() {
	o.w.Close()
	_ = o.r.SetReadDeadline(time.Now())
	<-o.done
	raw, err := o.r.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { drain(int(fd), o.to) })
	}
	o.r.Close()
}

func drain(fd int, to io.Writer) {
	buf := make([]byte, 1<<16)
	for {
		n, err := syscall.Read(fd, buf)
		if n <= 0 || err != nil {
			return
		}
		_, _ = to.Write(buf[:n])
	}
}
